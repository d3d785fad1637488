"""A network namespace that is being looked at: held, so that nothing else is taken for it, until nobody uses it."""

from __future__ import annotations

import os

from whyreset.sources import diag


class Namespace:
    """Holds a namespace by a descriptor: a pid or a name in its path may soon be another's.

    Args:
        path: «/proc/911/ns/net», «/run/netns/blue»; "" for our own, which needs no holding.
    """

    def __init__(self, path: str = "") -> None:
        self._given = path
        self._descriptor = -1
        self._inode = 0

    def open(self) -> None:
        """Takes hold. Raises OSError."""
        if self._given:
            self._descriptor = os.open(self._given, os.O_RDONLY | os.O_CLOEXEC)
            self._inode = os.fstat(self._descriptor).st_ino

    @property
    def path(self) -> str:
        """A path that leads to it as long as it is held; before that, the one that was given."""
        return f"/proc/self/fd/{self._descriptor}" if self._descriptor >= 0 else self._given

    def is_used(self) -> bool:
        """Whether a process is in it, or a name leads to it: else only those who hold it, as we do, keep it there."""
        if not self._given:
            return True
        try:
            if os.stat(self._given).st_ino == self._inode:
                return True
        except OSError:
            pass
        # whose path that was has ended; others may be in it still
        found = diag.namespaces().get(self._inode)
        self._given = found or self._given
        return found is not None

    def close(self) -> None:
        """Lets go: if nobody else holds it, it ends."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
