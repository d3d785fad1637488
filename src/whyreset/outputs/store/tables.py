"""The tables: rows go in, the oldest go out, and the file stays within its size with all that lies beside it.

Each kind of row has a share: who has more of it than the others gives way first, so that a storm of one leaves the
others their hour, and room that nobody needs is anybody's. Pages that become free are used again. What is written goes
to a log first (WAL), which is brought into the file, and begins anew, long before it is large.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from whyreset.outputs.store.files import APPLICATION, BESIDE, LAYOUT
from whyreset.outputs.store.kinds import KINDS

PAGE = 4096
#: Parts of the size that the log may have, and that it has before it is brought into the file.
_LOG, _SOON = 1 / 8, 1 / 32
#: Bytes of the index of the log.
_INDEX = 1 << 16
_ROW_BYTES = 128
_STEP, _SPARE = 256, 32

#: id, kind, first_ns, last_ns, bytes, body.
Row = tuple[int, str, int, int, int, bytes]


class FullError(Exception):
    """Somebody reads for so long that the log cannot begin anew."""


class Tables:
    """An open file of ours.

    Args:
        path: it exists, and may be empty.
        size: bytes of all.

    Raises sqlite3.Error, as all methods do.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._log_bytes = int(size * _LOG)
        self._soon_bytes = int(size * _SOON)
        self._pages = (size - self._log_bytes - _INDEX) // PAGE
        self._shares = {kind.name: kind.share for kind in KINDS}
        self._connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        self._inode = os.stat(path).st_ino
        self._used = dict.fromkeys(self._shares, 0)
        self._used |= dict(self._connection.execute("SELECT kind, sum(bytes) FROM piece GROUP BY kind"))
        (self.next_row,) = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM piece").fetchone()
        self._shrink()

    def _prepare(self) -> None:
        execute = self._connection.execute
        if not execute("PRAGMA application_id").fetchone()[0]:  # a new one
            execute(f"PRAGMA application_id={APPLICATION}")
            execute(f"PRAGMA user_version={LAYOUT}")
        (found,) = execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            error = sqlite3.DatabaseError(str(found).splitlines()[-1])
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        execute(
            "CREATE TABLE IF NOT EXISTS piece (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, first_ns INTEGER NOT NULL,"
            " last_ns INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL)"
        )
        execute("CREATE INDEX IF NOT EXISTS piece_span ON piece (kind, id, first_ns, last_ns, bytes)")
        # nothing of a kind that ended before that is there any more
        execute("CREATE TABLE IF NOT EXISTS forgot (kind TEXT PRIMARY KEY, until_ns INTEGER NOT NULL)")
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=NORMAL")
        execute("PRAGMA wal_autocheckpoint=0")
        execute(f"PRAGMA journal_size_limit={self._soon_bytes}")
        execute("PRAGMA cache_size=-1024")

    @property
    def batch_bytes(self) -> int:
        """Rows that are written at once should have no more."""
        return self._log_bytes // 5

    @property
    def is_there(self) -> bool:
        """Whether the file that is open still has its name."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def write(self, rows: Iterable[Row]) -> None:
        """Writes rows, those of a known id anew, and makes room for them; all or nothing.

        Raises FullError: nothing was written, try again later.
        """
        rows = list(rows)
        coming = sum(len(row[5]) + _ROW_BYTES for row in rows)
        # a row's pages, those of the index and the list of free ones
        if self._log_size() + 2 * coming + 64 * PAGE > self._log_bytes and not self.checkpoint():
            raise FullError("a program that reads it holds it up")
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        used = dict(self._used)
        try:
            self._make_room(coming, used, [row[0] for row in rows])
            for row in rows:
                old = execute("SELECT bytes FROM piece WHERE id=?", (row[0],)).fetchone()
                used[row[1]] = used.get(row[1], 0) + row[4] - (old[0] if old else 0)
                execute("INSERT OR REPLACE INTO piece VALUES (?, ?, ?, ?, ?, ?)", row)
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        self._used = used
        if self._log_size() > self._soon_bytes:
            self.checkpoint()

    def checkpoint(self) -> bool:
        """Brings the log into the file; False where somebody who reads is in the way."""
        busy, log, done = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or log != done:
            return False
        if self._log_size() > self._soon_bytes:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return self._log_size() <= self._soon_bytes

    def close(self) -> None:
        """Leaves one file."""
        self._connection.close()

    def _make_room(self, coming: int, used: dict[str, int], written: list[int]) -> None:
        """For so many bytes in rows of these ids."""
        # a row may begin and end within a page that it shares
        pages = self._pages - 2 * (coming // PAGE + len(written)) - _SPARE
        while self._occupied() > pages and self._drop(used, written):
            pass

    def _drop(self, used: dict[str, int], written: list[int]) -> bool:
        """Forgets the oldest of the kind that has most of its share; False where none is left."""
        kind = max(self._shares, key=lambda each: used[each] / self._shares[each])
        execute = self._connection.execute
        found = execute(
            "SELECT id, bytes, last_ns FROM piece INDEXED BY piece_span WHERE kind=? ORDER BY id LIMIT 1", (kind,)
        ).fetchone()
        if found is None or found[0] in written:
            return False
        execute("DELETE FROM piece WHERE id=?", (found[0],))
        execute(
            "INSERT INTO forgot VALUES (?, ?) ON CONFLICT DO UPDATE SET until_ns=max(until_ns, excluded.until_ns)",
            (kind, found[2]),
        )
        used[kind] -= found[1]
        return True

    def _occupied(self) -> int:
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free)

    def _log_size(self) -> int:
        try:
            return os.stat(self._path + BESIDE[0]).st_size
        except OSError:
            return 0

    def _shrink(self) -> None:
        """To a size that is smaller than last time."""
        execute = self._connection.execute
        while self._occupied() > self._pages - _SPARE:
            execute("BEGIN IMMEDIATE")
            dropped = 0
            while dropped < _STEP and self._occupied() > self._pages - _SPARE and self._drop(self._used, []):
                dropped += 1
            execute("COMMIT")
            self.checkpoint()
            if not dropped:
                break
        if execute("PRAGMA page_count").fetchone()[0] > self._pages:
            with suppress(sqlite3.OperationalError):  # for this a full disk has no room
                execute("VACUUM")
            self.checkpoint()
        execute(f"PRAGMA max_page_count={self._pages}")
