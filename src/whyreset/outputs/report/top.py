"""Counts of values of which there may be any number: the frequent ones are kept."""

from __future__ import annotations

from collections.abc import Iterable


class Top:
    """Counts by value, of at most `limit` values; beyond that the rarest make room.

    While `exact` is true all values are here. After that those that are here are the frequent ones, their counts at
    least what is told, and there were more values than are here.
    """

    __slots__ = ("_counts", "_limit", "exact", "total")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}
        self.exact = True
        self.total = 0

    def add(self, value: str, count: int) -> None:
        """Count a value."""
        self.total += count
        self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > self._limit:
            self.exact = False
            kept = sorted(self._counts.items(), key=lambda each: each[1], reverse=True)[: self._limit * 3 // 4]
            self._counts = dict(kept)

    def add_all(self, values: Iterable[tuple[str, int]], *, all_of_them: bool) -> None:
        """Count several; `all_of_them`: no more belong to it."""
        for value, count in values:
            self.add(value, count)
        self.exact &= all_of_them

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent, the first of equals first."""
        return sorted(self._counts.items(), key=lambda each: each[1], reverse=True)[:number]

    def __len__(self) -> int:
        return len(self._counts)
