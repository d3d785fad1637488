"""`whyreset capture`: resets with the segments around them, in a file in which each says why it was sent."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from whyreset.cli.running import capturing_grants, refusals, stopping
from whyreset.outputs.store import DEFAULT
from whyreset.words import escape

if TYPE_CHECKING:
    from whyreset.capturing import Capturing, State
    from whyreset.hands import Hands
    from whyreset.rewinding import Written

_SUFFIXES = (".pcapng", ".pcap")
_SHOWN_EVERY_SECONDS = 0.5
_MIB = 1 << 20
#: What the filter in the kernel tells apart.
_PORTS_MAX = 64


@click.command()
@click.option("-o", "--output", required=True, metavar="FILE", help="A .pcapng (or .pcap) file; - for standard output.")
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True, max=86400 * 365),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Stop after so many seconds.",
)
@click.option("--size", type=click.IntRange(1), metavar="MIB", help="Stop when so many MiB are written.")
@click.option("--interface", multiple=True, metavar="NAME", help="Only packets of this interface.")
@click.option(
    "--netns", multiple=True, metavar="NAME", help="In this network namespace: a name, an inode number, or all."
)
@click.option("--port", multiple=True, type=click.IntRange(1, 65535), help="Only packets from or to this port.")
@click.option("--segments", is_flag=True, help="With --port: every segment of these ports, not only SYN, FIN and RST.")
@click.option("--cause", multiple=True, metavar="NAME", help="Only resets of this cause or family of causes.")
@click.option(
    "--snaplen",
    type=click.IntRange(64, 262144),
    metavar="BYTES",
    help="Keep so many bytes of each packet, payload too; without it headers alone.",
)
@click.option("--rotate", type=click.IntRange(1), metavar="MIB", help="Begin another file when one has so many MiB.")
@click.option("--files", type=click.IntRange(2), metavar="N", help="With --rotate: keep the last N files.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--user", metavar="NAME", help="Run by root: go on as this user, without rights (whyreset, or nobody).")
@click.option("--past", metavar="SPAN", help="What `whyreset agent` kept of the last 5m, or since 12:30, and no more.")
@click.option("--store", default=DEFAULT, show_default=True, metavar="FILE", help="With --past: the agent's file.")
@click.pass_context
def capture(
    context: click.Context,
    *,
    output: str,
    duration: float,
    size: int | None,
    interface: tuple[str, ...],
    netns: tuple[str, ...],
    port: tuple[int, ...],
    segments: bool,
    cause: tuple[str, ...],
    snaplen: int | None,
    rotate: int | None,
    files: int | None,
    force: bool,
    user: str | None,
    past: str | None,
    store: str,
) -> None:
    """Capture resets, SYN and FIN into a file, each reset with its cause and its owner.

    Wireshark shows them as comments, and `whyreset explain FILE` gives them back.
    """
    # imported here so that --help and mistakes answer at once
    from whyreset.evidence.output import STDOUT
    from whyreset.privileges.split import split

    if output != STDOUT and not output.endswith(_SUFFIXES):
        raise click.UsageError("name a file that ends in .pcapng or .pcap")
    if segments and not 0 < len(port) <= _PORTS_MAX:
        raise click.UsageError(f"--segments takes the segments of 1 to {_PORTS_MAX} ports: name them with --port")
    if files and not rotate:
        raise click.UsageError("--files belongs to --rotate")
    if rotate and output == STDOUT:
        raise click.UsageError("standard output cannot be rotated: name a file")
    if output == STDOUT and sys.stdout.isatty():
        raise click.UsageError("a capture is nothing for a terminal: name a file, or hand it on with a pipe")
    if duration != duration:
        raise click.UsageError("--duration takes a number of seconds")
    if not force and not rotate and output != STDOUT and os.path.lexists(output):
        raise click.ClickException(f"a file {output} is there already: name another, or add --force to write over it")
    if past is not None:
        given = context.get_parameter_source
        for option in ("duration", "netns", "segments", "snaplen", "rotate", "files"):
            if given(option) is not ParameterSource.DEFAULT:
                raise click.UsageError(f"--{option} does not go with --past: what is over has been kept as it is")
        _rewind(past, store, output, force, (size or 0) * _MIB, interface, port, cause)
        return
    grants = capturing_grants(output, netns=netns, snap=snaplen or 0, force=force, rotated=bool(rotate))
    with refusals("capture"), split(grants, user or "") as hands:
        from whyreset import causes
        from whyreset.capturing import Capturing, Wanted
        from whyreset.evidence.writer import Rotation

        known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
        for name in cause:
            if name not in known:
                raise click.UsageError(f"there is no cause or family {name!r}; there are {', '.join(sorted(known))}")
        wanted = Wanted(
            path=output,
            force=force,
            snap=snaplen or 0,
            size=(size or 0) * _MIB,
            rotation=Rotation(size=(rotate or 0) * _MIB, files=files or 0),
            interfaces=frozenset(interface),
            netns=netns,
            ports=frozenset(port),
            segments=segments,
            causes=frozenset(cause),
        )
        stopped = stopping()
        hands.settle()
        with Capturing(wanted, hands) as capturing:
            _run(capturing, hands, duration, stopped)


def _rewind(
    past: str,
    store: str,
    output: str,
    force: bool,
    size: int,
    interface: tuple[str, ...],
    port: tuple[int, ...],
    cause: tuple[str, ...],
) -> None:
    """Writes what an agent kept."""
    from whyreset.cli.history import moment
    from whyreset.evidence.output import OutputError
    from whyreset.outputs.history import when
    from whyreset.outputs.store.files import StoreError
    from whyreset.outputs.store.reader import Reader
    from whyreset.outputs.store.values import Packets
    from whyreset.rewinding import Wanted, rewind, settle

    until_ns = time.time_ns()
    since_ns = moment("--past", past, until_ns / 1e9)
    wanted = Wanted(
        path=output,
        since_ns=since_ns,
        until_ns=until_ns,
        force=force,
        size=size,
        interfaces=frozenset(interface),
        ports=frozenset(port),
        causes=frozenset(cause),
    )
    try:
        with Reader(store) as reader:
            settle(reader, until_ns)
            written = rewind(reader, wanted)
            begins_ns = reader.begins_ns(Packets)
    except (StoreError, OutputError) as error:
        raise click.ClickException(f"cannot capture: {error}") from error
    if begins_ns > since_ns:
        _say(f"of before {when(begins_ns, until_ns)} no packets are kept")
    if written.full:
        _say("the file is as large as --size allows: what came later is not in it")
    _say(f"{output}: {_told(written)}")


def _run(capturing: Capturing, hands: Hands, duration: float, stopped: list[str]) -> None:
    from whyreset.agent import TICK_SECONDS

    for each in capturing.missing:
        _say(f"the {each.source} source does not tell all, since {each.why}; lost: {each.lost}")
    if capturing.plain:
        _say("a .pcap file holds packets alone: causes and owners are only in a .pcapng")
    live = sys.stderr.isatty()
    _say(f"capturing into {capturing.name} for {duration:g} s; Ctrl-C ends it before")
    end = time.monotonic() + duration
    shown = following = time.monotonic()
    while not stopped and following < end and not capturing.is_full:
        following = min(max(following + TICK_SECONDS, time.monotonic()), end)
        capturing.wait(following)
        hands.check()
        capturing.tick()
        if live and time.monotonic() - shown > _SHOWN_EVERY_SECONDS:
            shown = time.monotonic()
            left = max(0, end - shown)
            click.echo(f"\r\x1b[K{_told(capturing.state())}, {left:.0f} s left", nl=False, err=True)
    state = capturing.end()
    if live:
        click.echo("\r\x1b[K", nl=False, err=True)
    _say(f"{capturing.name}: {_told(state)}")


def _told(state: State | Written) -> str:
    resets = state.explained + state.unexplained
    parts = [
        f"{state.packets:,} packet{'' if state.packets == 1 else 's'}",
        f"{resets:,} reset{'' if resets == 1 else 's'}"
        + (f" ({state.unexplained:,} without an explanation)" if state.unexplained else ""),
        f"{state.bytes:,} bytes",
    ]
    if state.dropped:
        parts.append(f"{state.dropped:,} packets lost for want of room")
    return ", ".join(parts)


def _say(sentence: str) -> None:
    click.echo(escape(f"whyreset: {sentence}"), err=True)
