"""Writes to the file in a thread of its own: whoever hands rows over never waits for a disk.

One batch is on its way at a time. What came of it is told, and where it failed the rows are still the caller's. A file
that turns out to be damaged is put aside, and one that somebody took away is made anew.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from msgspec import Struct

from whyreset.outputs.store import bodies, files
from whyreset.outputs.store.files import DamagedError, StoreError
from whyreset.outputs.store.tables import FullError, Row, Tables
from whyreset.outputs.store.window import Piece


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a batch."""

    #: How many of its pieces, from the first, are written.
    written: int
    #: Why it was no more; "" for all.
    why: str = ""
    #: Something else that the user should know.
    note: str = ""
    #: Values that cannot be written.
    bad: int = 0
    #: The longest that one piece of work took.
    seconds: float = 0.0


class Writer:
    """Holds the file from its making until `close`.

    Args:
        path: the file.
        size: bytes of all.

    Raises StoreError.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path, self._size = path, size
        self._inbox: SimpleQueue[Sequence[Piece] | None] = SimpleQueue()
        self._outbox: SimpleQueue[Outcome] = SimpleQueue()
        self._busy = False
        #: What was found when it was opened and the user should know.
        self.note = ""
        damaged: StoreError | None = None
        files.make_folder(path)
        try:
            files.identify(path)
        except DamagedError as error:
            damaged = error
        self._lock = files.Lock(path)
        try:
            self._tables = self._anew(damaged) if damaged else self._open()
        except BaseException:
            self._lock.close()
            raise
        self.next_row = self._tables.next_row
        self._thread = threading.Thread(target=self._work, name="history", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether it takes a batch now."""
        return not self._busy

    def hand_over(self, pieces: Sequence[Piece]) -> None:
        """A batch; only while it is idle."""
        assert not self._busy
        self._busy = True
        self._inbox.put(pieces)

    def outcome(self, patience: float = 0.0) -> Outcome | None:
        """What came of the batch, once; None while that is not known.

        Args:
            patience: seconds to wait for it.
        """
        if not self._busy:
            return None
        try:
            found = self._outbox.get(timeout=patience) if patience else self._outbox.get_nowait()
        except Empty:
            return None
        self._busy = False
        return found

    def close(self, patience: float) -> bool:
        """Ends; False where the disk did not let it within that time."""
        self._inbox.put(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            return False
        self._lock.close()
        return True

    # ---- the thread ----

    def _work(self) -> None:
        while (pieces := self._inbox.get()) is not None:
            self._outbox.put(self._write(pieces))
        try:
            self._tables.close()
        except sqlite3.Error:  # a full disk: the log stays beside the file, and is read from there
            pass

    def _write(self, pieces: Sequence[Piece]) -> Outcome:
        began = time.monotonic()
        written, bad, note = 0, 0, ""
        try:
            if not self._tables.is_there:
                self._tables.close()
                self._tables = self._open()
                note = f"{self._path} was taken away: the history begins anew"
            for rows, some in self._batches(pieces):
                self._tables.write(rows)
                written += len(rows)
                bad += some
        except FullError as error:
            return Outcome(written=written, why=str(error), bad=bad, note=note)
        except (sqlite3.Error, OSError) as error:
            why = files.explain(self._path, error)
            return Outcome(written=written, why=str(why), note=self._recover(why) or note, bad=bad)
        except StoreError as error:
            return Outcome(written=written, why=str(error), note=note, bad=bad)
        return Outcome(written=written, note=note, bad=bad, seconds=time.monotonic() - began)

    def _batches(self, pieces: Sequence[Piece]) -> Iterator[tuple[list[Row], int]]:
        """Rows for one transaction each, and how many values cannot be written."""
        rows: list[Row] = []
        size = bad = 0
        for piece in pieces:
            body, some = bodies.encode(piece.values)
            if rows and size + len(body) > self._tables.batch_bytes:
                yield rows, bad
                rows, size, bad = [], 0, 0
            rows.append((piece.id, piece.kind, piece.first_ns, piece.last_ns, len(body), body))
            size, bad = size + len(body), bad + some
        yield rows, bad

    def _recover(self, why: StoreError) -> str:
        """Of a file that is damaged: begins anew; returns what the user should know."""
        if not isinstance(why, DamagedError):
            return ""
        try:
            self._tables.close()
            self._tables = self._anew(why)
        except (StoreError, sqlite3.Error):
            return ""
        note, self.note = self.note, ""
        return note

    # ---- opening ----

    def _open(self) -> Tables:
        files.touch(self._path)
        try:
            return Tables(self._path, self._size)
        except (sqlite3.Error, OSError) as error:
            why = files.explain(self._path, error)
            if isinstance(why, DamagedError):
                return self._anew(why)
            raise why from error

    def _anew(self, why: StoreError) -> Tables:
        aside = files.put_aside(self._path, time.time())
        self.note = f"{why}: it was put aside as {aside}, and the history begins anew"
        files.touch(self._path)
        try:
            return Tables(self._path, self._size)
        except (sqlite3.Error, OSError) as error:
            raise files.explain(self._path, error) from error
