"""`whyreset past`: what the counters that others stored still tell of a surge that is over."""

from __future__ import annotations

import io
import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from whyreset import __version__

if TYPE_CHECKING:
    from whyreset.stored import Past

_DAY = 86_400.0


@click.command()
@click.option("--netdata", metavar="URL", help="A Netdata that watched the host: http://localhost:19999.")
@click.option("--prometheus", metavar="URL", help="A Prometheus with node_exporter's counters: http://localhost:9090.")
@click.option(
    "--sysstat", multiple=True, metavar="FILE", help="sysstat's files (/var/log/sysstat/sa22), or sadf -j of them."
)
@click.option("--instance", metavar="NAME", help="With --prometheus: which host, by its label.")
@click.option("--since", metavar="TIME", help="2h, 12:30, 2026-11-22 12:30; 24h where nothing is said.")
@click.option("--until", metavar="TIME", default="now", show_default=True, help="The same.")
@click.option("--journal", metavar="PATH", help="A file or folder of journals instead of this host's own.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line (see `whyreset schema`).")
def past(
    *,
    netdata: str | None,
    prometheus: str | None,
    sysstat: tuple[str, ...],
    instance: str | None,
    since: str | None,
    until: str,
    journal: str | None,
    as_json: bool,
) -> None:
    """Tell of surges of resets that are over, though nothing was running.

    From the counters that a Netdata, a Prometheus or sysstat stored, and the journal: when, how many, which families of
    causes, what crashed or stopped near to it; and what cannot be known any more. Needs no rights, and asks no server
    but the one that is named.
    """
    if sum((bool(netdata), bool(prometheus), bool(sysstat))) != 1:
        raise click.UsageError(
            "past needs to know where counters were stored: --netdata URL, --prometheus URL or --sysstat FILE"
        )
    if instance and not prometheus:
        raise click.UsageError("--instance belongs to --prometheus")
    now = time.time()
    begin, end = _moment("--since", since, now), _moment("--until", until, now)
    assert end is not None
    if begin is not None and begin >= end:
        raise click.UsageError("--since must be before --until")

    from whyreset.past import past as find
    from whyreset.past import store_of
    from whyreset.sources.base import SourceError
    from whyreset.words import escape

    try:
        store = store_of(netdata or "", prometheus or "", sysstat, instance or "")
        found = find(store, begin, end, default=_DAY, journal=journal or "")
    except SourceError as error:
        raise click.ClickException(escape(str(error))) from error
    if as_json:
        _write_json(found)
    else:
        from whyreset.outputs.past import text

        sys.stdout.write(text(found, shutil.get_terminal_size().columns))


def _moment(option: str, words: str | None, now: float) -> float | None:
    if words is None:
        return None
    from whyreset.moments import parse

    try:
        return parse(words, now)
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from error


def _write_json(found: Past) -> None:
    import msgspec

    from whyreset.outputs.wire_past import lines

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    encoder = msgspec.json.Encoder()
    for line in lines(found, time.time_ns(), version=__version__):
        sys.stdout.write(encoder.encode(line).decode() + "\n")
