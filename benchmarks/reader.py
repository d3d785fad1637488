"""The reader under floods: CPU, losses, memory, and whether the account closes; tcpdump beside it as the peer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.common import WATCH, Child
from benchmarks.tcpdump import tcpdump
from tests.hosts.flood import ACK, answer_everyone, flood
from tests.hosts.hosts import Pair

COUNT = 500_000
RATE = 100_000
FLOODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("one source, one port", {}),
    ("spoofed sources, one port", {"spoofed": True}),
    ("one source, 1,000 ports", {"port": 1000, "ports": 1000}),
    ("spoofed ACKs", {"spoofed": True, "flags": ACK}),
)


def measure() -> Iterator[str]:
    """Share of a core at about 100,000 resets a second; budget 2 %."""
    with Pair() as pair, Child(*WATCH) as child:
        answer_everyone(pair)
        child.ready()
        began, used = time.monotonic(), child.cpu_seconds()
        time.sleep(5)
        share = (child.cpu_seconds() - used) / (time.monotonic() - began)
        yield f"idle: {share:.2%} of a core, {child.resident_mb():.0f} MB"
        for name, options in FLOODS:
            yield f"{name}: {_share(pair, child, options)}"
        yield f"memory after {len(FLOODS) * COUNT:,} resets: {child.resident_mb():.0f} MB (budget 45)"
        time.sleep(1.2)
        lines = [line for line in child.stop() if line["type"] == "count" and line["netns_cookie"] == pair.b.cookie]
        names = ("counted", "seen", "explained", "lost", "unseen", "uncounted")
        yield "account: " + ", ".join(f"{name} {lines[-1][name]:,}" for name in names)
    with Pair() as pair:
        answer_everyone(pair)
        with tcpdump(pair) as child:
            child.ready("listening")
            yield f"tcpdump -w /dev/null with an RST filter, one source, one port: {_share(pair, child, {})}"
            child.stop()


def _share(pair: Pair, child: Child, options: dict[str, Any]) -> str:
    used = child.cpu_seconds()
    done = flood(pair, COUNT, rate=RATE, cpu=0, **options)
    time.sleep(0.2)
    spent = child.cpu_seconds() - used
    speed, share, each = done.segments / done.seconds, spent / done.seconds, spent / done.segments * 1e9
    return f"{speed:,.0f}/s, {share:.1%} of a core, {each:.0f} ns a reset"
