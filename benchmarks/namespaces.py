"""The counters of 200 namespaces: what one reading costs, against reading /proc in each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.common import spread
from tests.hosts.hosts import Host
from whyreset.sources.counters import CounterSource
from whyreset.sources.program import Program

NAMESPACES = 200
ROUNDS = 21


def measure() -> Iterator[str]:
    """Milliseconds of CPU a reading; read once a second, the budget of 0.2 % of a core is 2 ms."""
    with ExitStack() as hosts:
        all_of_them = [hosts.enter_context(Host(f"n{number}")) for number in range(NAMESPACES)]
        program = Program()
        program.load()
        hosts.callback(program.close)
        source = CounterSource(program)
        source.start()
        ours, theirs, found = [], [], 0
        for _ in range(ROUNDS):
            began = time.thread_time_ns()
            found = len(source.read(time.monotonic_ns()))
            ours.append((time.thread_time_ns() - began) / 1e6)
        for _ in range(3):
            began = time.thread_time_ns()
            for host in all_of_them:
                host.counters()
            theirs.append((time.thread_time_ns() - began) / 1e6)
        yield f"{found} namespaces by walking the kernel's list: {spread(ours)} ms"
        ratio = min(theirs) / max(ours)
        yield f"{NAMESPACES} namespaces by setns and /proc: {spread(theirs)} ms, {ratio:.0f} times as much or more"
