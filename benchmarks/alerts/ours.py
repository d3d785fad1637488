"""whyreset's detector as alarms over a day of counts."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.alerts.peers import Interval
from whyreset.alerts.surge import Detector


def surges(counts: Sequence[int]) -> list[Interval]:
    """A day in which nothing was learned before."""
    detector = Detector()
    found: list[Interval] = []
    raised: int | None = None
    for second, count in enumerate(counts, 1):
        detector.step(count)
        if detector.since is not None and raised is None:
            raised = second
        elif detector.since is None and raised is not None:
            found.append((raised, second))
            raised = None
    return found + ([(raised, len(counts))] if raised is not None else [])


def merged(*streams: list[Interval]) -> list[Interval]:
    """Alarms of several streams as those of one: what overlaps is one alarm."""
    found: list[Interval] = []
    for raised, cleared in sorted(each for stream in streams for each in stream):
        if found and raised <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], cleared))
        else:
            found.append((raised, cleared))
    return found
