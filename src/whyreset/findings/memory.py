"""What the findings about TCP's memory have in common: whose sockets hold it."""

from __future__ import annotations

from collections.abc import Callable

from whyreset.findings.base import Batch, Table, called, times
from whyreset.model import Holder, Place

_NAMESPACES = 64


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
