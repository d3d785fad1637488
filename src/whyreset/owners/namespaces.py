"""Names of network namespaces: those that `ip netns` and container runtimes gave them on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

_FOLDERS = ("run/netns", "run/docker/netns")
_EVERY_NS = 5_000_000_000


class Namespaces:
    """Names by namespace inode number.

    Args:
        root: where the file system begins.
        names: those that are known beforehand.
    """

    def __init__(self, root: str = "/", names: Mapping[int, str] = MappingProxyType({})) -> None:
        self._known = names
        self._folders = [os.path.join(root, folder) for folder in _FOLDERS]
        self._names: dict[int, str] = {}
        self._read_ns: int | None = None

    def name(self, inode: int, now_ns: int) -> str:
        """Its name, or "" if it has none; the folders are read again every five seconds."""
        if self._read_ns is None or now_ns - self._read_ns > _EVERY_NS:
            self._names = self._read()
            self._read_ns = now_ns
        return self._names.get(inode, "")

    def _read(self) -> dict[int, str]:
        names = dict(self._known)
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        try:
                            # names are bytes: what is not UTF-8 stays visible
                            name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                            names[entry.stat().st_ino] = name
                        except OSError:
                            continue
            except OSError:
                continue
        return names
