"""Reads the history, also while an agent writes it: a row at a time, so that nobody waits for a reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Self, TypeVar

from whyreset.outputs.store import bodies, files
from whyreset.outputs.store.files import StoreError
from whyreset.outputs.store.kinds import BY_TYPE
from whyreset.outputs.store.values import Run

T = TypeVar("T")
_AT_ONCE = 256
_IS_TABLE = "SELECT type FROM sqlite_master WHERE name='piece'"
_FOREVER_NS = (1 << 63) - 1


class Reader:
    """A history that is read. Use as a context manager.

    Args:
        path: the file.

    Raises StoreError, as all methods do: where there is none, or something else.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: Rows that cannot be read: damaged, or of another version.
        self.unreadable = 0
        if files.identify(path) == "nothing":
            raise StoreError(
                f"no history is kept in {path}: run `whyreset agent` to have one (or name its file with --store)"
            )
        try:
            self._connection = self._connect()
        except sqlite3.Error as error:
            raise files.explain(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def writer(self) -> int:
        """The process that writes it now; 0 for none."""
        return files.holder(self.path)

    def read(self, of: type[T], since_ns: int = 0, until_ns: int = _FOREVER_NS) -> Iterator[T]:
        """Values of a type that have to do with that time, in the order in which they were written.

        Args:
            of: one of the types of `kinds`.
            since_ns: nanoseconds since the epoch.
            until_ns: the same.
        """
        kind = BY_TYPE[of]
        for row in self._rows(kind.name, since_ns, until_ns):
            found = self._ask("SELECT body FROM piece WHERE id=?", (row,))
            if not found:  # it made room meanwhile
                continue
            body = found[0][0]
            values = bodies.decode(kind, body) if isinstance(body, bytes) else None
            if values is None:
                self.unreadable += 1
                continue
            for value in values:
                first, last = kind.span(value)
                if last >= since_ns and first <= until_ns:
                    yield value

    def runs(self) -> list[Run]:
        """When agents ran, the first first."""
        return sorted(self.read(Run), key=lambda run: run.start_ns)

    def begins_ns(self, of: type) -> int:
        """Of before nothing of that type is known; 0 where that is not known either."""
        name = BY_TYPE[of].name
        found = self._ask("SELECT until_ns FROM forgot WHERE kind=?", (name,))
        forgot = found[0][0] if found and isinstance(found[0][0], int) else 0
        return max(forgot, min((run.start_ns for run in self.runs()), default=0))

    def _rows(self, kind: str, since_ns: int, until_ns: int) -> Iterator[int]:
        after = -1
        while True:
            found = self._ask(
                "SELECT id FROM piece INDEXED BY piece_span"
                " WHERE kind=? AND id>? AND last_ns>=? AND first_ns<=? ORDER BY id LIMIT ?",
                (kind, after, since_ns, until_ns, _AT_ONCE),
            )
            for (row,) in found:
                yield row
                after = row
            if len(found) < _AT_ONCE:
                return

    def _ask(self, question: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """All of the answer at once: nothing of the file is held afterwards."""
        try:
            return self._connection.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise files.explain(self.path, error) from error

    def _connect(self) -> sqlite3.Connection:
        """To read alone; on a disk that cannot be written to, as a file that does not change."""
        for more in ("", "&immutable=1"):
            connection = sqlite3.connect(f"file:{_quoted(self.path)}?mode=ro{more}", uri=True, timeout=2.0)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, bodies.BODY_MAX)
            try:
                # root may read what another user wrote: nothing in it is to run
                connection.execute("PRAGMA trusted_schema=OFF")
                if connection.execute(_IS_TABLE).fetchall() != [("table",)]:
                    raise sqlite3.DatabaseError("it has no table of pieces")
                connection.execute("SELECT id FROM piece INDEXED BY piece_span WHERE kind='' LIMIT 1").fetchall()
            except sqlite3.OperationalError as error:
                connection.close()
                code = error.sqlite_errorcode & 0xFF
                if more or code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
            except sqlite3.Error:
                connection.close()
                raise
            else:
                return connection
        raise AssertionError


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path)
