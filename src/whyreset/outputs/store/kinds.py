"""What is kept, one entry a line type: how like ones merge, how many a window holds, what share of the file it gets.

A new type of line is one more entry, and its values among those that the agent hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

from whyreset.model import Alert, Count, Finding, Notice, Reset, Verdict
from whyreset.outputs.store import merging
from whyreset.outputs.store.values import Packets, Run


class Kind(Struct, frozen=True, kw_only=True):
    """One type of value."""

    #: Its name in the file.
    name: str
    of: type
    #: From when to when a value is, in nanoseconds since the epoch.
    span: Callable[[Any], tuple[int, int]]
    #: Values with the same key become one by `merge`; None where each stays as it is.
    key: Callable[[Any], Hashable] | None = None
    merge: Callable[[Any, Any], Any] | None = None
    #: What a value becomes when a window is full, to be merged further; None where it is lost then, and counted.
    rest: Callable[[Any], Any] | None = None
    #: Values of which a window is full, and of those that may only have half of it.
    most: int = 256
    is_common: Callable[[Any], bool] | None = None
    #: What a value stands for, where that is lost.
    weigh: Callable[[Any], int] = lambda _: 1
    #: Bytes of memory that a value takes, about.
    bytes: Callable[[Any], int] = lambda _: 512
    #: So long values go into one window.
    window_ns: int = 10_000_000_000
    #: Parts of the file, of those of all kinds together.
    share: int


def _moment(value: Any) -> tuple[int, int]:
    return value.time_ns, value.time_ns


def _packets_span(packets: Packets) -> tuple[int, int]:
    times = [each[0] for each in packets.frames] or [each.time_ns for each in packets.resets]
    return min(times, default=0), max(times, default=0)


KINDS = (
    Kind(
        name="reset",
        of=Reset,
        span=lambda reset: (reset.time_ns, reset.last_ns),
        key=merging.reset_key,
        merge=merging.merge_resets,
        rest=merging.crowd,
        # a scan has one for each port: what real services do keeps its room
        is_common=lambda reset: reset.owner is None and reset.closer is None,
        weigh=lambda reset: reset.count,
        bytes=lambda _: 3072,
        share=25,
    ),
    Kind(
        name="count",
        of=Count,
        span=_moment,
        key=lambda count: count.netns_cookie or count.netns,
        merge=merging.merge_counts,
        most=1024,
        share=10,
    ),
    Kind(name="alert", of=Alert, span=_moment, bytes=lambda _: 2048, share=4),
    Kind(
        name="notice",
        of=Notice,
        span=_moment,
        key=lambda notice: (notice.name, notice.text),
        merge=merging.merge_notices,
        share=2,
    ),
    Kind(
        name="finding",
        of=Finding,
        span=lambda finding: (finding.since_ns, finding.time_ns),
        key=lambda finding: finding.id,
        merge=lambda _, later: later,
        bytes=lambda _: 2048,
        share=4,
    ),
    Kind(
        name="verdict",
        of=Verdict,
        span=_moment,
        key=lambda _: "",
        merge=lambda _, later: later,
        bytes=lambda _: 2048,
        share=2,
    ),
    Kind(
        name="packets",
        of=Packets,
        span=_packets_span,
        weigh=lambda packets: len(packets.frames),
        bytes=lambda packets: 160 * len(packets.frames) + sum(len(each[6]) for each in packets.frames) + 512,
        window_ns=0,
        share=55,
    ),
    Kind(
        name="run",
        of=Run,
        span=lambda run: (run.start_ns, run.last_ns),
        key=lambda run: run.start_ns,
        merge=lambda _, later: later,
        window_ns=1 << 62,
        share=1,
    ),
)
BY_TYPE = {kind.of: kind for kind in KINDS}
