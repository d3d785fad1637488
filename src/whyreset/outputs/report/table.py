"""Resets of captures as CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from whyreset.observed import ObservedReset, Recorded
from whyreset.outputs.sentences import process_text
from whyreset.outputs.wire import timestamp
from whyreset.words import escape

COLUMNS = (
    *("file", "frame", "time", "count", "src", "sport", "dst", "dport", "direction", "cause", "family", "certainty"),
    *(
        "candidates",
        "flags",
        "seq",
        "ack",
        "ttl",
        "trigger",
        "history",
        "connection",
        "evidence",
        "missing",
        "says",
        "owner",
    ),
)


class CsvPrinter:
    """Writes a row for each reset, or for a group of like ones its sample with their count."""

    def __init__(self, out: TextIO) -> None:
        self._out = csv.writer(out, lineterminator="\r\n")
        self._out.writerow(COLUMNS)

    def write(self, resets: Iterable[ObservedReset]) -> None:
        """One row each."""
        for reset in resets:
            seen = reset.seen
            row = (
                *(reset.file, seen.frame, timestamp(reset.time_ns), reset.count, seen.src, seen.sport, seen.dst),
                *(seen.dport, reset.direction, reset.cause.name, reset.cause.family, reset.cause.certainty),
                *(" ".join(reset.cause.candidates), seen.flags, seen.seq, seen.ack, seen.ttl),
                *(seen.trigger.flags if seen.trigger else "", seen.history, seen.connection),
                *("; ".join(reset.evidence), reset.cause.missing, reset.says, _owner(reset.recorded)),
            )
            self._out.writerow([_cell(value) if isinstance(value, str) else value for value in row])


def _owner(told: Recorded | None) -> str:
    return process_text(told.owner.process) if told is not None and told.owner is not None else ""


def _cell(text: str) -> str:
    """Harmless text: a spreadsheet would run what looks like a formula, and what others sent may look so."""
    text = escape(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
