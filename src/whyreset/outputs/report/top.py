"""Counts of values of which there may be any number: the frequent ones are kept, and how many there were is known."""

from __future__ import annotations

from whyreset.core.distinct import Addresses, Ports
from whyreset.observation import Tally


class Top:
    """Counts by value (addresses, or ports), of at most `limit` values; beyond that the rarest make room.

    While `exact` is true all values are here. After that those that are here are the frequent ones, with counts that
    are at least what is told.
    """

    __slots__ = ("_at_least", "_counts", "_kind", "_limit", "_noted", "_total", "exact")

    def __init__(self, kind: type[Addresses | Ports], limit: int = 256) -> None:
        self._kind = kind
        self._limit = limit
        self._counts: dict[str, int] = {}
        #: All values, once they cannot all be kept.
        self._noted: Addresses | Ports | None = None
        self._at_least = 0
        self._total = 0
        self.exact = True

    def add(self, value: str, count: int) -> None:
        """Count a value."""
        counts = self._counts
        self._total += count
        if value in counts:
            counts[value] += count
            return
        counts[value] = count
        if self._noted is not None:
            self._noted.add(value)
        if len(counts) > self._limit:
            self._account()
            kept = sorted(counts, key=counts.__getitem__, reverse=True)[: self._limit * 3 // 4]
            self._counts = {each: counts[each] for each in kept}

    def add_all(self, values: Tally) -> None:
        """Count several."""
        # where not all are listed, each may be counted for others: as often as the rarest of them at most
        others = 0 if values.exact else min((count for _, count in values.top), default=1) - 1
        for value, count in values.top:
            self.add(value, count - others)
        self._total += others * len(values.top)
        if values.sketch:
            self._account().merge(values.sketch)
        elif not values.exact:
            self.exact = False
            self._at_least = max(self._at_least, values.distinct)

    @property
    def distinct(self) -> int:
        """How many different values there were: of addresses an estimate where not all are here."""
        known = len(self._counts)
        if self._noted is not None:
            known = self._noted.count()
            if self._kind is Addresses:  # an estimate, that may be more than there were at all
                known = min(known, self._total)
        return max(known, self._at_least, len(self._counts))

    def told(self, less: int = 0) -> str:
        """The same in words, but for `less` of them: «12», «about 12,000», «at least 300»."""
        number = self.distinct - less
        if self._at_least >= self.distinct:
            return f"at least {number:,}"
        if self.exact or self._kind is Ports:
            return f"{number:,}"
        return f"about {_rounded(number):,}"

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent, the first of equals first."""
        ranked = sorted(self._counts, key=self._counts.__getitem__, reverse=True)
        return [(each, self._counts[each]) for each in ranked[:number]]

    def _account(self) -> Addresses | Ports:
        """The account of all values, from now on."""
        self.exact = False
        if self._noted is None:
            self._noted = self._kind()
            for each in self._counts:
                self._noted.add(each)
        return self._noted


def _rounded(number: int) -> int:
    """To two digits: the estimate knows no more."""
    return int(float(f"{number:.1e}"))
