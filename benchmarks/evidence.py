"""`capture` and the flight recorder under a flood of 100,000 resets/s: memory, what is kept, what is told as lost."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import Child
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Pair

SECONDS = float(os.environ.get("FLOOD_SECONDS", "10"))
RATE = 100_000
#: flood.c ends by itself after this.
_AT_ONCE_SECONDS = 20
_EVERY_SECONDS = 0.25
#: docs/capture.md says so.
CAPTURE_MB, RECORDER_MB = 80, 112


def measure() -> Iterator[str]:
    """FLOOD_SECONDS says for how long (the specification's minute: 60)."""
    with tempfile.TemporaryDirectory() as folder:
        words: tuple[str, ...] = (
            "capture",
            "-o",
            f"{folder}/x.pcapng",
            "--duration",
            "600",
            "--rotate",
            "64",
            "--files",
            "2",
        )
        with Pair() as pair, _running(pair, words, "capturing into") as child:
            yield from _flooded(pair, child, "capture", CAPTURE_MB)
            began = time.monotonic()
            child.stop()
            last = child.text().strip().splitlines()[-1]
            yield f"it ends {time.monotonic() - began:.1f} s after it was asked to: {last}"
        words = ("watch", "--json", "--evidence", f"{folder}/evidence")
        with Pair() as pair, _running(pair, words, '"start"') as child:
            yield from _flooded(pair, child, "watch --evidence", RECORDER_MB)
            lines = child.stop()
            for line in lines:
                if line["type"] == "notice":
                    yield f"told: {line['name']} {line.get('count', 0):,}: {line['text']}"
            files = [path.stat().st_size for path in Path(folder, "evidence").iterdir()]
            yield f"evidence: {len(files)} files, {sum(files) / (1 << 20):.0f} MB"


@contextmanager
def _running(pair: Pair, words: tuple[str, ...], mark: str) -> Iterator[Child]:
    answer_everyone(pair)
    with pair.b.inside():
        child = Child(sys.executable, "-m", "whyreset", *words)
    with child:
        child.ready(mark)
        yield child


def _flooded(pair: Pair, child: Child, name: str, bound_mb: int) -> Iterator[str]:
    """The flood, and what it does to the command."""
    sent = [0]

    def send() -> None:
        while (left := began + SECONDS - time.monotonic()) > 0:
            some = min(left, _AT_ONCE_SECONDS)
            sent[0] += flood(pair, round(some * RATE), rate=RATE, cpu=0, spoofed=True).segments

    before, used, began = child.resident_mb(), child.cpu_seconds(), time.monotonic()
    most = before
    thread = threading.Thread(target=send)
    thread.start()
    while thread.is_alive():
        time.sleep(_EVERY_SECONDS)
        most = max(most, child.resident_mb())
    passed = time.monotonic() - began
    share = (child.cpu_seconds() - used) / passed
    time.sleep(6)
    yield (
        f"{name}: {sent[0]:,} resets in {passed:.0f} s ({sent[0] / passed:,.0f}/s), {share:.0%} of a core;"
        f" {before:.0f} MB before, {most:.0f} at most (bound {bound_mb}), {child.resident_mb():.0f} after"
    )
