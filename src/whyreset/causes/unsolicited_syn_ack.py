"""A SYN-ACK for a SYN that this host's stack never sent.

Backscatter of a spoofed flood, or a raw-socket scanner here.
"""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.causes.packets import answers_ack, between_ends, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "unsolicited-syn-ack"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or not {"S", "A"} <= set(trigger) or "F" in trigger or facts.ended == "abandoned":
        return None
    if facts.ended and facts.active_open and facts.segment == "old":
        # its number is of the remembered connection: a SYN-ACK that is sent again, since our ACK of it was lost
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            remembered(facts),
            "a SYN-ACK whose number is not beyond that connection",
            candidates=("half-open", "late-duplicate", NAME),
            missing="whether it answers that connection's SYN",
        )
    return certain(
        NAME, FAMILY, reason(facts), "a SYN-ACK from {remote} for a connection that this host's stack did not open"
    )


def from_packets(traits: Traits) -> Cause | None:
    if not answers_ack(traits) or not {"S", "A"} <= set(trigger(traits)) or between_ends(traits):
        return None
    if traits.opener == "sender" and traits.seq == "exact" and traits.ttl == "different":
        return likely(
            NAME,
            FAMILY,
            "{receiver} accepted a SYN of {sender} with a SYN-ACK, and {sender} answered that with a reset",
            "the SYN came with TTL {ttls}, the reset with {ttl}: a scanner's own SYN, and its kernel's reset",
            candidates=(NAME, "forged", "half-open"),
            missing="whether the stack of the host that sent the SYN knew of it",
        )
    if traits.opener == "sender" and traits.seq == "exact":
        return likely(
            FAMILY,
            FAMILY,
            "{receiver} accepted a SYN of {sender} with a SYN-ACK, and {sender} answered that with a reset",
            "scanners that send their own SYNs look so, and clients that gave up meanwhile",
            candidates=(NAME, "half-open", "paws"),
            missing="whether the stack of the host that sent the SYN knew of it; how many ports and hosts it tries",
        )
    if traits.opener == "":
        return likely(
            NAME,
            FAMILY,
            "a SYN-ACK of {receiver}, for which no SYN was seen, was answered by {sender} with a reset",
            candidates=(NAME, "half-open", "bad-handshake-ack"),
            missing="whether a SYN came before the capture, or by another way",
        )
    return None
