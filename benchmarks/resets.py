"""Kernel time added for each reset, paired: without anything, with whyreset, with tcpdump, in turn in one run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.common import WATCH, Child, spread
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Pair

COUNT = 150_000
ROUNDS = 7
_FILTER = "tcp[tcpflags] & tcp-rst != 0"


def measure() -> Iterator[str]:
    """Microseconds of the sender's CPU (its softirqs do the work of both hosts), and what each program adds."""
    added: dict[str, list[float]] = {"whyreset": [], "tcpdump": []}
    bases: list[float] = []
    with Pair() as pair:
        answer_everyone(pair)
        flood(pair, COUNT, cpu=0)
        for _ in range(ROUNDS):
            for name, values in added.items():
                before = _each(pair)
                with _beside(pair, name) as child:
                    during = _each(pair)
                    child.stop()
                after = _each(pair)
                bases += [before, after]
                values.append(during - (before + after) / 2)
    base = statistics.median(bases)
    yield f"a SYN and its reset, without anything: {spread(bases)} us of CPU"
    for name, values in added.items():
        yield f"{name} adds {spread(values)} us a reset ({statistics.median(values) / base:+.0%})"
    ratio = statistics.median(added["whyreset"]) / max(statistics.median(added["tcpdump"]), 0.001)
    yield f"whyreset adds {ratio:.2f} of what tcpdump with an RST filter adds (budget 0.5 us)"


def _each(pair: Pair) -> float:
    done = flood(pair, COUNT, cpu=0)
    return done.cpu_seconds / done.segments * 1e6


def _beside(pair: Pair, name: str) -> Child:
    if name == "whyreset":
        child = Child(*WATCH)
        child.ready()
        return child
    with pair.b.inside():
        child = Child("tcpdump", "-i", "eth0", "-w", "/dev/null", _FILTER)
    child.ready("listening")
    return child
