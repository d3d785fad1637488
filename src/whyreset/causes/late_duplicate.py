"""A late segment of a connection that had closed in order: a FIN sent again, a delayed ACK. Harmless."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.causes.packets import answers_ack, closed_in_order, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "late-duplicate"
FAMILY = "half-open"

_DROPPED = (
    "{owner} on port {port} has sent SYN cookies within two minutes: "
    "a client that acknowledged one while the accept queue was full is not known here either"
)


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or "A" not in trigger or "S" in trigger:
        return None
    if facts.ended == "orderly" and facts.segment in ("old", "last-ack"):
        return certain(NAME, FAMILY, reason(facts), remembered(facts), "it brings nothing new: harmless")
    if not facts.ended and "F" in trigger and facts.trigger_options:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "a FIN with TCP options, as stacks send them, for a connection that this host does not know",
            # tcp_get_cookie_sock(): it is dropped without a word, and its sender believes to be connected
            *([_DROPPED] if facts.cookies_recent else []),
            candidates=(NAME, "half-open"),
            missing="the connection's end: it closed before watching began, or elsewhere"
            + (", or never came to be here" if facts.cookies_recent else ""),
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    if not answers_ack(traits) or "F" not in trigger(traits) or "S" in trigger(traits) or traits.trigger_new_data:
        return None
    if not closed_in_order(traits) or not traits.trigger_again:
        return None
    return certain(
        NAME,
        FAMILY,
        "both sides had closed and acknowledged that; {receiver} sent its FIN once more",
        "it brings nothing new: harmless",
    )
