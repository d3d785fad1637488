"""Surges in a series that is over: from when until when each was, once its end is known, too.

The detector is that of live alerts. It says when a surge can be told; here one looks back for where it began.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from whyreset.alerts.surge import Detector
from whyreset.stored import Episode

#: A ramp is followed back so many seconds at most.
_BACK_SECONDS = 600


def episodes(counts: Sequence[float], step: int) -> Iterator[Episode]:
    """The surges of a series, oldest first.

    Args:
        counts: what each step added; fractions are carried over.
        step: seconds.
    """
    detector = Detector(step=step)
    rest = 0.0
    first, usual, quiet = 0, 0.0, 0.0
    on = False
    for index, count in enumerate(counts):
        whole = math.floor(rest + count + 1e-6)
        rest += count - whole
        found = detector.step(whole)
        if found is not None:
            on, usual, quiet = True, found.usual, detector.quiet_below * step
            first = _begin(counts, index, max(index - found.window // step + 1, 0), quiet, _BACK_SECONDS // step)
        elif on and detector.since is None:
            on = False
            yield Episode(first=first, last=_end(counts, first, index, quiet), usual=usual)
    if on:
        last = _end(counts, first, len(counts) - 1, quiet)
        # it ended, where there was no time to be sure of it
        calm = (len(counts) - 1 - last) * step >= step + 1
        yield Episode(first=first, last=last, usual=usual, ongoing=not calm)


def _begin(counts: Sequence[float], found: int, first: int, quiet: float, back: int) -> int:
    """The first step above the usual that leads to where the surge was found."""
    while first < found and counts[first] <= quiet:
        first += 1
    least = max(first - back, 0)
    while first > least and counts[first - 1] > quiet:
        first -= 1
    return first


def _end(counts: Sequence[float], first: int, last: int, quiet: float) -> int:
    """The last step above the usual."""
    while last > first and counts[last] <= quiet:
        last -= 1
    return last
