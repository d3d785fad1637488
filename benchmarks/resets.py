"""Kernel time added for each reset, in the context of whoever provoked it; tcpdump's beside it in the same run."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

from benchmarks.common import added, paired
from benchmarks.programs import Attached, Clock
from benchmarks.tcpdump import Tcpdump
from tests.hosts.flood import answer_everyone, flood
from tests.hosts.hosts import Pair

#: In one block: some 30 ms, and fewer than the ring holds.
COUNT = 5_000
PAIRS = 200
TCPDUMP_PAIRS = 40


def measure() -> Iterator[str]:
    """Microseconds of the sender's CPU: its softirqs do the work of both hosts."""
    os.sched_setaffinity(0, {1})
    try:
        with Pair() as pair:
            answer_everyone(pair)

            def block(ports: int = 1) -> float:
                done = flood(pair, COUNT, cpu=0, ports=ports)
                return done.cpu_seconds / done.segments * 1e6

            with Attached() as programs:
                programs.switch(False)
                base = statistics.median(block() for _ in range(10))
                yield f"a SYN and its reset, without anything: {base:.2f} us of CPU"
                ours = paired(block, programs.switch, PAIRS)
                yield f"whyreset adds {added(ours)} us a reset ({ours[0] / base:+.0%}; budget 0.5 us)"
                programs.switch(True)
                before = programs.runs()
                with Clock():
                    block()
                runs, spent = (
                    after - was for after, was in zip(programs.runs()["send_reset"], before["send_reset"], strict=True)
                )
                yield f"by the kernel's clock: {spent / runs:.0f} ns a run, some 65 ns of measuring included"
            with Attached() as without, Attached(triggers=True) as programs:
                without.switch(False)

                def other(on: bool) -> None:
                    """One of both at a time."""
                    for each, is_on in ((programs, on), (without, not on)):
                        each.switch(is_on)

                more = paired(block, other, PAIRS)
                yield f"copying a sample of what provokes them (--evidence, capture) adds {added(more)} us a reset"
                spread = paired(lambda: block(1000), other, PAIRS // 2)
                yield f"the same over 1,000 ports, each a kind of its own: {added(spread)} us"
            with Tcpdump(pair) as tcpdump:
                theirs = paired(block, tcpdump.switch, TCPDUMP_PAIRS)
            yield f"tcpdump with an RST filter adds {added(theirs)} us ({theirs[0] / base:+.0%})"
            yield f"whyreset adds {ours[0] / max(theirs[0], 0.001):.2f} of what tcpdump adds"
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
