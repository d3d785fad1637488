"""Kernel time added for each connection that is opened and closed over loopback: both its ends are on this host."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Iterator

from benchmarks.common import WATCH, Child, spread
from tests.hosts.hosts import Host

COUNT = 4_000
ROUNDS = 9


def measure() -> Iterator[str]:
    """Microseconds of CPU a connection, paired on and off; and what is added to an unrelated system call."""
    added, calls, bases = [], [], []
    os.sched_setaffinity(0, {0})
    try:
        with Host("a") as host:
            _connections(host)
            for _ in range(ROUNDS):
                before, call_before = _connections(host), _calls()
                with Child(*WATCH) as child:
                    child.ready()
                    during, call_during = _connections(host), _calls()
                    child.stop()
                after, call_after = _connections(host), _calls()
                bases += [before, after]
                added.append(during - (before + after) / 2)
                calls.append(call_during - (call_before + call_after) / 2)
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    base = statistics.median(bases)
    yield f"a connection, both ends, without anything: {spread(bases)} us of CPU"
    share = statistics.median(added) / base
    yield f"whyreset adds {spread(added)} us ({share:+.0%}), half of it at each end (budget 1 us)"
    yield f"whyreset adds {spread(value * 1000 for value in calls)} ns to getppid (budget: nothing)"


def _connections(host: Host) -> float:
    with host.inside(), socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        began = time.thread_time_ns()
        for _ in range(COUNT):
            client = socket.create_connection(listener.getsockname())
            server, _peer = listener.accept()
            client.close()
            server.close()
        return (time.thread_time_ns() - began) / COUNT / 1e3


def _calls() -> float:
    began = time.thread_time_ns()
    for _ in range(200_000):
        os.getppid()
    return (time.thread_time_ns() - began) / 200_000 / 1e3
