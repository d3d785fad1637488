"""How much there was of late: counts of the last seconds. Bounded."""

from __future__ import annotations

from collections import deque

#: Entries that are kept; what comes denser is put together.
_ENTRIES = 64


class Recent:
    """Counts of the last while.

    Args:
        length_ns: how long.
    """

    __slots__ = ("_entries", "_length_ns", "total")

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._entries: deque[tuple[int, int]] = deque()
        self.total = 0

    def add(self, time_ns: int, count: int) -> None:
        """So many at that time; times do not go back."""
        self.forget(time_ns)
        self.total += count
        if self._entries and time_ns - self._entries[-1][0] < self._length_ns // _ENTRIES:
            last_ns, before = self._entries.pop()
            self._entries.append((last_ns, before + count))
        else:
            self._entries.append((time_ns, count))

    def forget(self, now_ns: int) -> None:
        """What is older than that."""
        while self._entries and now_ns - self._entries[0][0] >= self._length_ns:
            self.total -= self._entries.popleft()[1]

    @property
    def lasted_ns(self) -> int:
        """From the first to the last of them."""
        return self._entries[-1][0] - self._entries[0][0] if self._entries else 0
