"""What the findings about TCP's memory have in common: since when it is short, and whose sockets hold it."""

from __future__ import annotations

from collections.abc import Callable

from whyreset.findings.base import SECOND_NS, Batch, Table, called, subject_of, times
from whyreset.findings.tally import Tally
from whyreset.model import Holder, Place, Reset, Subject

#: Without another sign for so long it is over.
QUIET_NS = 60 * SECOND_NS
_NAMESPACES = 64


class Shortage(Tally, kw_only=True):
    """The host's, with the connections that were reset for it; nothing is short while it has no time."""

    #: Nobody's as long as nothing was reset: the limit is the whole machine's.
    subject: Subject = Subject()
    first_ns: int = 0
    last_ns: int = 0

    def sign(self, now_ns: int) -> None:
        """Something speaks of it."""
        self.first_ns = self.first_ns or now_ns
        self.last_ns = max(self.last_ns, now_ns)

    def take(self, reset: Reset, port: int | None) -> None:
        """A connection was reset for it; the last one is what it is about."""
        self.sign(reset.last_ns)
        self.add(reset)
        self.subject = subject_of(reset, port=port, process=reset.owner.process if reset.owner else None)

    def is_over(self, now_ns: int) -> bool:
        """Whether there was one, of which nothing has spoken for long."""
        return bool(self.last_ns) and now_ns - self.last_ns > QUIET_NS

    def cost(self) -> str:
        """What it has cost so far."""
        return f"{times(self.count, 'connection')} reset for it" if self.count else "no connection reset for it yet"


class Holders:
    """Who was seen to hold memory and orphans at the last looks, by namespace."""

    def __init__(self) -> None:
        self._places: Table[int, list[Place]] = Table(_NAMESPACES)

    def __len__(self) -> int:
        return len(self._places)

    def see(self, batch: Batch) -> None:
        """Takes in what the looks showed."""
        for place in batch.places:
            if place.holders:
                self._places.touch(place.netns_cookie, list)[:] = [place]

    def evidence(self, weight: Callable[[Holder], int], most: int = 3) -> list[str]:
        """Those with most, each in a line."""
        found = [(each, place) for _, [place] in self._places.items() for each in place.holders if weight(each)]
        found.sort(key=lambda pair: weight(pair[0]), reverse=True)
        return [_line(each, place) for each, place in found[:most]]


def mebibytes(kib: float) -> str:
    """«1,234 MiB» of so many KiB."""
    return f"{kib / 1024:,.0f} MiB" if kib >= 10240 else f"{kib:,.0f} KiB"


def _line(holder: Holder, place: Place) -> str:
    port = f":{holder.port}" if holder.served else f"remote port {holder.port}"
    who = f"{called(holder.owner.process)}, {port}" if holder.owner else port
    where = f" in {place.netns_name}" if place.netns_name else ""
    size = mebibytes(holder.memory_bytes / 1024)
    return f"{who}{where}: {times(holder.sockets, 'socket')}, {times(holder.orphans, 'orphan')}, {size}"
