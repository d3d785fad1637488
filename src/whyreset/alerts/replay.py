"""A recorded series of counts held against rules and detector: what they would have said, second by second.

A series is CSV: a header `second,OutRsts[,EstabResets,...]` with the kernel's names of counters, then one row a second
with what each grew in it. `OutRsts` is what the detector looks at; `AttemptFails`, where it is there, what it looks at
for resets received.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from msgspec import Struct

from whyreset.alerts.charts import CHARTS, Charts
from whyreset.alerts.evaluate import Evaluator
from whyreset.alerts.life import Lives, Signal
from whyreset.alerts.rule import Rule
from whyreset.alerts.space import ATTEMPTS, COUNTED, RECEIVED_SURGE, SENT_SURGE, looks, rule_signal, surge_signal
from whyreset.alerts.streams import Streams
from whyreset.model import Alert

#: What the detectors look at.
SURGES = {SENT_SURGE: COUNTED, RECEIVED_SURGE: ATTEMPTS}
COUNTERS = tuple(dict.fromkeys(each.key for kind in CHARTS for each in kind.dimensions))
#: A longer pause between two rows is nothing that anybody would wait for.
_LONGEST_PAUSE = 86_400 * 366
_LONGEST_LINE = 10_000
#: In so many seconds increments fall some time.
_MANY_ROWS = 60
#: Seconds and counts beyond these are mistakes.
_LAST_SECOND, _MOST = 100_000_000_000, 1e15


class SeriesError(ValueError):
    """A series cannot be read: a sentence with the line."""


class Row(Struct, frozen=True):
    """One second of a series."""

    second: int
    values: dict[str, float]


def lines_of(file: TextIO) -> Iterator[str]:
    """A file's lines, none of them without end.

    Raises:
        SeriesError: at one that is longer than any row.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise SeriesError(f"line {number}: expected at most {_LONGEST_LINE} characters")
        yield line


def read_series(lines: Iterable[str]) -> Iterator[Row]:
    """The rows of a series.

    Raises:
        SeriesError: at the first line that is wrong.
    """
    reader = csv.reader(lines)
    try:
        # a program that wrote for spreadsheets begins with a byte order mark
        header = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
        _check_header(header)
        before = -math.inf
        for fields in reader:
            if not any(map(str.strip, fields)):
                continue
            row = _row(header, fields, reader.line_num)
            if not before < row.second <= before + _LONGEST_PAUSE and math.isfinite(before):
                raise SeriesError(f"line {reader.line_num}: second {row.second} does not follow {before:g}")
            before = row.second
            yield row
        if not math.isfinite(before):
            raise SeriesError(f"line {reader.line_num}: expected a row after the header")
    except csv.Error as error:
        raise SeriesError(f"line {reader.line_num}: {error}") from error


def noticing_totals(rows: Iterable[Row], notes: list[str]) -> Iterator[Row]:
    """The same rows; at their end a note, if they seem to be totals instead of increments."""
    count, first, before, fell = 0, 0.0, 0.0, False
    for count, row in enumerate(rows, 1):
        value = row.values[COUNTED]
        first = value if count == 1 else first
        fell, before = fell or value < before, value
        yield row
    if count >= _MANY_ROWS and not fell and before > first > 0:
        notes.append(
            f"{COUNTED} never falls in {count} seconds: are these totals? Expected is what it grew in each second"
        )


def _check_header(header: list[str]) -> None:
    if header[:1] != ["second"] or COUNTED not in header:
        raise SeriesError(
            f"line 1: expected a header «second,{COUNTED}[,...]», not {','.join(header)[:100]!r}{_hint(header)}"
        )
    for number, name in enumerate(header[1:], 2):
        if name not in COUNTERS:
            raise SeriesError(f"line 1: column {number} is {name[:40]!r}, which is none of {', '.join(COUNTERS)}")
    if len(set(header)) < len(header):
        raise SeriesError("line 1: a column is there twice")


def _hint(header: list[str]) -> str:
    """What may be wrong with a header, where that can be told."""
    words = [name.lower() for name in header]
    if words[:1] == ["second"] and COUNTED.lower() in words:
        return "; upper and lower case count"
    return "; fields are separated by commas" if len(header) == 1 and COUNTED in header[0] else ""


def _row(header: list[str], fields: list[str], line: int) -> Row:
    if len(fields) != len(header):
        raise SeriesError(f"line {line}: expected {len(header)} fields ({','.join(header)[:100]}), not {len(fields)}")
    numbers = []
    for name, field in zip(header, fields, strict=True):
        try:
            number = float(field)
        except ValueError:
            raise SeriesError(f"line {line}: expected a number for {name}, not {field[:40]!r}") from None
        if name != header[0] and not 0 <= number < _MOST:
            raise SeriesError(f"line {line}: expected what {name} grew in this second, not {field[:40]}")
        numbers.append(number)
    second, *values = numbers
    if not (0 <= second < _LAST_SECOND and second == int(second)):
        raise SeriesError(f"line {line}: expected a whole second, such as one since the epoch, not {fields[0][:40]}")
    return Row(int(second), dict(zip(header[1:], values, strict=True)))


def replay(rows: Iterable[Row], rules: Iterable[Rule], *, phase: int = 0) -> Iterator[Alert]:
    """What happened to alerts, in order; each alert's time is the second of the row that brought it.

    Args:
        rows: a series.
        rules: in Netdata's syntax.
        phase: seconds by which rules are evaluated later than at the first moment when they can be.
    """
    looked = looks(rules)
    charts, streams = Charts(looked.memory, looked.kinds), {rule: Streams() for rule in SURGES}
    evaluator: Evaluator | None = None
    lives, began, last = Lives(), 0, 0
    for row in rows:
        if evaluator is None:
            began, last = row.second - 1, row.second - 1
            first = began + 10 + phase
            evaluator = Evaluator(looked.rules, charts, {rule.name: first for rule in looked.rules} if phase else {})
        if row.second - last > 1:
            yield from _pass(lives, evaluator, last, row.second - 1)
        last = row.second
        charts.add(row.second, {**row.values, "agent_uptime": row.second - began, "uptime": row.second - began})
        yield from _told(lives, _signals(evaluator, streams, row.second, row.values), row.second)


def _signals(
    evaluator: Evaluator, streams: Mapping[str, Streams], second: int, values: Mapping[str, float]
) -> Iterator[Signal]:
    """Everything that one second brings."""
    for change in evaluator.step(second + 1):
        if (signal := rule_signal(change, 0, 0)) is not None:
            yield signal
    for rule, counter in SURGES.items():
        if counter in values and (surging := streams[rule].step(round(values[counter]), {})) is not None:
            yield surge_signal(rule, surging, 0, 0, counters_only=True)


def _pass(lives: Lives, evaluator: Evaluator, last: int, until: int) -> Iterator[Alert]:
    """Seconds that the series leaves out: nothing is known of them, but time passes."""
    for second in range(max(last + 1, until - 7200), until + 1):
        signals = (rule_signal(change, 0, 0) for change in evaluator.step(second + 1))
        yield from _told(lives, (signal for signal in signals if signal is not None), second)


def _told(lives: Lives, signals: Iterable[Signal], second: int) -> Iterator[Alert]:
    for signal in signals:
        yield from lives.update(signal, second)
    yield from lives.tick(second)
