"""More orphaned sockets than net.ipv4.tcp_max_orphans. tcp(7); tcp_check_oom(), tcp_out_of_resources()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "too-many-orphans"
FAMILY = "memory"


def explain(facts: Facts) -> Cause | None:
    # the kernel gives one reason for both; memory was not exhausted, so it is the other
    if facts.reason != "TCP_ABORT_ON_MEMORY" or facts.memory_exhausted:
        return None
    much = "closed sockets with unsent data passed net.ipv4.tcp_max_orphans"
    if facts.state != "CLOSE":  # tcp_out_of_resources(), not __tcp_close(): there each may count twice or four times
        much += " (half or a quarter of it is enough where the peer is long silent)"
    return certain(NAME, FAMILY, reason(facts), "TCP memory was not exhausted: " + much, *before(facts))
