"""The file of the history: whose it is, its lock, what becomes of one that is damaged; and sentences for what fails.

Rules. A file that is not known to be ours is never written to, and never moved. A damaged one of ours is put aside. The
lock is a file beside it, since a lock of the file itself would be in SQLite's way; its being there also says that a
file which cannot be told any more was ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from whyreset.files import OWN, Files
from whyreset.outputs.store import StoreError as StoreError  # noqa: PLC0414  named from here

#: PRAGMA application_id, and the version of the tables as PRAGMA user_version.
APPLICATION, LAYOUT = 0x77527374, 1

_MAGIC = b"SQLite format 3\0"
#: https://www.sqlite.org/fileformat2.html section 1.3: user_version, text, vacuum, application_id.
_VERSIONS = struct.Struct(">60xI4xI28x")
#: fcntl(2): struct flock.
_FLOCK = struct.Struct("@hhqqi4x")
_LOCK_SECONDS, _STEP_SECONDS = 1.0, 0.05
#: What SQLite puts beside a file.
BESIDE = ("-wal", "-shm", "-journal")


class DamagedError(StoreError):
    """It was ours, and cannot be read any more."""


def explain(path: str, error: sqlite3.Error | OSError) -> StoreError:
    """What went wrong, for a person."""
    if isinstance(error, OSError):
        return StoreError(f"cannot use {path}: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedError(f"{path} is damaged ({error})")
    said = {
        sqlite3.SQLITE_FULL: "there is no room left on the disk",
        sqlite3.SQLITE_READONLY: "it may not be written to",
        sqlite3.SQLITE_IOERR: "the disk reports an error",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
        sqlite3.SQLITE_BUSY: "another program holds it",
        sqlite3.SQLITE_LOCKED: "another program holds it",
    }.get(code, str(error))
    return StoreError(f"cannot use {path}: {said}")


def identify(path: str) -> Literal["nothing", "ours"]:
    """Whether there is a history.

    Raises:
        DamagedError: there was one.
        StoreError: there is something else, or it may not be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return "nothing"
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        return "nothing"
    if len(head) < 100 or not head.startswith(_MAGIC):
        if os.path.exists(lock_path(path)):
            raise DamagedError(f"{path} is damaged (it does not begin as a database does)")
        raise StoreError(f"{path} is no history of whyreset: name another file with --store")
    layout, application = _VERSIONS.unpack(head)
    if application != APPLICATION:
        raise StoreError(f"{path} is another program's database: name another file with --store")
    if layout > LAYOUT:
        raise StoreError(
            f"{path} was written by a newer whyreset (layout {layout}, this one knows {LAYOUT}): "
            "update this one, or name another file with --store"
        )
    return "ours"


def lock_path(path: str) -> str:
    """Who writes holds this."""
    return f"{path}-lock"


class Lock:
    """One agent a file. Ends with the process.

    Raises StoreError.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"cannot write {lock_path(path)}: {error.strerror}") from error
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if time.monotonic() < end and error.errno in (errno.EACCES, errno.EAGAIN):
                    time.sleep(_STEP_SECONDS)  # the one before may be about to end
                    continue
                os.close(self._fd)
                pid = holder(path)
                whose = f"another agent (process {pid}) keeps its history there" if pid else error.strerror
                raise StoreError(f"cannot use {path}: {whose}: end it, or name another file with --store") from error

    def close(self) -> None:
        """Lets go of it."""
        os.close(self._fd)


def holder(path: str) -> int:
    """The process that writes to it now; 0 for none, and where that cannot be told."""
    try:
        fd = os.open(lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    except OSError:
        return 0
    finally:
        os.close(fd)
    return pid if kind != fcntl.F_UNLCK else 0


def make_folder(path: str, files: Files = OWN) -> None:
    """The folder that it lies in, for its owner alone where it is a new one.

    Args:
        path: of the history.
        files: makes the folder.

    Raises StoreError.
    """
    folder = Path(path).absolute().parent
    try:
        files.make_folder(str(folder))
    except OSError as error:
        raise StoreError(f"cannot make the folder {folder}: {error.strerror}") from error


def check_folder(path: str) -> None:
    """Whether this process may keep a history there. Raises StoreError."""
    folder = Path(path).absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"user {os.geteuid()} may not write to {folder}, or not come to it: name a file in a folder of its own with"
            " --store, or another user with --user"
        )


def touch(path: str) -> None:
    """An empty file for nobody else to read, where there is none; whoever may not write learns why.

    Raises StoreError.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def put_aside(path: str, now: float) -> str:
    """Gives a damaged file another name, and returns that; of those put aside before only this one stays.

    Raises StoreError.
    """
    whole = Path(path)
    prefix = f"{whole.name}.damaged-"
    stem = prefix + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    try:
        for old in whole.parent.glob(f"{_escaped(prefix)}[0-9]*Z*"):
            old.unlink()
        whole.rename(whole.with_name(stem))
        for end in BESIDE:
            with suppress(FileNotFoundError):
                Path(path + end).rename(whole.with_name(stem + end))
    except OSError as error:
        raise StoreError(f"{path} is damaged and cannot be put aside: {error.strerror}") from error
    return str(whole.with_name(stem))


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def size_of(path: str) -> int:
    """Bytes of the file and of what SQLite keeps beside it."""
    total = 0
    for end in ("", *BESIDE):
        with suppress(OSError):
            total += os.stat(path + end).st_size
    return total
