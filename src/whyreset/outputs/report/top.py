"""Counts of values of which there may be any number: the frequent ones are kept, all are estimated."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

#: Bits of the estimate (linear counting: Whang, Vander-Zanden, Taylor 1990); good to 1 % for four times as many values.
_BITS = 1 << 15


class Top:
    """Counts by value, of at most `limit` values; beyond that the rarest make room.

    While `exact` is true all values are here. After that those that are here are the frequent ones, with counts that
    are at least what is told, and `distinct` is an estimate.
    """

    __slots__ = ("_at_least", "_bits", "_counts", "_limit", "_total", "exact")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}
        self._bits: bytearray | None = None
        self._at_least = 0
        self._total = 0
        self.exact = True

    def add(self, value: str, count: int) -> None:
        """Count a value."""
        self._total += count
        self._counts[value] = self._counts.get(value, 0) + count
        if self._bits is not None:
            self._mark(value)
        if len(self._counts) > self._limit:
            if self._bits is None:
                self._bits = bytearray(_BITS // 8)
                for each in self._counts:
                    self._mark(each)
            self.exact = False
            kept = sorted(self._counts.items(), key=lambda each: each[1], reverse=True)[: self._limit * 3 // 4]
            self._counts = dict(kept)

    def add_all(self, values: Iterable[tuple[str, int]], distinct: int) -> None:
        """Count several, of so many that there were."""
        number = 0
        for value, count in values:
            self.add(value, count)
            number += 1
        if number < distinct:
            self.exact = False
            self._at_least = max(self._at_least, distinct)

    @property
    def about(self) -> str:
        """What has to be said before `distinct`: nothing, «about», or «at least»."""
        return "at least " if self._at_least else "" if self.exact else "about "

    @property
    def distinct(self) -> int:
        """How many different values there were; see `about`."""
        if self._bits is None:
            return max(len(self._counts), self._at_least)
        empty = _BITS - int.from_bytes(self._bits).bit_count()
        return max(min(round(_BITS * math.log(_BITS / max(empty, 1))), self._total), self._at_least)

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent, the first of equals first."""
        return sorted(self._counts.items(), key=lambda each: each[1], reverse=True)[:number]

    def _mark(self, value: str) -> None:
        assert self._bits is not None
        # a checksum alone spreads like values too evenly
        at = zlib.crc32(value.encode()) * 0x9E3779B97F4A7C15 % (1 << 64) * _BITS >> 64
        self._bits[at >> 3] |= 1 << (at & 7)
