"""`whyreset explain`: why every reset in captures was sent."""

from __future__ import annotations

import io
import ipaddress
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whyreset.captures import Reader
    from whyreset.filter import Test

#: The sample that the package holds.
SAMPLE = Path(__file__).parent.parent / "sample.pcapng"


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--sample", is_flag=True, help="Explain the small capture that comes with whyreset.")
@click.option("--each", is_flag=True, help="One line for each reset, instead of the summary.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line (see `whyreset schema`).")
@click.option("--csv", "as_csv", is_flag=True, help="Write one row for each reset.")
@click.option(
    "--group",
    is_flag=True,
    help="Resets by cause and service; with --each, --json, --csv: like ones as one, with their count.",
)
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write the summary as one HTML file.")
@click.option("--filter", "wanted", metavar="WORDS", help="Only some: 'cause=forged or port=443'; keys are JSON's.")
@click.option("--local", multiple=True, metavar="NET", help="A network that is ours: tells sent from received.")
@click.option("--rows", type=click.IntRange(1), default=12, show_default=True, help="Rows that the summary shows.")
@click.option("--ladder", type=click.IntRange(1), metavar="N", help="Draw the connection of reset number N.")
@click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="With --ladder: write it as a picture.")
def explain(
    *,
    files: tuple[str, ...],
    sample: bool,
    each: bool,
    as_json: bool,
    as_csv: bool,
    group: bool,
    html: str | None,
    wanted: str | None,
    local: tuple[str, ...],
    rows: int,
    ladder: int | None,
    svg: str | None,
) -> int:
    """Explain the resets in captures: pcap or pcapng, also compressed; "-" is standard input.

    Needs no rights and no network.
    """
    # imported here so that --help and mistakes answer at once
    from whyreset.captures import Reader
    from whyreset.cli import explained

    if sample:
        files = (*files, str(SAMPLE))
    if not files:
        raise click.UsageError("name a capture, - for standard input, or --sample")
    if sum((each, as_json, as_csv, ladder is not None)) > 1:
        raise click.UsageError("--each, --json, --csv and --ladder exclude each other")
    if svg and ladder is None:
        raise click.UsageError("--svg belongs to --ladder")
    test = _test(wanted)
    networks = [_network(each) for each in local]
    if isinstance(sys.stdout, io.TextIOWrapper) and (as_json or as_csv):
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # RFC 8259 section 8.1, RFC 4180; whatever the locale
    if ladder is not None:
        return explained.draw(files, ladder, networks, Path(svg) if svg else None)
    if test is not None and group and (each or as_json or as_csv):
        raise click.UsageError("--filter looks at single resets: leave --group out, or the other form of lines")
    # a group tells only what all of it share, so that a filter would lose those that it holds of others
    single = test is not None or ((each or as_json or as_csv) and not group)
    reader = Reader(files, local=networks, each=single)
    with _interruptible(reader), explained.progress(reader):
        form = "json" if as_json else "csv" if as_csv else "lines" if each else "groups" if group else "summary"
        explained.write(reader, form, test, rows=rows, html=Path(html) if html else None)
    if reader.stopped:
        return 130
    return 1 if reader.damages else 0


def _test(wanted: str | None) -> Test | None:
    if wanted is None:
        return None
    from whyreset.filter import ExpressionError, parse
    from whyreset.outputs.keys import keys_of
    from whyreset.outputs.lines import ResetLine

    try:
        return parse(wanted, keys_of(ResetLine))
    except ExpressionError as error:
        raise click.UsageError(str(error)) from error


def _network(words: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(words, strict=False)
    except ValueError as error:
        raise click.UsageError(f"--local takes a network as 192.0.2.0/24, not {words!r}") from error


@contextmanager
def _interruptible(reader: Reader) -> Iterator[None]:
    """Ctrl-C ends the reading; what was found by then is told. A second one ends the program."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        reader.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
