"""The accept queue was full and net.ipv4.tcp_abort_on_overflow is 1. tcp(7); tcp_check_req(), label listen_overflow."""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.causes.packets import answers_ack, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "accept-queue-full"
FAMILY = "listen-queue"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if (
        facts.reason != "INVALID_SYN"
        or not facts.accept_queue_full
        or not facts.abort_on_overflow
        or "S" in (facts.trigger or "")
    ):
        return None
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "{owner}'s accept queue held {queue}, {limit} is the limit",
        "net.ipv4.tcp_abort_on_overflow is 1",
    )


def from_packets(traits: Traits) -> Cause | None:
    if not answers_ack(traits) or not traits.trigger_completes or traits.opener != "receiver" or traits.seq != "exact":
        return None
    if traits.receiver_resets != "none":
        return None
    return likely(
        NAME,
        FAMILY,
        "{receiver} completed the handshake with {port} of {sender}, and that was answered with a reset",
        candidates=(NAME, "invalid-syn", "bad-handshake-ack", "half-open", "firewall-reject"),
        missing="counter ListenOverflows of the server, and its net.ipv4.tcp_abort_on_overflow",
    )
