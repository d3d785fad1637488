"""Captures: CPU time and memory of `whyreset explain` against what others need to read the same files, in turn.

    python -m benchmarks.captures [SCALE]       SCALE 5 makes files five times as large

The files are made by traffic.c beside this one: web (full packets), mixed (96 bytes of each), scan.
"""

from __future__ import annotations

import datetime
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bounded import bounded
from benchmarks.common import machine

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path(__file__).with_name("traffic.c")
BUILT = ROOT / "build/traffic"
NFSTREAM = ROOT / "build/nfstream/bin/python"
CONNECTIONS = {"web": 40_000, "mixed": 200_000, "scan": 500_000}
#: Written into a pipe for the test of memory; the second is the first ten times over. The bound is less than either.
PIPED = (10_000, 100_000)
BOUND_MEGABYTES = 64
ROUNDS = 3
WHYRESET = f"{sys.executable} -m whyreset explain"
_RESETS = "'tcp[tcpflags] & tcp-rst != 0 or (ip6[6] == 6 and ip6[53] & 4 != 0)'"
_NFSTREAM = "from nfstream import NFStreamer as N; import sys; print(sum(1 for _ in N(sys.argv[1], n_dissections=0, \
statistical_analysis=True, n_meters=1)))"
#: What each is called, the program that it needs, and its command; those slower than a tenth of us run once.
PEERS = (
    ("whyreset", sys.executable, WHYRESET + " {}", ROUNDS),
    ("cat", "cat", "cat {}", ROUNDS),
    ("capinfos", "capinfos", "capinfos {}", ROUNDS),
    ("tcpdump, resets only", "tcpdump", f"tcpdump -nSr {{}} {_RESETS}", ROUNDS),
    ("argus + ra", "argus", "argus -r {} -w - | ra -n -r - -w /dev/null", 1),
    ("tcptrace", "tcptrace", "tcptrace -n {}", 1),
    ("tshark, resets only", "tshark", "tshark -nr {} -Y tcp.flags.reset==1", 1),
    ("nfstream", str(NFSTREAM), f'{NFSTREAM} -c "{_NFSTREAM}" {{}}', 1),
)
#: What the budgets of the design are: kind of traffic, peer, and how much of its CPU time we may use.
BUDGETS = (
    ("web", "cat", 1.5),
    ("mixed", "capinfos", 1.3),
    ("scan", "tcpdump, resets only", 3.0),
    *((kind, "argus + ra", 1 / 9) for kind in CONNECTIONS),
    *((kind, "tshark, resets only", 1 / 50) for kind in CONNECTIONS),
)
# a small program in between, since a process inherits the peak memory of who started it
_METER = (
    "import resource as r, subprocess as s, sys; c = s.run(['bash', '-o', 'pipefail', '-c', sys.argv[1]], stdout=-3, \
stderr=-3).returncode; u = r.getrusage(r.RUSAGE_CHILDREN); print(c, u.ru_utime + u.ru_stime, u.ru_maxrss)"
)


def traffic() -> Path:
    """The generator, built when its source is newer."""
    if not BUILT.exists() or BUILT.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILT.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-o", str(BUILT), str(SOURCE), "-lm"], check=True)
    return BUILT


def make(kind: str, connections: int, path: Path) -> dict[str, Any]:
    """Write a capture; what the generator says is in it."""
    with path.open("wb") as file:
        done = subprocess.run([traffic(), kind, str(connections)], stdout=file, stderr=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stderr)
    return told


def meter(command: str) -> tuple[float, float]:
    """CPU seconds and megabytes of peak memory of a command and its children."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _METER, command], capture_output=True, text=True, check=True
    )
    code, seconds, kilobytes = done.stdout.split()
    if int(code):
        raise RuntimeError(f"it failed with {code}: {command}")
    return float(seconds), int(kilobytes) / 1024


def measure(scale: float = 1.0) -> Iterator[str]:
    """Each file in turn by each program."""
    missing = [name for name, program, *_ in PEERS if not shutil.which(program)]
    if missing:
        yield f"not installed, so not compared: {', '.join(missing)}"
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        for kind, connections in CONNECTIONS.items():
            path = Path(folder) / f"{kind}.pcap"
            truth = make(kind, int(connections * scale), path)
            yield f"{kind}: {truth['packets']:,} packets, {truth['bytes'] / 1e6:,.0f} MB, {truth['resets']:,} resets"
            yield from _compare(kind, truth["packets"], path, missing)
            path.unlink()
    yield from _piped(scale)


def _compare(kind: str, packets: int, path: Path, missing: list[str]) -> Iterator[str]:
    seconds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    path.read_bytes()  # nobody waits for the disk
    for number in range(ROUNDS):
        for name, _, command, rounds in PEERS:
            if name in missing or number >= rounds:
                continue
            spent, megabytes = meter(command.format(path))
            seconds.setdefault(name, []).append(spent)
            memory[name] = max(memory.get(name, 0), megabytes)
    ours = statistics.median(seconds["whyreset"])
    for name, all_of_them in seconds.items():
        spent = max(statistics.median(all_of_them), 0.001)
        speed = packets / spent / 1e6
        yield (
            f"  {name:<21} {spent:8.2f} CPU s {speed:7.2f} M packets/s {memory[name]:6.0f} MB"
            f"   whyreset uses {ours / spent:.3g} of it"
        )
    for of, peer, budget in BUDGETS:
        if of == kind and peer in seconds:
            used = ours / max(statistics.median(seconds[peer]), 0.001)
            yield f"  budget: at most {budget:.2g} of {peer}: {'kept' if used <= budget else 'MISSED'} ({used:.2g})"


def _piped(scale: float) -> Iterator[str]:
    """The same traffic without end through a pipe: memory must not follow the size, and stays within a bound."""
    peaks = []
    with tempfile.NamedTemporaryFile() as told:
        sources = [f"{traffic()} web {int(connections * scale)} 2>{told.name}" for connections in PIPED]
        for source in sources:
            spent, megabytes = meter(f"{source} | {WHYRESET} -")
            size = json.loads(Path(told.name).read_text())["bytes"] / 1e9
            peaks.append(megabytes)
            yield f"web through a pipe, {size:,.1f} GB: {megabytes:.0f} MB, {spent:.1f} CPU s, the generator's included"
        flat = peaks[-1] <= peaks[0] * 1.25  # the table of connections grows up to its limit
        yield f"memory is {'flat' if flat else 'NOT FLAT'}: {' and '.join(f'{each:.0f} MB' for each in peaks)}"
        with bounded(BOUND_MEGABYTES) as group:
            if group is None:
                yield f"no bound of {BOUND_MEGABYTES} MB can be set here: that needs root and a memory controller"
                return
            meter(f"{sources[-1]} | {group.command(WHYRESET + ' -')}")  # whoever needs more is killed: that raises
            yield f"the same with a bound of {BOUND_MEGABYTES} MB: {group.peak_megabytes():.0f} MB at most"


def main() -> int:
    """Runs it."""
    (ROOT / "build").mkdir(exist_ok=True)
    print(f"{datetime.date.today()}, Linux {machine()}")
    for line in measure(float(sys.argv[1]) if sys.argv[1:] else 1.0):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
