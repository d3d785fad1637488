"""From a reset to its line: how long after the kernel sent it the JSON line is there to be read."""

from __future__ import annotations

import datetime
import json
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from benchmarks.common import WATCH
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Host, Pair

PORT = 7
FLOODED = 9
SAMPLES = 200
IN_FLOOD = 40
RATE = 100_000


def measure() -> Iterator[str]:
    """Milliseconds; the budget from surge to verdict is 1.5 s in the median, 3 s at most."""
    with Pair() as pair, subprocess.Popen(WATCH, stdout=subprocess.PIPE, text=True) as watch:
        reader = _Reader(watch, pair.b)
        try:
            reader.started.wait(20)
            answer_everyone(pair)
            _provoke(pair, reader, SAMPLES, 0.15)
            yield f"one reset now and then: {_spread(reader.waited)} ms"
            reader.waited.clear()
            thread = threading.Thread(
                target=flood, args=(pair, RATE * 10), kwargs={"port": FLOODED, "rate": RATE, "spoofed": True}
            )
            thread.start()
            _provoke(pair, reader, IN_FLOOD, 0.2)
            thread.join()
            yield f"the same within a spoofed flood of {RATE:,}/s: {_spread(reader.waited)} ms"
        finally:
            watch.terminate()
            reader.join()


class _Reader:
    """Reads lines as they come, and how late those of our port are."""

    def __init__(self, watch: subprocess.Popen[str], host: Host) -> None:
        self.waited: list[float] = []
        self.started = threading.Event()
        self._watch = watch
        self._cookie = host.cookie
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Waits for the end of what it reads."""
        self._thread.join(10)

    def _read(self) -> None:
        assert self._watch.stdout
        for text in self._watch.stdout:
            now = time.time()
            line: dict[str, Any] = json.loads(text)
            self.started.set()
            if line["type"] == "reset" and line.get("sport") == PORT and line["netns_cookie"] == self._cookie:
                moment, _, fraction = line["time"].removesuffix("Z").partition(".")
                sent = datetime.datetime.fromisoformat(f"{moment}+00:00").timestamp() + int(fraction) / 1e9
                self.waited.append((now - sent) * 1e3)


def _provoke(pair: Pair, reader: _Reader, samples: int, seconds: float) -> None:
    """So many refused connections, at moments that have nothing to do with the watch's ticks."""
    lot = random.Random(1)
    for number in range(1, samples + 1):
        with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client, suppress(OSError):
            client.settimeout(5)
            client.connect((pair.address(pair.b, 4), PORT))
        time.sleep(lot.uniform(0.5, 1.5) * seconds)
        deadline = time.monotonic() + 5
        while len(reader.waited) < number and time.monotonic() < deadline:
            time.sleep(0.01)


def _spread(waited: list[float]) -> str:
    ordered = sorted(waited)
    middle, high = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"median {middle:.0f}, 99 % within {high:.0f}, at most {ordered[-1]:.0f}, of {len(ordered)}"
