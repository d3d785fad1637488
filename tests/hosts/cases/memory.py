"""Too many orphans. The limit is the whole machine's, so this case runs alone and puts it back."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts.cases.model import Case, Expected, Stage, sent, twins
from tests.hosts.hosts import await_true

#: Longer than a tick at 100 Hz.
_TICK_SECONDS = 0.015
ORPHANS, MEMORY, USED = (
    Path(f"/proc/{each}") for each in ("sys/net/ipv4/tcp_max_orphans", "sys/net/ipv4/tcp_mem", "net/sockstat")
)


@contextmanager
def limited(setting: Path, *values: int) -> Iterator[None]:
    """Change a setting of the whole machine for the length of the block.

    A small shell puts the old value back as soon as its input ends, so also when this process is killed. It needs
    nothing but itself: a command that is missing would have it put the value back at once.
    """
    restore = f"read nothing; echo {setting.read_text().strip()} >{setting}"
    with subprocess.Popen(["sh", "-c", restore], stdin=subprocess.PIPE, start_new_session=True):
        setting.write_text(" ".join(map(str, values)))
        yield
        if (now := [int(each) for each in setting.read_text().split()]) != list(values):
            raise RuntimeError(f"somebody set {setting} to {now} meanwhile")


@contextmanager
def memory_pressure(pages: int) -> Iterator[None]:
    """Have TCP be short of memory once it holds so many pages more than now; its limit stays."""
    used = int(USED.read_text().partition(" mem ")[2].split()[0])
    least = used + pages
    with limited(MEMORY, least, least, int(MEMORY.read_text().split()[2])):
        yield


def _aborted(stage: Stage, count: int) -> bool:
    """Whether so many were aborted; keeps every CPU busy in turn.

    The kernel counts orphans anew each 100 ms, but on a timer that waits until a tick finds its CPU awake
    (tcp_orphan_timer is deferrable). A probe that comes before it has, finds no orphan, and the next is twice as late.
    """
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})
            tick = time.monotonic() + _TICK_SECONDS
            while time.monotonic() < tick:
                pass
    finally:
        os.sched_setaffinity(0, allowed)
    return stage.b.counters()["TCPAbortOnMemory"] >= count


def too_many_orphans(stage: Stage) -> Iterator[Expected]:
    """Connections with unsent data are closed while no orphan is allowed: reset from a timer, or in close() itself.

    Each is closed as soon as its data is stuck: its probes come ever more seldom, and after minutes they are given up.
    """
    listener = stage.listen(8080)
    clients = []
    with limited(ORPHANS, 0):
        for number in range(6):
            if number == 3:
                await_true(lambda: _aborted(stage, 1), "a first orphan to be aborted by its timer", 20)
            clients.append(stage.connect(8080))
            server = listener.accept()
            server.fill()
            server.await_in_flight(0)
            server.close()
        await_true(lambda: _aborted(stage, len(clients)), "all to be aborted", 20)
    pid = stage.server.pid
    for client in clients:
        reset = sent(stage.b, "too-many-orphans", 8080, "TCP_ABORT_ON_MEMORY", trigger=None, owner=pid)
        yield from twins(reset, stage.a, client.port, stage.client.pid)


CASES = (Case("08", "orphans beyond tcp_max_orphans", too_many_orphans, alone=True),)
