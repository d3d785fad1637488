"""The peer goes on with a connection that this host no longer knows. RFC 9293 section 3.5.1."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.causes.packets import NOT_ITS_OWN, answers_ack, between_ends, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "half-open"
FAMILY = "half-open"

_END = "the connection's end: it closed before watching began, or elsewhere"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if facts.reason == "TCP_INVALID_ACK_SEQUENCE" and facts.state == "SYN_SENT":
        return _met_by_syn(facts, trigger)
    if not has_no_connection(facts) or "A" not in trigger:
        return None
    if facts.ended == "abandoned" and (trigger == "SA" or (trigger == "A" and not facts.trigger_payload)):
        return certain(NAME, FAMILY, reason(facts), "an answer to {owner}'s own SYN, which it gave up {ended} before")
    if "S" in trigger:
        return None
    if facts.ended in ("reset-sent", "reset-received", "half-closed", "silent"):
        if not facts.goes_on_after_reset:
            return certain(NAME, FAMILY, reason(facts), remembered(facts), "the peer does not know that it is gone")
        beyond = (reason(facts), remembered(facts), "it goes on beyond that reset: someone else sent it")
        if not facts.at_once:
            return certain(NAME, FAMILY, *beyond)
        order = "whether segments changed their order on the way"
        return likely(NAME, FAMILY, *beyond, candidates=(NAME, "in-flight"), missing=order)
    return _beyond(facts) if facts.ended else _not_remembered(facts, trigger)


def _met_by_syn(facts: Facts, trigger: str) -> Cause | None:
    """Our SYN goes to a peer that still uses the same ports: RFC 9293 figure 9, seen from the other side."""
    if "S" in trigger or "A" not in trigger or (trigger == "A" and not facts.trigger_payload):
        return None
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        "{remote} goes on with an earlier connection of the same ports, while {owner} opens a new one",
        candidates=(NAME, "late-duplicate"),
        missing="how that connection ended here",
    )


def _beyond(facts: Facts) -> Cause | None:
    """The ports are remembered, but what comes does not fit what their connection was."""
    if facts.ended == "orderly" and facts.segment != "new":
        return None
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        remembered(facts),
        "what comes goes beyond that connection: it is of another one with the same ports, or of none",
        candidates=(NAME, "bad-handshake-ack", "stray-segment"),
        missing="whether this remote had begun another connection",
    )


def _not_remembered(facts: Facts, trigger: str) -> Cause | None:
    if facts.trigger_payload and not facts.trigger_options:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "{length} of data without TCP options for a connection that this host does not know",
            candidates=(NAME, "stray-segment"),
            missing=_END,
        )
    if "F" in trigger or not facts.trigger_options:
        return None
    if facts.trigger_payload:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            "{length} of data for a connection that this host does not know",
            missing=_END,
        )
    if facts.embryos or facts.cookies_recent:
        return None
    # tools leave TCP options out; a stack that negotiated timestamps puts them into each segment
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        "an acknowledgement with TCP options, as stacks send them, for a connection that this host does not know",
        candidates=(NAME, "late-duplicate", "stray-segment"),
        missing=_END,
    )


def from_packets(traits: Traits) -> Cause | None:
    if not answers_ack(traits) or "S" in trigger(traits):
        return None
    if traits.sender_resets != "none" and (between_ends(traits) or traits.receiver_sent_data):
        return likely(
            NAME,
            FAMILY,
            "{sender} had reset the connection before; {receiver} went on, and was reset again",
            candidates=(NAME, "in-flight", *NOT_ITS_OWN),
            missing="whether the reset before had reached the other side",
        )
    if between_ends(traits):
        silence = {"none": (), "short": (), "long": ("after {idle} of silence: firewalls and balancers forget, too",)}
        return likely(
            NAME,
            FAMILY,
            "{receiver} went on with the connection; {sender} answered as a host does that does not know it",
            *silence[traits.idle],
            candidates=(NAME, *NOT_ITS_OWN, *(["late-duplicate"] if "F" in trigger(traits) else [])),
            missing="what ended the connection at the host that reset it",
        )
    more = traits.trigger_payload or traits.trigger_options or traits.receiver_sent_data or traits.state_lost
    if traits.handshake != "none" or not more:  # stray-segment
        return None
    return likely(
        FAMILY,
        FAMILY,
        "{receiver} sent {length} on a connection whose beginning was not seen; {sender} did not know it",
        candidates=(NAME, "stray-segment", "late-duplicate", "bad-handshake-ack"),
        missing="what came before the capture",
    )
