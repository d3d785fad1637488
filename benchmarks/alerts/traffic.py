"""Resets at a chosen rate, for real: connects to a port of the loopback device on which nobody listens.

Each adds one to OutRsts and one to AttemptFails of the namespace. Bounded in rate and time by who calls.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tests.hosts.hosts import Host

_PORT = 9
#: How often the clock is asked.
_STEP = 0.01


def refuse(address: str, count: int) -> None:
    """So many connects, each of which is refused; called inside the namespace."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(count):
        with socket.socket(family) as client, suppress(ConnectionRefusedError):
            client.connect((address, _PORT))


def follow(host: Host, rate: Callable[[float], float], seconds: float, address: str = "127.0.0.1") -> int:
    """Resets whose rate follows a curve; returns how many there were.

    Args:
        host: where.
        rate: resets a second, so many seconds after the beginning.
        seconds: how long.
        address: the loopback address, IPv4 or IPv6.
    """
    began = before = time.monotonic()
    due, done = 0.0, 0
    with host.inside():
        while (now := time.monotonic()) - began < seconds:
            due += rate(now - began) * (now - before)
            before = now
            refuse(address, int(due) - done)
            done = int(due)
            time.sleep(_STEP)
    return done


def steps(*changes: tuple[float, float]) -> Callable[[float], float]:
    """A rate that changes at given seconds: `steps((0, 5), (10, 200))`; 0 before the first."""

    def rate(second: float) -> float:
        return next((value for begin, value in reversed(changes) if second >= begin), 0.0)

    return rate
