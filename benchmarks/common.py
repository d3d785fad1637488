"""What the benchmarks share: `whyreset watch` as a child, its CPU time and memory, tables."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

WATCH = (sys.executable, "-m", "whyreset", "watch", "--json")


class Child:
    """A program beside the measurement, pinned to a CPU; its lines go to a file, so that no pipe holds it up."""

    def __init__(self, *command: str, cpu: int = 1) -> None:
        self._file = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self._began = time.perf_counter()
        self.process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=self._file, stderr=self._file)

    def ready(self, mark: str = "") -> float:
        """Waits for a first line (one that holds `mark`); seconds since the start of the command."""
        with open(self._file.name) as reading:
            while time.perf_counter() - self._began < 20:
                line = reading.readline()
                if line.endswith("\n") and mark in line:
                    return time.perf_counter() - self._began
                if self.process.poll() is not None:
                    raise RuntimeError(f"it ended: {line}{reading.read()}")
                time.sleep(0.001)
        raise TimeoutError("it said nothing for 20 s")

    def cpu_seconds(self) -> float:
        """CPU time so far, of the main threads of both its processes."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self._pids()) / 1e9

    def resident_mb(self) -> float:
        """Resident memory of both its processes, with the mapped rings; what is shared counts in proportion (PSS)."""
        rolled = (Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2] for pid in self._pids())
        return sum(int(each.split()[0]) for each in rolled) / 1024

    def _pids(self) -> list[int]:
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def stop(self) -> list[dict[str, Any]]:
        """Ends it; its lines as values, those that are no JSON left out."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=40)
        self._file.seek(0)
        values = []
        for line in self._file:
            try:
                values.append(json.loads(line))
            except ValueError:
                continue
        return values

    def text(self) -> str:
        """All that it has said."""
        self._file.seek(0)
        return self._file.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


def spread(values: Iterable[float]) -> str:
    """«median (quartiles)»."""
    ordered = sorted(values)
    if len(ordered) < 4:
        return f"{statistics.median(ordered):.2f}"
    low, _, high = statistics.quantiles(ordered, n=4)
    return f"{statistics.median(ordered):.2f} ({low:.2f} to {high:.2f})"


def paired(block: Callable[[], float], switch: Callable[[bool], None], pairs: int) -> tuple[float, tuple[float, float]]:
    """What switching something on adds to a block: the median of paired differences, and its 95 % confidence interval.

    Blocks shall be short (milliseconds) and many: what else goes on on the machine then hits both of a pair, or is an
    outlier that a median does not see. Which of a pair comes first is drawn by lot, so that drifts cancel out.

    Args:
        block: does the work, and tells its cost.
        switch: on or off; what it costs itself is not measured.
        pairs: how many; the interval narrows with their root.
    """
    lot = random.Random(1)
    differences = []
    for _ in range(pairs):
        first = lot.random() < 0.5
        costs = {}
        for on in (first, not first):
            switch(on)
            costs[on] = block()
        differences.append(costs[True] - costs[False])
    differences.sort()
    # the order statistics that enclose the median with 95 % (sign test, normal approximation)
    reach = 0.98 * math.sqrt(pairs)
    low, high = max(int(pairs / 2 - reach), 0), min(math.ceil(pairs / 2 + reach), pairs - 1)
    return statistics.median(differences), (differences[low], differences[high])


def added(result: tuple[float, tuple[float, float]], scale: float = 1.0) -> str:
    """«median (95 %: low to high)»."""
    median, (low, high) = result
    return f"{median * scale:.2f} (95 %: {low * scale:.2f} to {high * scale:.2f})"


def machine() -> str:
    """One line on where this runs."""
    model = next(
        (x.split(":", 1)[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x), "?"
    )
    return f"{os.uname().release}, {os.cpu_count()} CPUs, {model}"
