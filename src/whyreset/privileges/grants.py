"""What a run may ask its keeper for: set from the words on the command line, before the two processes part."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from whyreset.sources.loading import Loading

#: How `recording.py` calls its files, and what a rotation puts before a file's last dot.
_EVIDENCE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_.-]{1,64}\.pcapng")
_NUMBER = re.compile(r"-[0-9]{5,10}")


class Grants(Struct, frozen=True, kw_only=True):
    """Nothing that does not stand here, and in `requests.py`, is done for a worker."""

    #: What is loaded into the kernel; None for nothing.
    loading: Loading | None = None
    #: How many packet sockets may be opened, and what of a packet they may keep.
    packets: int = 0
    snap_bytes: int = 320
    #: They may let every segment pass, not only SYN, FIN, RST and those of some ports.
    everything: bool = False
    #: Names or inode numbers of the namespaces that may be entered, beside our own.
    netns: tuple[str, ...] = ()
    #: Namespaces whose counters speak of trouble may be looked into: queues of listeners, and who has raw sockets.
    looking: bool = False
    #: The file of a capture, whether it may be written over, and whether it is one of many.
    capture: str = ""
    force: bool = False
    rotated: bool = False
    #: The folder for files of evidence, and how many there may be.
    evidence: str = ""
    evidence_files: int = 32
    #: The file for what alerts remember.
    state: str = ""
    #: A folder that shall belong to the worker, and with what names of files in it begin.
    home: str = ""
    home_files: tuple[str, ...] = ()
    #: Starts what else needs rights; returns a socket for the worker, and what ends it all.
    beside: Callable[[], tuple[int, Callable[[], None]]] | None = None

    @property
    def writes(self) -> bool:
        """Whether there are files to be made."""
        return bool(self.capture or self.evidence or self.state or self.home)

    def may_write(self, path: str, *, force: bool) -> bool:
        """Whether a new file of that name is one of those that the user asked for."""
        if not force and self.evidence and Path(path).parent == Path(self.evidence):
            return bool(_EVIDENCE.fullmatch(os.path.basename(path)))
        if not self.capture or (force and not self.force):
            return False
        if not self.rotated:
            return same(path, self.capture)
        whole, path = Path(self.capture), str(Path(path))
        beginning, end = str(whole.with_name(whole.stem)), whole.suffix
        return (
            path.startswith(beginning)
            and path.endswith(end)
            and bool(_NUMBER.fullmatch(path[len(beginning) : len(path) - len(end)]))
        )


def same(path: str, granted: str) -> bool:
    """Whether it is the path that was granted, as pathlib writes it."""
    return bool(path and granted) and Path(path) == Path(granted)
