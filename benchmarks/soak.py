"""Resident memory of `watch` over time, with connections, resets, scans, listeners and processes that come and go."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.common import WATCH, Child
from tests.hosts.flood import ACK, answer_everyone, flood
from tests.hosts.hosts import Pair

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
EVERY_SECONDS = 5.0
#: One process of many lives: it listens, is connected to, aborts, and ends, over and over.
_TRAFFIC = """
import os, socket, struct, sys, time
end = time.monotonic() + float(sys.argv[1])
port = 10000
while time.monotonic() < end:
    port = 10000 + (port - 9999) % 20000
    pid = os.fork()
    if pid == 0:
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        for number in range(60):
            client = socket.create_connection(("127.0.0.1", port))
            server, _ = listener.accept()
            if number % 3 == 0:
                client.send(b"unread")
            if number % 3 == 1:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            client.close()
        os._exit(number % 3)
    os.waitpid(pid, 0)
    with socket.socket() as late:
        late.connect_ex(("127.0.0.1", port))
    time.sleep(0.2)
"""


def measure() -> Iterator[str]:
    """Megabytes; SOAK_SECONDS says for how long (an hour: 3600). The budget is 45 MB."""
    with Pair() as pair, Child(*WATCH) as child:
        answer_everyone(pair)
        child.ready()
        began, samples = time.monotonic(), [(0.0, child.resident_mb())]
        argv = [sys.executable, "-c", _TRAFFIC, str(SECONDS)]
        with pair.b.start(*argv, stderr=subprocess.DEVNULL) as traffic:
            while (passed := time.monotonic() - began) < SECONDS:
                _scan(pair, round(passed / EVERY_SECONDS))
                time.sleep(max(0.0, EVERY_SECONDS - (time.monotonic() - began - passed)))
                samples.append((time.monotonic() - began, child.resident_mb()))
            traffic.wait(30)
        used = child.cpu_seconds() / (time.monotonic() - began)
        lines = [line for line in child.stop() if line["type"] in ("end", "notice")]
    end = lines[-1]
    most = max(resident for _, resident in samples)
    yield f"after {SECONDS:.0f} s {samples[-1][1]:.1f} MB; first {samples[0][1]:.1f}, at most {most:.1f} (budget 45)"
    if len(samples) >= 8:
        half = samples[len(samples) // 2 :]
        slope = statistics.linear_regression([each[0] for each in half], [each[1] for each in half]).slope
        yield f"in the second half it grows by {slope * 3600:+.2f} MB an hour"
    yield f"{used:.2%} of a core; resets {end['counted']:,} counted, {end['seen']:,} seen, {end['lost']:,} lost"
    notices: Counter[str] = Counter()
    for line in lines[:-1]:
        notices[line["name"]] += line.get("count", 0)
    yield "notices: " + (", ".join(f"{name} {count:,}" for name, count in notices.items()) or "none")


def _scan(pair: Pair, number: int) -> None:
    """Ports and remotes that were never seen before, so that every table is filled."""
    first = 1000 + number * 500 % 50_000
    with suppress(OSError):
        flood(pair, 1000, port=first, ports=500, rate=2000, spoofed=bool(number % 2))
        flood(pair, 500, port=first, ports=50, rate=2000, spoofed=True, flags=ACK)
