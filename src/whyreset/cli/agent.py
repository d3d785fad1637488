"""`whyreset agent`: watches all the time, keeps the last hour, and says only what somebody should know."""

from __future__ import annotations

import io
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from whyreset.outputs.store import DEFAULT, SIZE, SIZE_MIN

if TYPE_CHECKING:
    from whyreset.agent import Agent, Settings
    from whyreset.counting import Counting

_MIB = 1 << 20


@click.command()
@click.option("--store", default=DEFAULT, show_default=True, metavar="FILE", help="Keep the history in this file.")
@click.option(
    "--store-size",
    type=click.IntRange(SIZE_MIN // _MIB, 1 << 20),
    default=SIZE // _MIB,
    show_default=True,
    metavar="MIB",
    help="It takes so much of the disk at most; the oldest goes first.",
)
@click.option("--state", metavar="FILE", help="What is usual here, and which alerts are on; alerts.json beside it.")
@click.option("--rules", multiple=True, metavar="FILE", help="More rules of alerts: a file, or a folder of them.")
@click.option(
    "--packets/--no-packets",
    default=True,
    show_default=True,
    help="Read packets: resets that the TCP stack did not send, and packets for `whyreset capture --past`.",
)
@click.option("--netns", multiple=True, metavar="NAME", help="Read packets in this network namespace too.")
@click.option("--exact-owners", is_flag=True, help="Learn which process reads each accepted connection.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line (see `whyreset schema`).")
def agent(
    *,
    store: str,
    store_size: int,
    state: str | None,
    rules: tuple[str, ...],
    packets: bool,
    netns: tuple[str, ...],
    exact_owners: bool,
    as_json: bool,
) -> None:
    """Watch this host all the time and keep the last hour, for `history`, `who` and `capture --past`.

    It stays in the foreground, tells alerts and what it cannot do, and ends in order on SIGTERM: made for systemd
    (Type=notify).
    """
    # imported here so that --help and mistakes answer at once
    from whyreset import __version__
    from whyreset.agent import TICK_SECONDS, Settings
    from whyreset.cli.watch import _namespaces, _rules
    from whyreset.keeping import Keeping
    from whyreset.model import Tick
    from whyreset.outputs.printers import JsonPrinter, PlainPrinter
    from whyreset.outputs.service import Manager
    from whyreset.outputs.store.files import StoreError, make_folder
    from whyreset.sources.base import SourceError
    from whyreset.statefile import Memory, StateFileError

    stopped: list[str] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if as_json and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    manager, told = Manager(), _rules(rules)
    printer = JsonPrinter(sys.stdout) if as_json else PlainPrinter(sys.stdout)
    try:
        make_folder(store)
        memory = Memory(state or str(Path(store).with_name("alerts.json")))
        with ExitStack() as stack:
            places = _namespaces(netns) if packets else ()
            keeping = stack.enter_context(Keeping(store, size=store_size * _MIB, packets=places))
            settings = Settings(
                exact_owners=exact_owners,
                rules=told,
                alert_state=memory.load(),
                boot=memory.boot,
                packets=places if keeping.keeps_packets else (),
            )
            watching = _watching(stack, settings)
            told_already = {each.source for each in keeping.missing}
            missing = (*(each for each in watching.missing if each.source not in told_already), *keeping.missing)
            sources, tier = watching.sources, watching.tier
            keeping.begin(time.time_ns(), sources=sources, tier=tier, missing=missing)
            printer.start(time.time_ns(), version=__version__, sources=sources, tier=tier, missing=missing)
            manager.ready(f"watching, tier {watching.tier}; history in {store}")
            following = time.monotonic()
            while not stopped:
                following = max(following + TICK_SECONDS, time.monotonic())
                watching.wait(following)
                tick = watching.tick()
                kept = memory.keep(watching.alert_state, time.monotonic(), changed=bool(tick.alerts))
                more = keeping.tick(tick, kept, time.time_ns())
                printer.write(Tick(notices=(*tick.notices, *kept, *more), alerts=tick.alerts))
                manager.alive(time.monotonic_ns())
            manager.stopping()
            tick = watching.tick(last=True)
            kept = memory.keep(watching.alert_state, time.monotonic(), at_once=True)
            more = keeping.tick(tick, kept, time.time_ns())
            more += keeping.end(stopped[0], time.time_ns())
            printer.write(Tick(notices=(*tick.notices, *kept, *more), alerts=tick.alerts))
            printer.end(time.time_ns(), reason=stopped[0], totals=watching.totals())
    except (SourceError, StateFileError, StoreError) as error:
        raise click.ClickException(f"cannot watch: {error}") from error


def _watching(stack: ExitStack, settings: Settings) -> Agent | Counting:
    """What watches: counters where the kernel program cannot run, since these too raise alerts."""
    from whyreset.agent import Agent
    from whyreset.counting import Counting
    from whyreset.sources.base import SourceError

    try:
        return stack.enter_context(Agent(settings))
    except SourceError as error:
        if settings.exact_owners:
            raise
        return stack.enter_context(Counting(str(error), settings))
