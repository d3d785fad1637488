"""The resets of late by cause, port and owner: what `who` is told of them.

Bounded. A scan of closed ports makes a new entry for each port: these have a bound of their own, so that they do not
push out what real services did.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from whyreset.model import Cause, Facts, Owner, Process, Reset

_Key = tuple[str, str, int, int | None, tuple[int, int], tuple[int, int]]


class Entry(Struct, kw_only=True):
    """Resets alike; but for count and beginning all is of the last of them, and no more than is asked for."""

    count: int
    first_ns: int
    last_ns: int
    facts: Facts
    cause: Cause
    evidence: tuple[str, ...]
    netns: int
    netns_cookie: int
    netns_name: str
    port: int | None
    local: str
    local_port: int
    remote: str
    remote_port: int
    owner: Owner | None
    closer: Process | None


class Recents:
    """What was seen lately.

    Args:
        capacity: entries of resets with an owner, and as many without (some 1.5 kB each); the eldest go first.
    """

    def __init__(self, capacity: int = 256) -> None:
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
            known = table.pop(key, None)
            table[key] = _entry(reset, known)
            if len(table) > self._capacity:
                table.popitem(last=False)

    def of_port(self, port: int) -> list[Entry]:
        """Those of a port on either side, the latest first."""
        return self._sorted(
            entry
            for table in (self._owned, self._unowned)
            for entry in table.values()
            if port in (entry.port, entry.local_port, entry.remote_port)
        )

    def of_process(self, pid: int) -> list[Entry]:
        """Those that a process owned or made, the latest first."""
        return self._sorted(
            entry
            for entry in self._owned.values()
            if (entry.owner and entry.owner.process.pid == pid) or (entry.closer and entry.closer.pid == pid)
        )

    @staticmethod
    def _sorted(entries: Iterable[Entry]) -> list[Entry]:
        return sorted(entries, key=lambda entry: entry.last_ns, reverse=True)


def _entry(reset: Reset, known: Entry | None) -> Entry:
    sample = reset.sample
    return Entry(
        count=reset.count + (known.count if known else 0),
        first_ns=known.first_ns if known else reset.time_ns,
        last_ns=reset.last_ns,
        facts=reset.facts,
        cause=reset.cause,
        evidence=reset.evidence,
        netns=sample.netns,
        netns_cookie=sample.netns_cookie,
        netns_name=reset.netns_name,
        port=reset.port,
        local=sample.local,
        local_port=sample.local_port,
        remote=sample.remote,
        remote_port=sample.remote_port,
        owner=reset.owner,
        closer=reset.closer,
    )


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
