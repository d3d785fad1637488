"""A SYN came for a port on which nobody listens. RFC 9293 section 3.10.7.1; tcp_v4_rcv(), label no_tcp_socket."""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.causes.packets import nothing_but_resets, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "closed-port"
FAMILY = "closed-port"

_ALIKE = ("firewall-reject", "not-from-stack")
_AT_SENDER = "the same reset seen at its sender: a stack and a firewall refuse alike"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.direction == "sent" and facts.reason == "NO_SOCKET" and facts.trigger == "S":
        return certain(NAME, FAMILY, reason(facts), "a SYN for port {port}: nobody listened on it at that address")
    if facts.direction == "received" and facts.state == "SYN_SENT":
        # an acceptable reset in SYN-SENT acknowledges our SYN; a firewall's looks the same
        return likely(
            NAME,
            FAMILY,
            "{owner}'s SYN to {remote}:{port} was answered with a reset",
            candidates=(NAME, *_ALIKE),
            missing=_AT_SENDER,
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    """A firewall's refusal has the same form as a stack's."""
    if trigger(traits) == "S" and traits.handshake == "syn" and traits.opener == "receiver" and "A" in traits.flags:
        if traits.before == "half-closed":  # time-wait-segment
            return None
        return likely(
            NAME,
            FAMILY,
            "{receiver}'s SYN for {port} of {sender} was answered with a reset {delay} later",
            candidates=(NAME, *_ALIKE, *(["invalid-syn"] if traits.before == "open" else [])),
            missing=_AT_SENDER,
        )
    if nothing_but_resets(traits) and traits.seq == "zero":
        return likely(
            NAME,
            FAMILY,
            "sequence number 0 with an ACK: the answer of {sender} to a segment without ACK, as a SYN is",
            candidates=(NAME, *_ALIKE, "scan-probe"),
            missing="the segment before it, which is not in the capture",
        )
    return None
