"""What `whyreset explain` does with what it reads: the ways of writing, joined."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from whyreset import __version__
from whyreset.captured import meaning
from whyreset.captures import Network, Reader
from whyreset.core.segments import SKIPPED
from whyreset.model import Contact, Missing
from whyreset.observed import ObservedReset
from whyreset.outputs import seen, wire
from whyreset.outputs.findings import finding_line, verdict_line
from whyreset.outputs.report import text
from whyreset.outputs.report.gather import Gathering
from whyreset.words import escape

if TYPE_CHECKING:
    from rich.progress import Progress

    from whyreset.filter import Test

#: A file that takes longer gets a progress bar.
_PATIENCE_SECONDS = 1.0
#: With a ladder: resets of its connection that are told.
_RESETS_MAX = 50


def write(reader: Reader, form: str, test: Test | None, *, rows: int, html: Path | None) -> None:
    """Reads all, and writes it in one of the forms: summary, groups, lines, json, csv.

    Args:
        reader: the captures.
        form: the form.
        test: which resets are wanted; None for all.
        rows: rows of a summary.
        html: where the page goes; None for nowhere.
    """
    found = Gathering()
    resets = (
        _wanted(reader, test) if form in ("csv", "lines") and not html else _gathering(found, _wanted(reader, test))
    )
    if form == "json":
        _json(reader, resets, found, lambda: [] if test else reader.contacts())
    elif form == "csv":
        from whyreset.outputs.report.table import CsvPrinter

        CsvPrinter(sys.stdout).write(resets)
    elif form == "lines":
        from whyreset.outputs.report.lines import reset_text

        for reset in resets:
            print(reset_text(reset))
    else:
        for _ in resets:
            pass
        if reader.damages and not reader.totals().packets:
            raise click.ClickException(escape("; ".join(map(str, reader.damages))))
        print("\n".join(_summary(reader, found, rows, test, by_service=form == "groups")))
    if form in ("csv", "lines", "json"):
        for line in losses(reader):
            click.echo(f"whyreset: {escape(line)}", err=True)
    if html is not None:
        from whyreset.outputs.report.html import page

        told = page(
            reader.paths,
            reader.totals(),
            found,
            losses=losses(reader),
            version=__version__,
            meant=meaning(found, () if test else reader.contacts())[1],
        )
        html.write_text(told, encoding="utf-8")


def _summary(reader: Reader, found: Gathering, rows: int, test: Test | None, *, by_service: bool) -> list[str]:
    return text.summary(
        reader.paths,
        reader.totals(),
        found,
        limit=rows,
        by_service=by_service,
        missing=losses(reader),
        meant=meaning(found, () if test else reader.contacts())[1],
    )


def losses(reader: Reader) -> list[str]:
    """What was not read, and why; sentences."""
    lines = [str(damage) for damage in reader.damages]
    lines += [
        f"{second} begins before {first} ends: what both hold is counted twice" for first, second in reader.overlaps
    ]
    if reader.stopped:
        lines.append("stopped before the end: this is what was found so far")
    return lines + list(text.losses(reader.totals(), SKIPPED))


def _wanted(reader: Reader, test: Test | None) -> Iterator[ObservedReset]:
    if test is None:
        yield from reader
        return
    for reset in reader:
        if test(msgspec.to_builtins(seen.reset_line(reset))):
            yield reset


def _gathering(found: Gathering, resets: Iterator[ObservedReset]) -> Iterator[ObservedReset]:
    for reset in resets:
        found.add(reset)
        yield reset


def _json(
    reader: Reader, resets: Iterator[ObservedReset], found: Gathering, contacts: Callable[[], list[Contact]]
) -> None:
    encode = msgspec.json.Encoder().encode
    out = sys.stdout.buffer
    start = wire.start_line(
        time.time_ns(),
        version=__version__,
        sources=("captures",),
        tier="packets",
        missing=(
            Missing(source="kernel", why="a capture holds packets alone", lost="the kernel's reasons and owners"),
        ),
    )
    out.write(encode(start) + b"\n")
    for reset in resets:
        out.write(encode(seen.reset_line(reset)) + b"\n")
    findings, verdict = meaning(found, contacts())
    for finding in findings:
        out.write(encode(finding_line(finding)) + b"\n")
    if verdict.resets:
        out.write(encode(verdict_line(verdict)) + b"\n")
    now = time.time_ns()
    for damage in reader.damages:
        out.write(encode(seen.problem_line(now, str(damage))) + b"\n")
    for first, second in reader.overlaps:
        out.write(encode(seen.overlap_line(now, first, second)) + b"\n")
    out.write(encode(seen.capture_line(now, reader.paths, reader.totals())) + b"\n")
    out.write(encode(seen.end_line(now, "interrupted" if reader.stopped else "done")) + b"\n")
    out.flush()


def draw(files: Sequence[str], number: int, local: Sequence[Network], svg: Path | None) -> int:
    """Draws the connection of one reset. Returns the exit code."""
    from whyreset.outputs.ladder import svg as picture
    from whyreset.outputs.ladder import text as lines
    from whyreset.outputs.ladder.rungs import ladder

    if "-" in files:
        raise click.ClickException("a ladder needs the capture twice, and standard input can be read but once")
    reader = Reader(files, local=local)
    with progress(reader):
        chosen = next((reset for reset in reader if reset.seen.number == number), None)
    if chosen is None:
        for line in losses(reader):
            click.echo(f"whyreset: {escape(line)}", err=True)
        raise click.ClickException(f"there is no reset {number}: the captures hold {reader.totals().resets:,}")
    # once more, now that it is known what to look at: of a large capture not all resets can be kept
    reader = Reader(reader.paths, local=local, follow=chosen.seen.connection)
    same: list[ObservedReset] = []
    more = 0
    with progress(reader):
        for reset in reader:
            if reset.seen.connection != chosen.seen.connection:
                continue
            if len(same) < _RESETS_MAX or reset.seen.number == number:
                same.append(reset)
            else:
                more += 1
    drawn = ladder(reader.steps()[0], [chosen, *same], reader.steps()[1])
    for line in lines.draw(drawn):
        print(line)
    from whyreset.outputs.report.lines import reset_text

    print()
    for reset in same:
        print(reset_text(reset))
    if more:
        print(f"and {more:,} more resets of this connection")
    if svg is not None:
        svg.write_text(picture.draw(drawn), encoding="utf-8")
    return 1 if reader.damages else 0


@contextmanager
def progress(reader: Reader) -> Iterator[None]:
    """A bar with rate and time left on standard error, where that is a terminal and reading takes its time."""
    total = reader.size()
    if total is None or not sys.stderr.isatty():
        yield
        return
    began = time.monotonic()
    bar: Progress | None = None

    def show(done: int) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() - began < _PATIENCE_SECONDS:
                return
            bar = _bar(total)
        bar.update(bar.task_ids[0], completed=min(done, total))

    reader.progress = show
    try:
        yield
    finally:
        reader.progress = None
        if bar is not None:
            bar.refresh()
            bar.stop()


def _bar(total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("reading", total=total)
    bar.start()
    return bar
