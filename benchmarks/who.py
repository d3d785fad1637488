"""`whyreset who PORT` against lsof and ss: with 10,000 sockets, and with 5,000 processes."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.common import WATCH, Child, spread
from tests.hosts.crowd import crowd
from tests.hosts.hosts import Host

PORT = 8080
SOCKETS = 10_000
PROCESSES = 5_000
#: Each of them holds so many open, as a small server would.
FILES = 20
ROUNDS = 9
#: What the guide tells people to run, and what they run instead.
COMMANDS: dict[str, tuple[str, ...]] = {
    "who": (sys.executable, "-m", "whyreset", "who", str(PORT)),
    "lsof": ("lsof", f"-i:{PORT}", "-P", "-n"),
    "ss": ("ss", "-tnap"),
}


def measure() -> Iterator[str]:
    """Seconds from the command to its end, and its CPU time; all in turn, so that noise hits all."""
    with Host("a") as host:
        yield from _measure(host, "an idle machine")
        with _connections(host):
            yield from _measure(host, f"{SOCKETS:,} sockets")
            with host.inside():
                child = Child(*WATCH)
            with child:
                child.ready()
                yield from _measure(host, f"{SOCKETS:,} sockets and a running watch")
                child.stop()
        with host.inside(), socket.create_server(("127.0.0.1", PORT)), crowd(PROCESSES, FILES):
            yield from _measure(host, f"{PROCESSES:,} processes with {FILES} files each")


def _measure(host: Host, what: str) -> Iterator[str]:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    cpu: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            with host.inside():
                subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    yield f"{what}:"
    own = sorted(seconds["who"])[ROUNDS // 2]
    for name in COMMANDS:
        ratio = sorted(seconds[name])[ROUNDS // 2] / own
        yield f"  {name}: {spread(seconds[name])} s, CPU {spread(cpu[name])} s, {ratio:.2f} of who's time"


@contextmanager
def _connections(host: Host) -> Iterator[None]:
    """So many sockets, both ends of connections to one listener, held by this process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(SOCKETS + 256, most), most))
    with ExitStack() as ends, host.inside():
        listener = ends.enter_context(socket.create_server(("127.0.0.1", PORT), backlog=128))
        for _ in range(SOCKETS // 2):
            ends.enter_context(socket.create_connection(("127.0.0.1", PORT)))
            ends.enter_context(listener.accept()[0])
        yield
