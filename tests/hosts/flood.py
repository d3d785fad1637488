"""A bounded flood of raw segments from one host to another: builds flood.c once and runs it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.hosts import Pair

SOURCE = Path(__file__).with_name("flood.c")
BUILT = Path(__file__).parents[2] / "build" / "flood"
SYN, ACK = 2, 16


@dataclass(frozen=True)
class Flooded:
    """What a flood did: segments sent, seconds it took, CPU seconds of the sender (its softirqs included)."""

    segments: int
    seconds: float
    cpu_seconds: float


def _program() -> Path:
    if not BUILT.exists() or BUILT.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILT.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-o", str(BUILT), str(SOURCE)], check=True)
    return BUILT


def flood(
    pair: Pair,
    count: int,
    *,
    port: int = 9,
    ports: int = 1,
    spoofed: bool = False,
    flags: int = SYN,
    rate: int | None = None,
    cpu: int | None = None,
) -> Flooded:
    """Send so many segments from host a to host b.

    With `spoofed` each comes from another address of 198.0.0.0/8; host b then needs a default route, or its resets
    are counted without being sent.
    """
    argv = [str(_program()), pair.address(pair.b, 4), str(count), "-p", str(port), "-n", str(ports), "-f", str(flags)]
    argv += ["-s", "198.0.0.0"] if spoofed else ["-a", pair.address(pair.a, 4)]
    argv += ["-r", str(rate)] if rate else []
    argv += ["-c", str(cpu)] if cpu is not None else []
    segments, seconds, user, system = pair.a.run(*argv, timeout=60).out.split()
    return Flooded(int(segments), float(seconds), float(user) + float(system))


def answer_everyone(pair: Pair) -> None:
    """Give host b a way back to any address: by host a, which drops what is not its own."""
    pair.b.run("ip", "route", "replace", "default", "via", pair.address(pair.a, 4))
