"""Times of day on a clock that never steps: values in, values out.

Packets and resets carry the time of day, which somebody may set while they are on their way. What belongs together is
told by a clock that only goes forward; files keep the time of day.
"""

from __future__ import annotations

from msgspec import Struct

#: A difference of both clocks that is larger is a step; what is smaller is slewing, and followed.
STEP_NS = 100_000_000
#: So far a time may lie beyond a step that it belongs before, or the other way round.
_SLACK_NS = 1_000_000_000
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
        elif abs(offset_ns - self._spans[-1].offset_ns) <= STEP_NS:
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
        """The steady time of a time of day that was told around that moment: by the clock before a step, or after."""
        return min(
            (time_ns - span.offset_ns for span in self._spans[-2:]),
            key=lambda at: abs(at - steady_ns),
            default=time_ns,
        )

    def order(self) -> Order:
        """For times of day that come in the order in which they were told, from the oldest on."""
        return Order([(span.at_ns, span.offset_ns) for span in self._spans])


class Order:
    """Follows times through the steps that came between them."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._spans = spans or [(0, 0)]
        self._number: int | None = None
        self._last_ns = 0

    def at(self, time_ns: int) -> int:
        """The steady time."""
        if self._number is None:
            self._number = self._first(time_ns)
        at_ns = time_ns - self._spans[self._number][1]
        while self._number + 1 < len(self._spans):
            begins_ns, offset_ns = self._spans[self._number + 1]
            before = at_ns <= begins_ns + _SLACK_NS and at_ns >= self._last_ns - _SLACK_NS
            after = time_ns - offset_ns >= begins_ns - _SLACK_NS
            if before or not after:
                break
            self._number += 1
            at_ns = time_ns - offset_ns
        self._last_ns = max(self._last_ns, at_ns)
        return at_ns

    def _first(self, time_ns: int) -> int:
        """The earliest span that the first time can be of."""
        for number, (begins_ns, offset_ns) in enumerate(self._spans):
            ends_ns = self._spans[number + 1][0] if number + 1 < len(self._spans) else 1 << 63
            if begins_ns - _SLACK_NS <= time_ns - offset_ns <= ends_ns + _SLACK_NS:
                return number
        return len(self._spans) - 1
