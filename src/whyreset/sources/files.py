"""Capture files, compressed or not, and standard input, as blocks of bytes.

What compresses them is told from their first bytes, not from their names. Blocks are read one at a time, so that
neither a large file nor a small one that unpacks into a large one needs memory.
"""

from __future__ import annotations

import errno
import importlib
import io
import lzma
import os
import stat
import sys
import zlib
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

#: Standard input's name.
STDIN = "-"
#: Measured: smaller and larger blocks are slower, and so is mapping the file (256 KiB cost a third more to read).
BLOCK_BYTES = 1 << 17

#: So many first bytes tell.
_MARK_BYTES = 6
_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh"


class CaptureError(Exception):
    """A file that cannot be read, and why, in one sentence."""


class Block(Struct, frozen=True):
    """Bytes of a capture, valid until the next block is asked for, and how much of its file has been read by now."""

    data: memoryview
    read_bytes: int


class Capture:
    """One capture that can be read.

    Args:
        name: a path, or "-" for standard input.

    Raises CaptureError where it cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._raw = _open(name)
        about = os.fstat(self._raw.fileno())
        #: Bytes of the file; None where that is not known before its end.
        self.size: int | None = about.st_size if stat.S_ISREG(about.st_mode) else None

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.name != STDIN:
            self._raw.close()

    def blocks(self) -> Iterator[Block]:
        """The capture's bytes, unpacked. Raises CaptureError where the file breaks off or is damaged.

        What is there is given out: nobody waits for a whole block of a stream that grows.
        """
        # one buffer for all: memory that is given back and taken anew for each block costs as much as reading it
        room = memoryview(bytearray(BLOCK_BYTES))
        try:
            size = more = self._raw.readinto(room) or 0
            while more and size < _MARK_BYTES:
                size += (more := self._raw.readinto(room[size:]) or 0)
            unpacked = _unpack(bytes(room[:size]), self._raw)
            if unpacked is None:
                while size:
                    yield Block(room[:size], self._position())
                    size = self._raw.readinto(room) or 0
                return
            while data := unpacked.read1(BLOCK_BYTES):
                yield Block(memoryview(data), self._position())
        except EOFError as error:
            raise CaptureError("it breaks off: its compressed data has no end") from error
        except OSError as error:  # also what is no gzip
            raise CaptureError(f"it cannot be read on: {error.strerror or error}") from error
        except (zlib.error, lzma.LZMAError, zstd().ZstdError) as error:
            raise CaptureError(f"it is damaged: {str(error)[:1].lower()}{str(error)[1:]}") from error

    def _position(self) -> int:
        try:
            return self._raw.tell()
        except OSError:
            return 0


def zstd() -> Any:
    """The standard library's module, or its backport."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


class _Again(io.RawIOBase):
    """A file whose first bytes have been read already."""

    def __init__(self, first: bytes, rest: io.RawIOBase) -> None:
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, room: Buffer) -> int | None:
        if not self._first:
            return self._rest.readinto(room)
        view = memoryview(room).cast("B")
        size = min(len(view), len(self._first))
        view[:size] = self._first[:size]
        self._first = self._first[size:]
        return size


def _open(name: str) -> io.RawIOBase:
    if name == STDIN:
        if sys.stdin is None:
            raise CaptureError("it is closed")
        if sys.stdin.isatty():
            raise CaptureError("it is a terminal: name a file, or pipe a capture in")
        return io.FileIO(sys.stdin.fileno(), closefd=False)
    try:
        return open(name, "rb", buffering=0)
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise CaptureError("it is a directory: name the captures in it") from error
        raise CaptureError(f"it cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a name with a null byte
        raise CaptureError(f"it cannot be opened: {error}") from error


def _unpack(first: bytes, raw: io.RawIOBase) -> io.BufferedReader | None:
    """What unpacks the file, by its first bytes; None where nothing packed it."""
    file: Any = io.BufferedReader(_Again(first, raw), BLOCK_BYTES)
    if first.startswith(_GZIP):
        import gzip

        return cast(io.BufferedReader, gzip.GzipFile(fileobj=file))
    if first.startswith(_XZ):
        return cast(io.BufferedReader, lzma.LZMAFile(file))
    if first.startswith(_BZIP2):
        import bz2

        return cast(io.BufferedReader, bz2.BZ2File(file))
    return cast(io.BufferedReader, zstd().ZstdFile(file)) if first.startswith(_ZSTD) else None
