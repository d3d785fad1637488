"""The remote addresses of a row over time: bounded, and forgetting what is more than some minutes old.

Each tick brings a bounded account of a group (model.Remotes). They are joined by the addresses that they name; where
one of them is an estimate, or more addresses came than have room, the number is a lower bound and is said to be.
"""

from __future__ import annotations

from whyreset.model import Remotes

#: Addresses that are kept apart in one generation.
CAPACITY = 32
_GENERATION_NS = 60_000_000_000


class Addresses:
    """Who a row's resets went to or came from, within the last one to two generations that had any."""

    def __init__(self) -> None:
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._since_ns: int | None = None
        #: the most that one tick counted, where that is more than it named
        self._most = self._most_before = 0
        self._crowded = self._crowded_before = False

    def add(self, remotes: Remotes | None, address: str, count: int, now_ns: int) -> None:
        """Takes a group's remotes, or the one address of a single reset."""
        if self._since_ns is None or now_ns - self._since_ns > _GENERATION_NS:
            self._before, self._most_before, self._crowded_before = self._now, self._most, self._crowded
            self._now, self._most, self._crowded = {}, 0, False
            self._since_ns = now_ns
        named = remotes.top if remotes is not None else (((address, count),) if address else ())
        for each, many in named:
            if each not in self._now and len(self._now) >= CAPACITY:
                # the least frequent makes room, as in core.groups
                least = min(self._now, key=self._now.__getitem__)
                many += self._now.pop(least)
                self._crowded = True
            self._now[each] = self._now.get(each, 0) + many
        if remotes is not None and (not remotes.exact or remotes.distinct > len(named)):
            self._crowded = True
            self._most = max(self._most, remotes.distinct)

    def remotes(self) -> Remotes:
        """What is known of them; `distinct` is a lower bound when `exact` is false."""
        counts = dict(self._before)
        for address, many in self._now.items():
            counts[address] = counts.get(address, 0) + many
        top = sorted(counts.items(), key=lambda each: -each[1])
        return Remotes(
            distinct=max(len(counts), self._most, self._most_before),
            exact=not (self._crowded or self._crowded_before),
            top=tuple(top[:CAPACITY]),
        )
