"""Packets and explanations of long ago, joined as if they came now: values in, values out."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from whyreset.evidence.frames import Frame
from whyreset.evidence.join import APART_NS, Explained, Join
from whyreset.model import Reset

#: An explanation comes so many pieces after its packet at most; a piece is of about a second.
_AHEAD = 3
_STEP_NS = 100_000_000


def replay(places: dict[int, int], pieces: Iterable[tuple[Sequence[Frame], Sequence[Reset]]]) -> Iterator[Explained]:
    """Packets with their explanations, in the order of their time; a few pieces are held at a time.

    Args:
        places: inode numbers of the namespaces that packets come from, by the numbers that they have.
        pieces: packets of some time, and what was said meanwhile, the oldest first.
    """
    joined, waiting = Join(places), deque[Sequence[Frame]]()
    resets: list[Reset] = []
    for frames, said in pieces:
        waiting.append(frames)
        for reset in said:
            insort(resets, reset, key=_time)
        if len(waiting) > _AHEAD:
            yield from _play(joined, waiting.popleft(), resets)
    while waiting:
        yield from _play(joined, waiting.popleft(), resets)
    yield from joined.ready(0, everything=True)


def _play(joined: Join, frames: Sequence[Frame], resets: list[Reset]) -> Iterator[Explained]:
    ordered = sorted(frames, key=lambda frame: frame.time_ns)
    for step, some in groupby(ordered, key=lambda frame: frame.time_ns // _STEP_NS):
        now_ns = (step + 1) * _STEP_NS
        near = 0
        while near < len(resets) and resets[near].time_ns < now_ns + APART_NS:
            near += 1
        joined.tell(resets[:near], now_ns)
        del resets[:near]
        joined.add(some, now_ns)
        yield from joined.ready(now_ns)


def _time(reset: Reset) -> int:
    return reset.time_ns
