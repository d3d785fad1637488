"""Values of any interval laid on steps of one length."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise

from whyreset.sources.base import SourceError
from whyreset.stored import Series

#: Steps of one series; a day of seconds is 86,400.
MOST_STEPS = 3_000_000
#: A pause of so many steps between two values is a gap.
_GAP_STEPS = 2.5
#: An interval that differs from a step by less than this part of it is one.
_ABOUT = 0.25
#: Gaps and restarts that are kept; the rest is of no use to anybody.
_MOST_GAPS = 1000
#: Seconds since the epoch, in some thousand years.
_END_OF_TIME = 1e11


class Grid:
    """Takes in values and gives a series.

    Args:
        since, until: seconds since the epoch; what lies outside is left out.
        step: seconds.
        phase: a time at which a step begins; the first one does at `since` or so much before it.

    Raises:
        SourceError: it would be too long.
    """

    def __init__(self, since: int, until: int, step: int, *, phase: int = 0) -> None:
        self._start, self._step = since - (since - phase) % step, step
        self._steps = max(-(-(until - self._start) // step), 0)
        if self._steps > MOST_STEPS:
            raise SourceError(f"so long a time is more than {MOST_STEPS:,} steps of {step} s; ask for a shorter one")
        self._counts: dict[str, array[float]] = {}
        self._gaps: list[tuple[float, float]] = []
        self._restarts: list[float] = []

    def add(self, counter: str, begin: float, end: float, count: float) -> None:
        """So many in that time: all of it in one step where it is about as long, else spread evenly."""
        cells = self._counts.get(counter)
        if cells is None:
            cells = self._counts[counter] = array("d", bytes(8 * self._steps))
        if not (0 <= begin < end < _END_OF_TIME and 0 < count < 1e15):
            return
        if abs(end - begin - self._step) <= _ABOUT * self._step:
            # values come a little early or late: what belongs together stays together
            cell = math.floor(((begin + end) / 2 - self._start) / self._step)
            if 0 <= cell < self._steps:
                cells[cell] += count
            return
        left, right = (begin - self._start) / self._step, (end - self._start) / self._step
        first, last = max(int(left), 0), min(int(right), self._steps - 1)
        density = count / (right - left)
        for cell in range(first, last + 1):
            part = min(cell + 1, right) - max(cell, left)
            if part > 0:
                cells[cell] += density * part

    def gap(self, begin: float, end: float) -> None:
        """Of that time nothing, or only a sum, was stored."""
        begin, end = max(begin, self._start), min(end, self._start + self._steps * self._step)
        if end <= begin:
            return
        if self._gaps and self._gaps[-1][0] <= begin <= self._gaps[-1][1]:
            self._gaps[-1] = (self._gaps[-1][0], max(end, self._gaps[-1][1]))
        # neighbours come one after the other, so that this is a bound on what is apart
        elif len(self._gaps) < _MOST_GAPS:
            self._gaps.append((begin, end))

    def restart(self, at: float) -> None:
        """The counters began anew."""
        if len(self._restarts) < _MOST_GAPS:
            self._restarts.append(at)

    def totals(self, counter: str, values: Iterable[tuple[float, float]], *, leading: bool = False) -> None:
        """Values of a counter that only grows, with their times, oldest first.

        Args:
            leading: gaps and restarts are told by this one.
        """
        before: tuple[float, float] | None = None
        self.add(counter, 0, 0, 0)
        for at, total in values:
            if before is not None and at > before[0]:
                grown = total - before[1]
                if grown >= 0:
                    self.add(counter, before[0], at, grown)
                else:
                    # what came between the last value and the new beginning is not known
                    self.add(counter, before[0], at, total)
                    if leading:
                        self.restart(at)
                if leading and at - before[0] > _GAP_STEPS * self._step:
                    self.gap(before[0], at)
            before = (at, total)

    def series(self) -> Series:
        """What was taken in."""
        return Series(
            start=self._start,
            step=self._step,
            counts=self._counts,
            gaps=_joined(self._gaps),
            restarts=tuple(self._restarts),
        )


def _joined(gaps: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Gaps in their order; those that touch are one."""
    out: list[tuple[float, float]] = []
    for begin, end in sorted(gaps):
        if out and begin <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((begin, end))
    return tuple(out)


def usual_step(times: Sequence[float]) -> int:
    """Seconds between two values as a rule (the median), at least 1; 0 where there are fewer than two."""
    pauses = sorted(after - before for before, after in pairwise(times) if after > before)
    return max(round(pauses[len(pauses) // 2]), 1) if pauses else 0
