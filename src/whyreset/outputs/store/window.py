"""Values of one kind over some seconds, bounded, like ones merged: one row of the file, written anew as it fills."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from msgspec import Struct

from whyreset.outputs.store.kinds import Kind

#: What is left of values for which a full window has no room: causes, directions and namespaces.
REST = 64


class Piece(Struct, frozen=True):
    """A row to be written."""

    id: int
    kind: str
    #: Nanoseconds since the epoch.
    first_ns: int
    last_ns: int
    values: tuple[Any, ...]


class Window:
    """Gathers.

    Args:
        kind: of which values.
        row: the row's id; later windows have higher ones.
        began_ns: now, of a clock that never goes back.
    """

    def __init__(self, kind: Kind, row: int, began_ns: int) -> None:
        self.kind = kind
        self._row = row
        self._began_ns = began_ns
        self._values: dict[Hashable, Any] = {}
        self._common = 0
        #: Changed since it was written last.
        self.fresh = False
        #: What its values take in memory, about.
        self.bytes = 0
        #: What found no room.
        self.lost = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def weight(self) -> int:
        """What would be lost with it."""
        return sum(self.kind.weigh(value) for value in self._values.values())

    def is_over(self, now_ns: int) -> bool:
        """Whether what comes now belongs into the next."""
        return now_ns - self._began_ns >= self.kind.window_ns

    def add(self, value: Any) -> None:
        """Takes a value."""
        kind = self.kind
        common = kind.is_common is not None and kind.is_common(value)
        most = kind.most // 2 if common and self._common >= kind.most // 2 else kind.most
        is_new = self._put(value, most)
        if is_new:
            self._common += common
        elif is_new is None and (kind.rest is None or self._put(kind.rest(value), kind.most + REST) is None):
            self.lost += kind.weigh(value)

    def _put(self, value: Any, most: int) -> bool | None:
        """True for a new one, False for one that was merged, None where there is no room."""
        kind = self.kind
        key = kind.key(value) if kind.key is not None else len(self._values)
        if (known := self._values.get(key)) is not None and kind.merge is not None:
            self._values[key] = kind.merge(known, value)
            self.fresh = True
            return False
        if len(self._values) >= most:
            return None
        self._values[key] = value
        self.bytes += kind.bytes(value)
        self.fresh = True
        return True

    def piece(self) -> Piece:
        """As it is now."""
        spans = [self.kind.span(value) for value in self._values.values()]
        first, last = min(first for first, _ in spans), max(last for _, last in spans)
        return Piece(self._row, self.kind.name, first, last, tuple(self._values.values()))
