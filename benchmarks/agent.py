"""The agent with its history, beside a watch without one: CPU at rest and under floods, memory, what the disk gets."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import WATCH, Child
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Pair
from whyreset.outputs.store.files import size_of

COUNT, RATE = 300_000, 100_000
REST_SECONDS = 12.0
_AGENT = (sys.executable, "-m", "whyreset", "agent", "--json", "--store")


def measure() -> Iterator[str]:
    """Share of a core; budgets: 0.3 % at rest, 70 MB."""
    with tempfile.TemporaryDirectory() as folder:
        for name, command in (
            ("watch", WATCH),
            ("watch --packets", (*WATCH, "--packets")),
            ("agent --no-packets", (*_AGENT, f"{folder}/one.db", "--no-packets")),
            ("agent", (*_AGENT, f"{folder}/two.db")),
        ):
            store = next((each for each in command if each.endswith(".db")), "")
            yield f"{name}: {'; '.join(_run(command, store))}"


def _run(command: tuple[str, ...], store: str) -> Iterator[str]:
    with Pair() as pair:
        answer_everyone(pair)
        with pair.b.inside():
            child = Child(*command)
        with child:
            child.ready()
            time.sleep(2)
            yield f"at rest {_share(child, lambda: time.sleep(REST_SECONDS))}, {child.resident_mb():.0f} MB"
            for what, options in (("one source", {}), ("spoofed", {"spoofed": True})):
                done = f"{RATE:,}/s {what}"
                yield f"{done} {_share(child, lambda options=options: _flood(pair, options))}"
            yield f"scan of 1,000 ports {_share(child, lambda: _flood(pair, {'port': 1000, 'ports': 1000}))}"
            time.sleep(2)
            yield f"then {child.resident_mb():.0f} MB" + (
                f", {size_of(store) / (1 << 20):.1f} MB on disk" if store else ""
            )
            child.stop()


def _flood(pair: Pair, options: dict[str, int | bool]) -> None:
    flood(pair, COUNT, rate=RATE, cpu=0, **options)  # type: ignore[arg-type]
    time.sleep(1)


def _share(child: Child, work: object) -> str:
    """Of a core, by the loop and by the thread that writes."""
    assert callable(work)
    began, before = time.monotonic(), _cpu(child)
    work()
    seconds, after = time.monotonic() - began, _cpu(child)
    loop, rest = (each / seconds for each in (after[0] - before[0], after[1] - before[1]))
    return f"{loop:.2%}" + (f" + {rest:.2%} writing" if rest else "")


def _cpu(child: Child) -> tuple[float, float]:
    """CPU time of the first thread, and of the others."""
    tasks = Path(f"/proc/{child.process.pid}/task")
    used = {name: int((tasks / name / "schedstat").read_text().split()[0]) / 1e9 for name in os.listdir(tasks)}
    first = used.pop(str(child.process.pid))
    return first, sum(used.values())
