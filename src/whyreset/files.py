"""The files that a person has named: how they are made, written over, and removed. Everything here raises OSError."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Whoever makes them."""

    def make_folder(self, path: str) -> None:
        """Makes it, if need be with those above it, for its owner alone; one that is there stays as it is.

        Where files cannot be made in it, since nothing can be written there, that is an error too.
        """

    def open(self, path: str, *, force: bool) -> int:
        """A descriptor for writing a file, which is a new one unless `force` is set."""

    def remove(self, path: str) -> None:
        """One of those that were opened."""

    def put(self, path: str, content: bytes) -> None:
        """Puts that there; after a crash there is the old content or the new."""


class OwnFiles:
    """With the caller's own rights."""

    def make_folder(self, path: str) -> None:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def open(self, path: str, *, force: bool) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        # packets hold what is nobody else's business
        descriptor = os.open(path, flags | (os.O_TRUNC if force else os.O_EXCL), 0o600)
        if not force:
            _give_to_whom_it_is_for(descriptor)
        return descriptor

    def remove(self, path: str) -> None:
        os.unlink(path)

    def put(self, path: str, content: bytes) -> None:
        whole = Path(path)
        beside = whole.with_name(f".{whole.name}.new")
        try:
            _write(beside, content)
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                # what a full disk left of it is of no use
                beside.unlink()
            raise


OWN = OwnFiles()


def _write(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give_to_whom_it_is_for(fd: int) -> None:
    """Whoever called sudo wants to open the file; it is a new one, so nothing is taken from anybody."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal():
        try:
            os.fchown(fd, int(uid), int(gid))
        except (OSError, OverflowError):
            pass
