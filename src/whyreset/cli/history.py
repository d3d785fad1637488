"""`whyreset history`: what an agent kept of the last hour, for whoever comes after the alarm."""

from __future__ import annotations

import io
import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from whyreset.outputs.store import DEFAULT

if TYPE_CHECKING:
    from whyreset.filter import Filter
    from whyreset.outputs.store.reader import Reader


@click.command()
@click.option("--since", default="1h", show_default=True, metavar="TIME", help="2h, 12:30, 2026-11-22 12:30.")
@click.option("--until", default="now", show_default=True, metavar="TIME", help="The same.")
@click.option(
    "--direction", type=click.Choice(["sent", "received", "both"]), default="both", help="Which resets to show."
)
@click.option("--netns", multiple=True, metavar="NAME", help="Only this network namespace: a name or an inode number.")
@click.option("--port", multiple=True, type=click.IntRange(1, 65535), help="Only resets from or to this port.")
@click.option("--cause", multiple=True, metavar="NAME", help="Only this cause or family of causes.")
@click.option("--lines", is_flag=True, help="Line after line in the order of time, as `watch --plain` writes them.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line (see `whyreset schema`).")
@click.option("--store", default=DEFAULT, show_default=True, metavar="FILE", help="The file that the agent keeps.")
def history(
    *,
    since: str,
    until: str,
    direction: str,
    netns: tuple[str, ...],
    port: tuple[int, ...],
    cause: tuple[str, ...],
    lines: bool,
    as_json: bool,
    store: str,
) -> None:
    """Tell what the agent kept: who reset why, alerts, what resets meant, and what is not known.

    An hour of it, unless another time is asked for; how far it reaches depends on what happened and on the agent's
    --store-size.
    """
    # imported here so that --help and mistakes answer at once
    from whyreset import causes
    from whyreset.filter import Filter
    from whyreset.history import gather
    from whyreset.outputs.history import text
    from whyreset.outputs.store.files import StoreError
    from whyreset.outputs.store.reader import Reader

    known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
    for name in cause:
        if name not in known:
            raise click.UsageError(f"there is no cause or family {name!r}; there are {', '.join(sorted(known))}")
    now = time.time()
    since_ns, until_ns = moment("--since", since, now), moment("--until", until, now)
    if since_ns >= until_ns:
        raise click.UsageError("--since must be before --until")
    chosen = Filter(direction=direction, netns=frozenset(netns), ports=frozenset(port), causes=frozenset(cause))
    try:
        with Reader(store) as reader:
            if lines or as_json:
                _write_lines(reader, since_ns, until_ns, chosen, as_json=as_json)
            else:
                kept = gather(reader, since_ns, until_ns, chosen)
                sys.stdout.write(text(kept, shutil.get_terminal_size().columns))
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def moment(option: str, words: str, now: float) -> int:
    """What a person means, in nanoseconds since the epoch."""
    from whyreset.moments import parse

    try:
        return round(parse(words, now) * 1e9)
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from error


def _write_lines(reader: Reader, since_ns: int, until_ns: int, chosen: Filter, *, as_json: bool) -> None:
    from whyreset.history import ticks
    from whyreset.model import Notice, Tick
    from whyreset.outputs.printers import JsonPrinter, PlainPrinter
    from whyreset.outputs.store.values import Run

    if as_json and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    printer = JsonPrinter(sys.stdout) if as_json else PlainPrinter(sys.stdout)
    for each in ticks(reader, since_ns, until_ns, chosen):
        if isinstance(each, Run):
            printer.start(
                each.start_ns, version=each.version, sources=each.sources, tier=each.tier, missing=each.missing
            )
        else:
            printer.write(each)
    if reader.unreadable:
        text = "rows of the history could not be read: damaged, or of another version"
        notice = Notice(time_ns=until_ns, name="history-unreadable", text=text, count=reader.unreadable)
        printer.write(Tick(notices=(notice,)))
