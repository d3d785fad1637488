"""Figures of what was lost: each is told as a notice when it has grown, and then not again for a minute."""

from __future__ import annotations

from collections.abc import Mapping

from whyreset.model import Notice

_EVERY_NS = 60_000_000_000


class Losses:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int]] = {}

    def notices(self, losses: Mapping[str, tuple[int, str]], time_ns: int) -> list[Notice]:
        """A notice for each figure that grew.

        Args:
            losses: by name: how much so far, and what that means for the user.
            time_ns: nanoseconds since the epoch.
        """
        out = []
        for name, (count, text) in losses.items():
            before, told_ns = self._told.get(name, (0, 0))
            if count > before and time_ns - told_ns >= _EVERY_NS:
                self._told[name] = (count, time_ns)
                out.append(Notice(time_ns=time_ns, name=name, text=text, count=count - before))
        return out
