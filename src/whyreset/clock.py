"""The clock that the kernel program reads, and what leads from it to the time of day."""

from __future__ import annotations

import time
from functools import cache


@cache
def _offset_ns() -> int:
    """What this process's time namespace adds to CLOCK_BOOTTIME; see time_namespaces(7)."""
    try:
        with open("/proc/self/timens_offsets") as file:
            offsets = {name: int(seconds) * 1_000_000_000 + int(rest) for name, seconds, rest in map(str.split, file)}
    except FileNotFoundError:  # a kernel without time namespaces
        return 0
    return offsets.get("boottime", 0)


def boottime_ns() -> int:
    """CLOCK_BOOTTIME as the kernel program reads it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - _offset_ns()


def epoch_ns() -> int:
    """What to add to CLOCK_BOOTTIME for the time of day, as the clock stands now."""
    return time.time_ns() - boottime_ns()
