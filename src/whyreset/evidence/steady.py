"""Times of day on a clock that never steps: values in, values out.

Packets and resets carry the time of day, which somebody may set while they are on their way. What belongs together is
told by a clock that only goes forward; files keep the time of day.
"""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct

#: A difference of both clocks that is larger is a step; what is smaller is slewing, and followed. Both are read one
#: after the other, and what is as small as this is nothing but that: followed, it would change the order of packets.
STEP_NS, _JITTER_NS = 100_000_000, 1_000_000
#: What was told before a step is taken so long after it at most.
_LATE_NS = 5_000_000_000
_STEPS_MAX = 64


class _Span(Struct):
    """From a step to the next."""

    #: When it began, on the steady clock.
    at_ns: int
    #: What the time of day was ahead by.
    offset_ns: int


class Steady:
    """Knows the steps of the time of day."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []
        #: Steps that were seen.
        self.steps = 0

    def read(self, time_ns: int, steady_ns: int) -> None:
        """Both clocks, now."""
        offset_ns = time_ns - steady_ns
        if not self._spans:
            self._spans.append(_Span(0, offset_ns))
        elif (apart_ns := abs(offset_ns - self._spans[-1].offset_ns)) <= STEP_NS:
            if apart_ns > _JITTER_NS:
                self._spans[-1].offset_ns = offset_ns
        else:
            self.steps += 1
            self._spans.append(_Span(steady_ns, offset_ns))
            del self._spans[:-_STEPS_MAX]

    @property
    def ahead_ns(self) -> int:
        """What the time of day is ahead by, as it stands now."""
        return self._spans[-1].offset_ns if self._spans else 0

    def now(self, time_ns: int) -> int:
        """The steady time of a time of day as it is told now."""
        return time_ns - self.ahead_ns

    def near(self, time_ns: int, steady_ns: int) -> int:
        """The steady time of a time of day that was told a moment before: by the clock of then, or before a step."""
        number = bisect_right(self._spans, steady_ns, key=lambda span: span.at_ns) - 1
        if number < 0:
            return time_ns - self._spans[0].offset_ns if self._spans else time_ns
        found = time_ns - self._spans[number].offset_ns
        if number and steady_ns - self._spans[number].at_ns < _LATE_NS:
            before = time_ns - self._spans[number - 1].offset_ns
            found = min(found, before, key=lambda at: abs(at - steady_ns))
        return found
