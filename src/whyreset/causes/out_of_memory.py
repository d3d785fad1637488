"""TCP memory (net.ipv4.tcp_mem) was exhausted. tcp(7); tcp_check_oom(), tcp_out_of_resources()."""

from __future__ import annotations

from whyreset.causes.base import before, likely, reason
from whyreset.model import Cause, Facts

NAME = "out-of-memory"
FAMILY = "memory"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_ABORT_ON_MEMORY" or not facts.memory_exhausted:
        return None
    return likely(
        NAME,
        FAMILY,
        reason(facts),
        "TCP holds more memory than net.ipv4.tcp_mem allows",
        *before(facts),
        candidates=(NAME, "too-many-orphans"),
        missing="the kernel's log: «out of memory -- consider tuning tcp_mem», or «too many orphaned sockets»",
    )
