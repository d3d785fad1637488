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
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from msgspec import Struct

#: Standard input's name.
STDIN = "-"
#: Measured: smaller and larger blocks are slower, and so is mapping the file.
BLOCK_BYTES = 1 << 18

_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh"


class CaptureError(Exception):
    """A file that cannot be read, and why, in one sentence."""


class Block(Struct, frozen=True):
    """Bytes of a capture, and how much of its file has been read by now."""

    data: bytes
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
        """The capture's bytes, unpacked. Raises CaptureError where the file breaks off or is damaged."""
        try:
            unpacked = _unpack(self._raw)
            while data := _read(unpacked):
                yield Block(data, self._position())
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


def _open(name: str) -> BinaryIO:
    if name == STDIN:
        if sys.stdin is None:
            raise CaptureError("standard input is closed")
        if sys.stdin.isatty():
            raise CaptureError("it is a terminal: name a file, or pipe a capture in")
        return sys.stdin.buffer
    try:
        return open(name, "rb", buffering=BLOCK_BYTES)
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise CaptureError("it is a directory: name the captures in it") from error
        raise CaptureError(f"it cannot be opened: {error.strerror or error}") from error
    except ValueError as error:  # a name with a null byte
        raise CaptureError(f"it cannot be opened: {error}") from error


def _unpack(raw: BinaryIO) -> IO[bytes]:
    """The file's contents, by its first bytes."""
    first = cast(io.BufferedReader, raw).peek(6)[:6]
    if first.startswith(_GZIP):
        import gzip

        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if first.startswith(_XZ):
        return lzma.LZMAFile(raw)
    if first.startswith(_BZIP2):
        import bz2

        return bz2.BZ2File(raw)
    if first.startswith(_ZSTD):
        return cast(IO[bytes], zstd().ZstdFile(raw))
    return raw


def _read(stream: IO[bytes]) -> bytes:
    """What is there: no waiting for a whole block of a stream that grows, nothing lost before the place of damage."""
    return cast(io.BufferedReader, stream).read1(BLOCK_BYTES)
