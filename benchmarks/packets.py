"""The packet source and the flight recorder under ordinary traffic and a flood of resets; tcpdump beside them."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks.common import WATCH, Child, added, paired
from benchmarks.ordinary import Ordinary
from benchmarks.tcpdump import Tcpdump, tcpdump
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Pair
from whyreset.sources.packets import ENDS, RESETS, Packets, Wanted

#: Connections in one block, some 25 ms; and pairs of blocks.
BLOCK, PAIRS, TCPDUMP_PAIRS = 80, 100, 40
#: Packets a second, and for how long.
RATES, SECONDS = (10_000, 100_000, 500_000), 4.0
RESETS_SENT, RESET_RATE = 400_000, 100_000
_WATCHES = {"watch": (), "with --packets": ("--packets",), "with --evidence": ("--evidence",)}


def measure() -> Iterator[str]:
    """Nanoseconds of the kernel a packet, and share of a core; what is always on: at most 1 % at 100,000 packets/s."""
    os.sched_setaffinity(0, {0})
    try:
        with Pair() as pair, Ordinary(pair) as traffic:
            yield from _kernel(pair, traffic)
            for rate in RATES:
                yield from _ordinary(pair, traffic, rate)
        yield from _flooded()
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def _kernel(pair: Pair, traffic: Ordinary) -> Iterator[str]:
    """What one packet costs the kernel more, in whose context it is sent and received."""

    def block() -> float:
        flow = traffic.run(BLOCK)
        return flow.cpu_seconds / flow.packets * 1e9

    base = sorted(block() for _ in range(20))[10]
    yield f"a packet, both ends, without anything: {base:.0f} ns"
    for name, wanted in (("--packets", (RESETS,)), ("--evidence", (ENDS,)), ("both", (RESETS, ENDS))):
        with _Sources(pair, wanted) as sources:
            result = paired(block, sources.switch, PAIRS)
        yield f"{name} adds {added(result)} ns: {result[0] / 100:.1f} % of a core at 100,000/s (budget 1 %)"
    with Tcpdump(pair) as theirs:
        result = paired(block, theirs.switch, TCPDUMP_PAIRS)
    yield f"tcpdump with the guide's filter adds {added(result)} ns: {result[0] / 100:.1f} % of a core at 100,000/s"


def _ordinary(pair: Pair, traffic: Ordinary, rate: int) -> Iterator[str]:
    """The programs' own time, beside what the kernel does for them in the sender's."""

    def flow() -> tuple[float, float]:
        done = traffic.run(packets_per_second=rate, seconds=SECONDS)
        time.sleep(0.2)
        return done.packets / done.seconds, done.seconds + 0.2

    for name, options in _WATCHES.items():
        with tempfile.TemporaryDirectory() as folder, _inside(pair, *WATCH, *options, *_into(options, folder)) as child:
            child.ready()
            speed, share = _share(child, flow)
            yield f"{name}, {speed:,.0f} packets/s: {share:.2%} of a core, {_lost(child)} lost"
    with tempfile.NamedTemporaryFile() as file, tcpdump(pair, file.name) as child:
        child.ready("listening")
        speed, share = _share(child, flow)
        yield f"tcpdump, {speed:,.0f} packets/s: {share:.2%} of a core, {_dropped(child)} lost"


def _flooded() -> Iterator[str]:
    """Each packet is one that passes the filter."""
    for name, options in _WATCHES.items():
        with Pair() as pair, tempfile.TemporaryDirectory() as folder:
            answer_everyone(pair)
            with _inside(pair, *WATCH, *options, *_into(options, folder)) as child:
                child.ready()
                before = child.resident_mb()
                speed, share = _share(child, lambda pair=pair: _resets(pair))  # type: ignore[misc]
                memory = f"{before:.0f} MB, then {child.resident_mb():.0f}"
                yield f"{name}, {speed:,.0f} resets/s: {share:.1%} of a core, {_lost(child)} lost, {memory} (budget 45)"
    with Pair() as pair, tempfile.NamedTemporaryFile() as file:
        answer_everyone(pair)
        with tcpdump(pair, file.name) as child:
            child.ready("listening")
            speed, share = _share(child, lambda: _resets(pair))
            yield f"tcpdump, {speed:,.0f} resets/s: {share:.1%} of a core, {_dropped(child)} lost"


def _share(child: Child, work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    used = child.cpu_seconds()
    speed, seconds = work()
    return speed, (child.cpu_seconds() - used) / seconds


def _resets(pair: Pair) -> tuple[float, float]:
    done = flood(pair, RESETS_SENT, rate=RESET_RATE, cpu=0, spoofed=True)
    time.sleep(0.2)
    return done.segments / done.seconds, done.seconds + 0.2


def _inside(pair: Pair, *command: str) -> Child:
    with pair.b.inside():
        return Child(*command)


def _into(options: tuple[str, ...], folder: str) -> tuple[str, ...]:
    return (folder,) if "--evidence" in options else ()


def _lost(child: Child) -> str:
    time.sleep(2.2)  # what is lost is judged, and told
    lines = child.stop()
    lost = {line["name"]: line["count"] for line in lines if line["type"] == "notice" and line["name"] != "evidence"}
    return ", ".join(f"{count:,} {name}" for name, count in lost.items()) or "nothing"


def _dropped(child: Child) -> str:
    child.stop()
    found = re.search(r"(\d+) packets dropped by kernel", child.text())
    return f"{int(found[1]):,}" if found else "?"


class _Sources:
    """Packet sources of this process, opened and closed at will. What passes them is nothing, so nobody drains them."""

    def __init__(self, pair: Pair, wanted: tuple[Wanted, ...]) -> None:
        self._pair, self._wanted = pair, wanted
        self._open: list[Packets] = []

    def __enter__(self) -> _Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self.switch(False)

    def switch(self, on: bool) -> None:
        if on and not self._open:
            with self._pair.b.inside():
                self._open = [Packets(wanted=each) for each in self._wanted]
                for source in self._open:
                    source.start()
        elif not on:
            for source in self._open:
                source.close()
            self._open = []
