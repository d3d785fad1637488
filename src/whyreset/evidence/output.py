"""A file of evidence: whole blocks go in, so that it can be read at any time up to its last one.

Nothing that a person made is lost: a file that is there is not written over unless that was asked for. When the disk is
full, a block that did not fit is cut off again, and what was written before stays.
"""

from __future__ import annotations

import errno
import os
import stat

from whyreset.files import OWN, Files

#: One call of the system takes so much at most: a program that is killed meanwhile leaves half a block at most.
_PIECE = 1 << 16
STDOUT = "-"


class OutputError(Exception):
    """One sentence for the user."""


class GoneError(OutputError):
    """Whoever read it has gone."""


class Output:
    """A file that grows by whole blocks.

    Args:
        path: where; "-" is standard output.
        force: write over what is there.
        files: opens it.

    Raises OutputError, as all methods do.
    """

    def __init__(self, path: str, *, force: bool = False, files: Files = OWN) -> None:
        self.path = path
        self._blocks: list[bytes] = []
        #: Bytes that were written, and that wait.
        self.written = 0
        self.waiting = 0
        self._fd = -1
        if path == STDOUT:
            self._fd, self._regular = os.dup(1), False
            return
        try:
            self._fd = files.open(path, force=force)
            self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        except FileExistsError as error:
            raise OutputError(
                f"a file {path} is there already: name another, or add --force to write over it"
            ) from error
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error

    @property
    def name(self) -> str:
        """As a person would call it."""
        return "standard output" if self.path == STDOUT else self.path

    @property
    def size(self) -> int:
        """Bytes, also those that wait."""
        return self.written + self.waiting

    def add(self, block: bytes) -> None:
        """A whole block, which waits for `flush`."""
        self._blocks.append(block)
        self.waiting += len(block)

    def flush(self) -> None:
        """Writes what waits."""
        blocks, self._blocks, self.waiting = self._blocks, [], 0
        piece: list[bytes] = []
        size = 0
        for block in blocks:
            if piece and size + len(block) > _PIECE:
                self._write(piece)
                piece, size = [], 0
            piece.append(block)
            size += len(block)
        if piece:
            self._write(piece)

    def close(self, *, discard: bool = False) -> None:
        """Writes what waits, unless it is to be discarded; harmless when called twice."""
        if self._fd < 0:
            return
        try:
            if not discard:
                self.flush()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _write(self, blocks: list[bytes]) -> None:
        data = memoryview(b"".join(blocks))
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError as error:
            self.written += self._cut(blocks, done)
            raise self._explained(error) from error
        self.written += done

    def _cut(self, blocks: list[bytes], done: int) -> int:
        """Of what was only written in part, what is whole; the rest is taken off again."""
        whole = 0
        for block in blocks:
            if whole + len(block) > done:
                break
            whole += len(block)
        if self._regular:
            try:
                os.ftruncate(self._fd, self.written + whole)
            except OSError:
                pass
        return whole

    def _explained(self, error: OSError) -> OutputError:
        kept = f"what was written of {self.name} before, {self.written:,} bytes, can be read"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return OutputError(f"there is no room left on the disk: {kept}")
        if error.errno == errno.EFBIG:
            return OutputError(f"the file may not grow any more: {kept}")
        if error.errno == errno.EPIPE:
            return GoneError(f"whoever read {self.name} has gone")
        return OutputError(f"cannot write {self.name}: {error.strerror}; {kept}")
