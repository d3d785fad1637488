"""`whyreset alerts`: the rules there are, what is wrong with a file of them, and what they would have said."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from whyreset.words import escape

if TYPE_CHECKING:
    from whyreset.alerts.rule import Rule


@click.command()
@click.option(
    "--test", "files", multiple=True, metavar="FILE", help="Check this file of rules and use it instead of ours."
)
@click.option("--replay", metavar="SERIES", help="What rules and detector would have said of this series (CSV).")
@click.option(
    "--phase", type=click.IntRange(0, 3600), default=0, metavar="SECONDS", help="With --replay: look so much later."
)
def alerts(*, files: tuple[str, ...], replay: str | None, phase: int) -> None:
    """List, check and replay the rules of alerts.

    Rules have Netdata's syntax; beside them our own detector looks for surges. Without options the rules that ship with
    whyreset are listed. SERIES is CSV with a header «second,OutRsts[,AttemptFails,...]», then what each counter grew in
    each second; «-» reads it from standard input. The output is one JSON object a line (see `whyreset schema`).
    """
    from whyreset.alerts.tell import DETECTOR, rules_text
    from whyreset.rulefiles import RuleFileError, joined, read, shipped

    try:
        found = [each for name in files for each in read(name)] if files else shipped()
    except RuleFileError as error:
        raise click.ClickException(str(error)) from error
    host = socket.gethostname()
    whole = joined(found, host)
    problems = whole.problems
    for problem in problems:
        click.echo(escape(str(problem)), err=True)
    if replay is not None:
        _replay(whole.rules, replay, phase)
    else:
        # a user's rules may name ours: they stand beside them when it watches
        rules = joined([*found, *shipped()]).rules
        for line in (line for each in found for line in rules_text(each, rules, host)):
            click.echo(line)
        for line in () if files else DETECTOR:
            click.echo(line)
    if problems:
        count = len(problems)
        raise click.ClickException("one line cannot be used" if count == 1 else f"{count} lines cannot be used")


def _replay(rules: tuple[Rule, ...], series: str, phase: int) -> None:
    import msgspec

    from whyreset.alerts.replay import SeriesError, lines_of, noticing_totals, read_series, replay
    from whyreset.outputs.alerts import alert_line

    encoder, notes = msgspec.json.Encoder(), list[str]()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    try:
        with _opened(series) as file:
            rows = noticing_totals(read_series(lines_of(file)), notes)
            for alert in replay(rows, rules, phase=phase):
                line = alert_line(alert, second=alert.time_ns // 1_000_000_000)
                sys.stdout.write(encoder.encode(line).decode() + "\n")
    except SeriesError as error:
        raise click.ClickException(f"cannot replay {series}: {error}") from error
    sys.stdout.flush()
    for note in notes:
        click.echo(f"whyreset: {note}", err=True)


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace", newline="")
        yield sys.stdin
        return
    try:
        with Path(name).open(encoding="utf-8", errors="replace", newline="") as file:
            yield file
    except OSError as error:
        raise click.ClickException(f"cannot read {name}: {error.strerror}") from error
