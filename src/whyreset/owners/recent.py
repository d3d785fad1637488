"""The resets of late by cause, port and owner: what `who` is told of them.

Bounded. A scan of closed ports makes a new entry for each port: these have a bound of their own, so that they
do not push out what real services did.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from whyreset.model import Reset

_Key = tuple[str, str, int, int | None, tuple[int, int], tuple[int, int]]


class Entry(Struct):
    """Resets alike."""

    count: int
    first_ns: int
    #: The last of them.
    reset: Reset


class Recents:
    """What was seen lately.

    Args:
        capacity: entries of resets with an owner, and as many without (some 3 kB each); the eldest go first.
    """

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._owned: OrderedDict[_Key, Entry] = OrderedDict()
        self._unowned: OrderedDict[_Key, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owned) + len(self._unowned)

    def add(self, resets: Iterable[Reset]) -> None:
        """Takes what one tick explained."""
        for reset in resets:
            table = self._owned if reset.owner or reset.closer else self._unowned
            key = _key(reset)
            entry = table.pop(key, None)
            if entry is None:
                entry = Entry(count=0, first_ns=reset.time_ns, reset=reset)
            entry.count += reset.count
            entry.reset = reset
            table[key] = entry
            if len(table) > self._capacity:
                table.popitem(last=False)

    def of_port(self, port: int) -> list[Entry]:
        """Those of a port on either side, the latest first."""
        return self._sorted(
            entry
            for table in (self._owned, self._unowned)
            for entry in table.values()
            if port in (entry.reset.port, entry.reset.sample.local_port, entry.reset.sample.remote_port)
        )

    def of_process(self, pid: int) -> list[Entry]:
        """Those that a process owned or made, the latest first."""
        return self._sorted(
            entry
            for entry in self._owned.values()
            if (entry.reset.owner and entry.reset.owner.process.pid == pid)
            or (entry.reset.closer and entry.reset.closer.pid == pid)
        )

    @staticmethod
    def _sorted(entries: Iterable[Entry]) -> list[Entry]:
        return sorted(entries, key=lambda entry: entry.reset.last_ns, reverse=True)


def _key(reset: Reset) -> _Key:
    owner = reset.owner.process if reset.owner else None
    closer = reset.closer
    return (
        reset.facts.direction,
        reset.cause.name,
        reset.sample.netns_cookie,
        reset.port,
        (owner.pid, owner.start_ns) if owner else (0, 0),
        (closer.pid, closer.start_ns) if closer else (0, 0),
    )
