"""How many a second, over the last minute: a ring of sixty seconds and the one that runs."""

from __future__ import annotations

#: Seconds that are remembered.
WINDOW = 60


class Seconds:
    """Counts by second; a second is an integer that never goes back. Its size is fixed."""

    def __init__(self, second: int) -> None:
        self._counts = [0] * (WINDOW + 1)
        self._latest = second

    def add(self, second: int, count: int) -> None:
        """Counts so many now."""
        self._advance(second)
        self._counts[self._latest % len(self._counts)] += count

    def join(self, other: Seconds, second: int) -> None:
        """Counts also what another counted."""
        self._advance(second)
        other._advance(self._latest)
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]

    def complete(self, second: int, most: int = WINDOW) -> list[int]:
        """Of the last seconds that are over, oldest first."""
        self._advance(second)
        size = len(self._counts)
        return [self._counts[(self._latest - back) % size] for back in range(most, 0, -1)]

    def recent(self, second: int) -> int:
        """Within the last minute and the second that runs."""
        self._advance(second)
        return sum(self._counts)

    def _advance(self, second: int) -> None:
        size = len(self._counts)
        for each in range(max(self._latest + 1, second - size + 1), second + 1):
            self._counts[each % size] = 0
        self._latest = max(self._latest, second)
