"""Names of network namespaces: those that `ip netns` and container runtimes gave them on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType

_FOLDERS = ("run/netns", "run/docker/netns")
#: The account has no room for more.
NAMES_MAX = 8192
_EVERY_NS = 5_000_000_000


class Namespaces:
    """Names by namespace inode number.

    Args:
        root: where the file system begins.
        names: those that are known beforehand.
        read: reads the names in the place of `on_disk`.
    """

    def __init__(
        self,
        root: str = "/",
        names: Mapping[int, str] = MappingProxyType({}),
        read: Callable[[], Mapping[int, str]] | None = None,
    ) -> None:
        self._known = names
        self._read = read or partial(on_disk, root)
        self._names: dict[int, str] = {}
        self._read_ns: int | None = None

    def name(self, inode: int, now_ns: int) -> str:
        """Its name, or "" if it has none; the folders are read again every five seconds."""
        if self._read_ns is None or now_ns - self._read_ns > _EVERY_NS:
            self._names = {**self._known, **self._read()}
            self._read_ns = now_ns
        return self._names.get(inode, "")


def on_disk(root: str = "/") -> dict[int, str]:
    """The names that there are now, as far as these folders may be read; at most NAMES_MAX."""
    names: dict[int, str] = {}
    for folder in _FOLDERS:
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in islice(entries, NAMES_MAX - len(names)):
                    try:
                        # names are bytes: what is not UTF-8 stays visible
                        name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                        names[entry.stat().st_ino] = name
                    except OSError:
                        continue
        except OSError:
            continue
    return names
