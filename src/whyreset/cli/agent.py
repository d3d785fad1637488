"""`whyreset agent`: watches all the time, keeps the last hour, and says only what somebody should know."""

from __future__ import annotations

import io
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from whyreset.cli.running import import_stand_ins, places, refusals, rules_of, stopping
from whyreset.outputs.store import DEFAULT, SIZE, SIZE_MIN

if TYPE_CHECKING:
    from whyreset.agent import Agent, Settings
    from whyreset.counting import Counting
    from whyreset.hands import Hands
    from whyreset.keeping import Keeping
    from whyreset.outputs.printers import Printer
    from whyreset.outputs.service import Manager
    from whyreset.statefile import Memory

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
@click.option("--user", metavar="NAME", help="Run by root: go on as this user, without rights (whyreset, or nobody).")
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
    user: str | None,
    as_json: bool,
) -> None:
    """Watch this host all the time and keep the last hour, for `history`, `who` and `capture --past`.

    It stays in the foreground, tells alerts and what it cannot do, and ends in order on SIGTERM: made for systemd
    (Type=notify).
    """
    # imported here so that --help and mistakes answer at once
    from whyreset.privileges.grants import Grants
    from whyreset.privileges.split import split
    from whyreset.sources.loading import Loading

    grants = Grants(
        looking=True,
        loading=Loading(exact_owners=exact_owners),
        # for what the stack did not send, and for what is kept
        packets=2 * (1 + len(netns)) if packets else 0,
        everything=packets,
        netns=netns if packets else (),
        state=state or "",
        home=str(Path(store).absolute().parent),
        home_files=(Path(store).name, "alerts.json", ".alerts.json"),
    )
    with refusals("watch"), split(grants, user or "") as hands:
        from msgspec.structs import replace

        from whyreset.agent import Settings
        from whyreset.keeping import Keeping
        from whyreset.outputs.printers import JsonPrinter, PlainPrinter
        from whyreset.outputs.service import Manager
        from whyreset.outputs.store.files import check_folder, make_folder
        from whyreset.statefile import Memory

        stopped, manager, told = stopping(), Manager(), rules_of(rules)
        if as_json and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
        printer = JsonPrinter(sys.stdout) if as_json else PlainPrinter(sys.stdout)
        make_folder(store, hands.files)
        memory = Memory(state, hands.files)
        known = memory.load()
        found = places(netns, hands) if packets else ()
        import_stand_ins(wire=packets, tapping=False)
        hands.settle()
        check_folder(store)
        if state is None:
            # beside the history, which is this process's own: it may be root's no longer
            memory = Memory(str(Path(store).with_name("alerts.json")))
            known = memory.load()
        settings = Settings(exact_owners=exact_owners, rules=told, alert_state=known, boot=memory.boot, packets=found)
        with ExitStack() as stack:
            keeping = stack.enter_context(Keeping(store, size=store_size * _MIB, packets=found, hands=hands))
            if not keeping.keeps_packets:
                settings = replace(settings, packets=())
            agent = _watching(stack, settings, hands)
            _run(agent, keeping, memory, printer, manager, hands, stopped, store)


def _run(
    agent: Agent | Counting,
    keeping: Keeping,
    memory: Memory,
    printer: Printer,
    manager: Manager,
    hands: Hands,
    stopped: list[str],
    store: str,
) -> None:
    """From the first line to the last."""
    from whyreset import __version__
    from whyreset.agent import TICK_SECONDS
    from whyreset.model import Tick

    said = {each.source for each in keeping.missing}
    missing = (*(each for each in agent.missing if each.source not in said), *keeping.missing)
    keeping.begin(time.time_ns(), sources=agent.sources, tier=agent.tier, missing=missing)
    printer.start(time.time_ns(), version=__version__, sources=agent.sources, tier=agent.tier, missing=missing)
    manager.ready(f"watching, tier {agent.tier}; history in {store}")
    following = time.monotonic()
    while not stopped:
        following = max(following + TICK_SECONDS, time.monotonic())
        agent.wait(following)
        hands.check()
        tick = agent.tick()
        kept = memory.keep(agent.alert_state, time.monotonic(), changed=bool(tick.alerts))
        more = keeping.tick(tick, kept, time.time_ns())
        printer.write(Tick(notices=(*tick.notices, *kept, *more), alerts=tick.alerts))
        manager.alive(time.monotonic_ns())
    manager.stopping()
    tick = agent.tick(last=True)
    kept = memory.keep(agent.alert_state, time.monotonic(), at_once=True)
    more = keeping.tick(tick, kept, time.time_ns())
    more += keeping.end(stopped[0], time.time_ns())
    printer.write(Tick(notices=(*tick.notices, *kept, *more), alerts=tick.alerts))
    printer.end(time.time_ns(), reason=stopped[0], totals=agent.totals())


def _watching(stack: ExitStack, settings: Settings, hands: Hands) -> Agent | Counting:
    """What watches: counters where the kernel program cannot run, since these too raise alerts; packets do not."""
    from whyreset.agent import Agent
    from whyreset.counting import Counting
    from whyreset.sources.base import SourceError

    try:
        return stack.enter_context(Agent(settings, hands))
    except SourceError as error:
        if settings.exact_owners:
            raise
        return stack.enter_context(Counting(str(error), settings))
