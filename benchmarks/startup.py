"""From the command to its `start` line, and memory then; tcpdump's and a bare Python's beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.common import WATCH, Child, spread
from tests.hosts.hosts import Host

ROUNDS = 7


def measure() -> Iterator[str]:
    """Seconds; the budget is 0.5 s and 45 MB."""
    ours, memory, theirs, bare = [], [], [], []
    with Host("a") as host:
        for _ in range(ROUNDS):
            with Child(*WATCH) as child:
                ours.append(child.ready())
                memory.append(child.resident_mb())
            with host.inside():
                tcpdump = Child("tcpdump", "-i", "lo", "-w", "/dev/null")
            with tcpdump:
                theirs.append(tcpdump.ready("listening"))
            with Child(sys.executable, "-c", "print(flush=True)") as child:
                bare.append(child.ready())
    yield f"start line after {spread(ours)} s, {spread(memory)} MB"
    yield f"tcpdump listens after {spread(theirs)} s, a bare Python prints after {spread(bare)} s"
