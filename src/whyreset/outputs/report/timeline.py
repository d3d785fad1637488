"""Counts over time in a bounded number of bins, of a span that nobody knows beforehand."""

from __future__ import annotations

from collections.abc import Iterable

#: Bins at most; when the span outgrows them, they are joined in pairs.
BINS = 240
_FIRST_WIDTH_NS = 1_000_000


class Timeline:
    """Counts by kind over time."""

    def __init__(self) -> None:
        self.start_ns = 0
        self.width_ns = _FIRST_WIDTH_NS
        #: By kind, the counts of each bin.
        self.counts: dict[str, list[int]] = {}
        self._used = 0

    def add(self, first_ns: int, last_ns: int, count: int, kind: str) -> None:
        """Count between two times; what is many is spread evenly. What comes from before the start counts there."""
        if not self.counts:
            self.start_ns = first_ns
        if first_ns < self.start_ns:
            self._begin_at(first_ns)
        while (last_ns - self.start_ns) // self.width_ns >= BINS:
            self._join()
        bins = self.counts.setdefault(kind, [0] * BINS)
        first = max(0, first_ns - self.start_ns) // self.width_ns
        last = max(first, (last_ns - self.start_ns) // self.width_ns)
        self._used = max(self._used, last + 1)
        each, rest = divmod(count, last - first + 1)
        for at in range(first, last + 1):
            bins[at] += each
        for number in range(rest):  # the remainder, evenly over the span
            bins[first + number * (last - first + 1) // rest] += 1

    def bins(self) -> list[tuple[str, list[int]]]:
        """The counts of each kind, the most frequent kind first, up to the last bin that was used."""
        ranked = sorted(self.counts.items(), key=lambda each: -sum(each[1]))
        return [(kind, bins[: self._used]) for kind, bins in ranked]

    def _join(self) -> None:
        self.width_ns *= 2
        self._used = (self._used + 1) // 2
        for kind, bins in self.counts.items():
            self.counts[kind] = [a + b for a, b in zip(bins[::2], bins[1::2], strict=True)] + [0] * (BINS // 2)

    def _begin_at(self, time_ns: int) -> None:
        """Make room before the start, by whole bins; a clock that ran far back counts at the start."""
        missing = -(-(self.start_ns - time_ns) // self.width_ns)
        while missing + self._used > BINS and self.width_ns < 1 << 60:
            self._join()
            missing = -(-(self.start_ns - time_ns) // self.width_ns)
        self.start_ns -= missing * self.width_ns
        self._used += missing
        for kind, bins in self.counts.items():
            self.counts[kind] = [0] * missing + bins[: BINS - missing]


def total(kinds: Iterable[tuple[str, list[int]]]) -> int:
    """All counts together."""
    return sum(sum(bins) for _, bins in kinds)
