"""A bound on the memory of a command: a control group of its own, of either version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

_ROOT = Path("/sys/fs/cgroup")


class Bounded(Struct, frozen=True):
    """A control group that kills what needs more memory than its bound."""

    folder: Path
    #: Its file that tells the most that was used.
    peak: str

    def command(self, command: str) -> str:
        """The same command within the group, for a shell."""
        return f"sh -c 'echo $$ >{self.folder}/cgroup.procs && exec {command}'"

    def peak_megabytes(self) -> float:
        """The most that was used at a time, what the kernel keeps for it included."""
        return int((self.folder / self.peak).read_text()) / (1 << 20)


@contextmanager
def bounded(megabytes: int) -> Iterator[Bounded | None]:
    """A group with that bound; None where there can be none (without root, or without the controller)."""
    name = f"whyreset-{os.getpid()}"
    if (_ROOT / "memory/memory.limit_in_bytes").exists():
        group, limit = Bounded(_ROOT / "memory" / name, "memory.max_usage_in_bytes"), "memory.limit_in_bytes"
    else:
        group, limit = Bounded(_ROOT / name, "memory.peak"), "memory.max"
    try:
        group.folder.mkdir()
    except OSError:
        yield None
        return
    try:
        if not (group.folder / limit).exists():
            yield None
            return
        (group.folder / limit).write_text(str(megabytes << 20))
        yield group
    finally:
        group.folder.rmdir()
