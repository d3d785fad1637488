"""A bounded flood of raw segments from one host to another: builds flood.c once and runs it."""

from dataclasses import dataclass

from tests.hosts.built import built
from tests.hosts.hosts import Pair

SYN, ACK = 2, 16


@dataclass(frozen=True)
class Flooded:
    """What a flood did: segments sent, seconds it took, CPU seconds of the sender (its softirqs included)."""

    segments: int
    seconds: float
    cpu_seconds: float


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
    argv = [str(built("flood")), pair.address(pair.b, 4), str(count)]
    argv += ["-p", str(port), "-n", str(ports), "-f", str(flags)]
    argv += ["-s", "198.0.0.0"] if spoofed else ["-a", pair.address(pair.a, 4)]
    argv += ["-r", str(rate)] if rate else []
    argv += ["-c", str(cpu)] if cpu is not None else []
    segments, seconds, user, system = pair.a.run(*argv, timeout=60).out.split()
    return Flooded(int(segments), float(seconds), float(user) + float(system))


def answer_everyone(pair: Pair) -> None:
    """Give host b a way back to any address: by host a, which drops what is not its own."""
    pair.b.run("ip", "route", "replace", "default", "via", pair.address(pair.a, 4))
