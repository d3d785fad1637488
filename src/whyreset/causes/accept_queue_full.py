"""The accept queue was full and net.ipv4.tcp_abort_on_overflow is 1. tcp(7); tcp_check_req(), label listen_overflow."""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "accept-queue-full"
FAMILY = "listen-queue"


def explain(facts: Facts) -> Cause | None:
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
        "{queue} connections waited for {owner} to accept them, {limit} is the limit",
        "net.ipv4.tcp_abort_on_overflow is 1",
    )
