"""A handshake segment with an unacceptable number.

RFC 9293 section 3.10.7.3; tcp_rcv_synsent_state_process(), cookie_v4_check().
"""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason
from whyreset.causes.packets import answers_ack, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "bad-handshake-ack"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if facts.reason == "TCP_INVALID_ACK_SEQUENCE" and facts.state == "SYN_SENT" and "S" in trigger:
        return certain(NAME, FAMILY, reason(facts), "a SYN-ACK from {remote} that does not acknowledge {owner}'s SYN")
    if not has_no_connection(facts) or facts.state != "LISTEN" or facts.ended or "A" not in trigger:
        return None
    if "S" in trigger or "F" in trigger:
        return None
    if facts.cookies_recent and facts.trigger_payload:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "{owner} on port {port} has sent SYN cookies within two minutes, and this acknowledges none of them",
            "it brings data, as segments of an older connection do too",
            candidates=(NAME, "half-open"),
            missing="whether this remote had begun a handshake",
        )
    if facts.cookies_recent:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            "{owner} on port {port} has sent SYN cookies within two minutes, and this acknowledges none of them",
            missing="the handshake it claims to complete (counter SyncookiesFailed moves with each)",
        )
    if facts.embryos:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "{owner} on port {port} holds half-open requests; the segment completes none of them",
            candidates=(NAME, "stray-segment", "half-open"),
            missing="whether this remote had begun a handshake",
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    flags = set(trigger(traits))
    if not answers_ack(traits) or traits.handshake not in ("syn", "syn-ack") or "F" in flags:
        return None
    if traits.seq not in ("below", "above", "far"):  # the reset takes its number from the ACK
        return None
    if "S" in flags and traits.opener == "sender":
        return certain(NAME, FAMILY, "a SYN-ACK of {receiver} that does not acknowledge {sender}'s SYN")
    if "S" in flags or traits.handshake != "syn-ack" or traits.opener != "receiver":
        return None
    return likely(
        FAMILY,
        FAMILY,
        "{receiver} acknowledged a number that {sender} never sent, inside a handshake",
        candidates=(NAME, "stray-segment", "half-open"),
        missing="whether the listener still waited for the handshake's end",
    )
