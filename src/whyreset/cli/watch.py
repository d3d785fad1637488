"""`whyreset watch`: what resets are sent and received now, why, and by whom."""

from __future__ import annotations

import signal
import sys
import time
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from whyreset.filter import Filter

if TYPE_CHECKING:
    from whyreset.agent import Tick
    from whyreset.outputs.printers import Printer

#: With --each: lines a second.
EACH_PER_SECOND = 1000


class Direction(StrEnum):
    """Which resets to show."""

    SENT = "sent"
    RECEIVED = "received"
    BOTH = "both"


def watch(
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object a line (see `whyreset schema`).")] = False,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.", metavar="SECONDS")] = None,
    direction: Annotated[Direction, typer.Option(help="Which resets to show.")] = Direction.BOTH,
    netns: Annotated[list[str] | None, typer.Option(help="Only this network namespace: a name or an inode number.", metavar="NAME")] = None,
    port: Annotated[list[int] | None, typer.Option(help="Only resets from or to this port.", min=1, max=65535)] = None,
    cause: Annotated[list[str] | None, typer.Option(help="Only this cause or family (see docs/causes).", metavar="NAME")] = None,
    each: Annotated[bool, typer.Option("--each", help=f"One line for each reset, up to {EACH_PER_SECOND} a second, instead of groups.")] = False,
    exact_owners: Annotated[
        bool, typer.Option("--exact-owners", help="Learn which process reads each accepted connection; costs some nanoseconds a read.")
    ] = False,
    ring_kib: Annotated[int | None, typer.Option(hidden=True, min=4)] = None,
) -> None:
    """Watch this host's TCP resets until Ctrl-C: why each was sent, who sent it, what it means."""
    # imported here so that --help and mistakes answer at once
    from whyreset import __version__, causes
    from whyreset.agent import TICK_SECONDS, Agent, Settings
    from whyreset.outputs.printers import JsonPrinter, PlainPrinter
    from whyreset.sources.base import SourceError

    if duration is not None and not 0 < duration < float("inf"):
        _fail("--duration takes a number of seconds above 0", 2)
    known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
    for name in cause or ():
        if name not in known:
            _fail(f"there is no cause or family {name!r}; there are: {', '.join(sorted(known))}", 2)
    if ring_kib is not None and ring_kib & (ring_kib - 1):
        _fail("--ring-kib takes a power of two", 2)
    chosen = Filter(direction=direction.value, netns=frozenset(netns or ()), ports=frozenset(port or ()), causes=frozenset(cause or ()))
    settings = Settings(
        exact_owners=exact_owners, each_per_second=EACH_PER_SECOND if each else 0, ring_bytes=ring_kib * 1024 if ring_kib else None
    )
    stopped: list[str] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    printer: Printer = JsonPrinter(sys.stdout) if json else PlainPrinter(sys.stdout)
    try:
        with Agent(settings) as agent:
            printer.start(time.time_ns(), version=__version__, sources=agent.sources, tier=agent.tier, missing=agent.missing)
            end = time.monotonic() + duration if duration is not None else float("inf")
            following = time.monotonic()
            while not stopped and following < end:
                following = min(max(following + TICK_SECONDS, time.monotonic()), end)
                agent.wait(following)
                _write(printer, agent.tick(), chosen)
            _write(printer, agent.tick(last=True), chosen)
            printer.end(time.time_ns(), reason=stopped[0] if stopped else "duration", totals=agent.totals())
    except SourceError as error:
        _fail(f"cannot watch: {error}", 1)


def _write(printer: Printer, tick: Tick, chosen: Filter) -> None:
    printer.write(
        [each for each in tick.resets if chosen.wants(each)],
        [each for each in tick.counts if chosen.wants_netns(each.netns, each.netns_name)],
        tick.notices,
    )


def _fail(sentence: str, code: int) -> NoReturn:
    print(f"whyreset: {sentence}", file=sys.stderr)
    raise typer.Exit(code)
