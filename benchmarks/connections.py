"""Kernel time added for each connection over loopback, and to a system call that has nothing to do with it."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Iterator

from benchmarks.common import added, paired
from benchmarks.programs import Attached, Clock
from tests.hosts.hosts import Host

#: In one block: some 8 ms.
COUNT = 150
PAIRS = 400
CALLS = 20_000


def measure() -> Iterator[str]:
    """CPU time, in many short blocks with the programs attached and detached in one process."""
    os.sched_setaffinity(0, {0})
    try:
        with Host("a") as host, Attached() as programs, host.inside(), socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(16)

            def connections() -> float:
                return _connections(listener)

            programs.switch(False)
            base = statistics.median(connections() for _ in range(50))
            result = paired(connections, programs.switch, PAIRS)
            yield f"a connection, both ends, without anything: {base:.1f} us"
            share = result[0] / base
            yield f"whyreset adds {added(result)} us ({share:+.1%}), half of it at each end (budget 1 us an end)"
            programs.switch(True)
            before = programs.runs()
            with Clock():
                for _ in range(20):
                    connections()
                    programs.switch(True)
            yield f"by the kernel's clock: {_runs(before, programs.runs(), 20 * COUNT)}"
            result = paired(_calls, programs.switch, PAIRS)
            yield f"whyreset adds {added(result)} ns to getppid (budget: nothing)"
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _connections(listener: socket.socket) -> float:
    """Microseconds each: opened and closed at both ends."""
    address = listener.getsockname()
    began = time.thread_time_ns()
    for _ in range(COUNT):
        client = socket.create_connection(address)
        server, _peer = listener.accept()
        client.close()
        server.close()
    return (time.thread_time_ns() - began) / COUNT / 1e3


def _calls() -> float:
    """Nanoseconds each."""
    call = os.getppid
    began = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - began) / CALLS


def _runs(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], connections: int) -> str:
    """«set_state 10.0 x 170 ns» for what ran, and the sum."""
    parts, total = [], 0.0
    for name, (runs, spent) in after.items():
        runs, spent = runs - before[name][0], spent - before[name][1]
        if runs >= connections / 10:
            parts.append(f"{name} {runs / connections:.1f} x {spent / runs:.0f} ns")
        total += spent / connections / 1e3
    return f"{total:.2f} us a connection ({', '.join(parts)}; each run includes some 65 ns of measuring)"
