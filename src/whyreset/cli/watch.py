"""`whyreset watch`: what resets are sent and received now, why, and by whom."""

from __future__ import annotations

import io
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from whyreset.words import escape

if TYPE_CHECKING:
    from whyreset.agent import Agent, Settings, Tick
    from whyreset.alerts.rules import Rules
    from whyreset.counting import Counting
    from whyreset.demo.demo import Demo
    from whyreset.filter import Filter
    from whyreset.model import Notice
    from whyreset.outputs.printers import Printer
    from whyreset.recording import Recording
    from whyreset.tapping import Tapping

#: With --each: lines a second.
EACH_PER_SECOND = 2500


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line (see `whyreset schema`).")
@click.option("--plain", is_flag=True, help="Write lines on a terminal too, as where there is none.")
@click.option("-v", "--verbose", is_flag=True, help="Show the evidence and the last resets of each row on the screen.")
@click.option(
    "--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after so many seconds."
)
@click.option(
    "--direction", type=click.Choice(["sent", "received", "both"]), default="both", help="Which resets to show."
)
@click.option("--netns", multiple=True, metavar="NAME", help="Only this network namespace: a name or an inode number.")
@click.option("--port", multiple=True, type=click.IntRange(1, 65535), help="Only resets from or to this port.")
@click.option("--cause", multiple=True, metavar="NAME", help="Only this cause or family of causes.")
@click.option(
    "--each", is_flag=True, help=f"One line for each reset, up to {EACH_PER_SECOND} a second, instead of groups."
)
@click.option(
    "--exact-owners",
    is_flag=True,
    help="Learn which process reads each accepted connection; costs some nanoseconds a read.",
)
@click.option(
    "--packets",
    is_flag=True,
    help="Read packets too, also in each --netns: resets that the TCP stack did not send, and which never left.",
)
@click.option("--demo", is_flag=True, help="Make resets of many causes in network namespaces of their own, to look at.")
@click.option("--scene", multiple=True, metavar="NAME", help="Only this scene of the demo, for example crash or scan.")
@click.option("--rules", multiple=True, metavar="FILE", help="More rules of alerts: a file, or a folder of them.")
@click.option("--state", metavar="FILE", help="Remember in this file what is usual here, and which alerts are on.")
@click.option(
    "--evidence",
    metavar="FOLDER",
    help="Record packets in memory; write them there when an alert is raised, or at signal USR1.",
)
@click.option("--ring-kib", type=click.IntRange(4, 1 << 20), hidden=True)
@click.option("--packet-blocks", type=click.IntRange(1, 4096), hidden=True)
@click.option("--tier", type=click.Choice(["reasons", "passive reasons", "functions", "drops", "packets"]), hidden=True)
def watch(
    *,
    as_json: bool,
    plain: bool,
    verbose: bool,
    duration: float | None,
    direction: str,
    netns: tuple[str, ...],
    port: tuple[int, ...],
    cause: tuple[str, ...],
    each: bool,
    exact_owners: bool,
    packets: bool,
    demo: bool,
    scene: tuple[str, ...],
    rules: tuple[str, ...],
    state: str | None,
    evidence: str | None,
    ring_kib: int | None,
    packet_blocks: int | None,
    tier: str | None,
) -> None:
    """Watch this host's TCP resets until Ctrl-C: why each was sent, who sent it, what it means."""
    # imported here so that --help and mistakes answer at once
    from whyreset import __version__, causes
    from whyreset.agent import TICK_SECONDS, Settings
    from whyreset.evidence.output import OutputError
    from whyreset.filter import Filter
    from whyreset.sources.base import SourceError
    from whyreset.statefile import Memory, StateFileError

    known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
    for name in cause:
        if name not in known:
            raise click.UsageError(f"there is no cause or family {name!r}; there are {', '.join(sorted(known))}")
    if duration is not None and math.isnan(duration):
        raise click.UsageError("--duration takes a number of seconds")
    if ring_kib is not None and ring_kib & (ring_kib - 1):
        raise click.UsageError("--ring-kib takes a power of two")
    chosen = Filter(direction=direction, netns=frozenset(netns), ports=frozenset(port), causes=frozenset(cause))
    told, memory = _rules(rules), Memory(state)
    stopped: list[str] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    asked: list[str] = []
    if evidence:
        signal.signal(signal.SIGUSR1, lambda *_: asked.append("word"))
    if as_json and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    form = "json" if as_json else "lines" if plain or each else "screen"
    try:
        with ExitStack() as stack:
            # the demo first: what it starts must hold nothing of ours
            stage = stack.enter_context(_demo(scene)) if demo or scene else None
            settings = Settings(
                exact_owners=exact_owners,
                each_per_second=EACH_PER_SECOND if each else 0,
                names=stage.names if stage else {},
                rules=told,
                alert_state=memory.load(),
                boot=memory.boot,
                ring_bytes=ring_kib * 1024 if ring_kib else None,
                packets=_namespaces(netns) if packets else (),
                packet_blocks=packet_blocks,
                tier=tier or "",
                triggers=bool(evidence),
            )
            agent = _agent(stack, settings)
            recording = stack.enter_context(_recording(evidence, agent)) if evidence else None
            if agent.tier == "counters" and form == "screen":
                form = "lines"
            printer = stack.enter_context(_printer(form, agent, chosen, opened=verbose))
            printer.start(
                time.time_ns(),
                version=__version__,
                sources=agent.sources,
                tier=agent.tier,
                missing=(*agent.missing, *(recording.missing if recording else ())),
            )
            if stage:
                printer.write([], [], [stage.begin()])
            end = time.monotonic() + duration if duration is not None else float("inf")
            following = time.monotonic()
            while not stopped and following < end:
                following = min(max(following + TICK_SECONDS, time.monotonic()), end)
                agent.wait(following)
                played = stage.notices() if stage else ()
                tick = agent.tick()
                kept = memory.keep(agent.alert_state, time.monotonic(), changed=bool(tick.alerts))
                found = recording.tick(tick.resets, tick.alerts, time.time_ns()) if recording else []
                while recording and asked:
                    asked.pop()
                    found += [
                        each for each in (recording.arm("word", "asked for by a signal", time.time_ns()),) if each
                    ]
                _write(printer, tick, chosen, [*played, *kept, *found])
            tick = agent.tick(last=True)
            _write(printer, tick, chosen, memory.keep(agent.alert_state, time.monotonic(), at_once=True))
            printer.end(time.time_ns(), reason=stopped[0] if stopped else "duration", totals=agent.totals())
    except (OutputError, SourceError, StateFileError) as error:
        raise click.ClickException(f"cannot watch: {error}") from error


def _namespaces(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of the namespaces whose packets are read: our own, and those that were named."""
    from whyreset.owners.namespaces import Namespaces
    from whyreset.sources import diag

    if not chosen:
        return ("",)
    named, home = Namespaces(), diag.here()[0]
    there = diag.namespaces()
    paths = [""]
    for inode, path in there.items():
        if inode != home and (str(inode) in chosen or named.name(inode, time.monotonic_ns()) in chosen):
            paths.append(path)
    return tuple(paths)


def _recording(folder: str, agent: Agent | Counting | Tapping) -> Recording:
    """The flight recorder."""
    from whyreset.agent import Agent
    from whyreset.recording import Copies, Recording

    copies = Copies(agent.take_triggers, agent.trigger_interface) if isinstance(agent, Agent) else None
    return Recording(folder, copies=copies)


def _rules(names: tuple[str, ...]) -> Rules:
    """A user's rules, then ours; of one name the first counts."""
    from whyreset.rulefiles import RuleFileError, joined, read, shipped

    try:
        found = joined([*(each for name in names for each in read(name)), *shipped()], socket.gethostname())
    except RuleFileError as error:
        raise click.ClickException(str(error)) from error
    for problem in found.problems:
        click.echo(escape(f"whyreset: {problem}"), err=True)
    return found


def _agent(stack: ExitStack, settings: Settings) -> Agent | Counting | Tapping:
    """What watches: packets or counters where the kernel program cannot, unless more was asked for than they give."""
    from whyreset.agent import Agent
    from whyreset.counting import Counting
    from whyreset.sources.base import SourceError
    from whyreset.tapping import Tapping

    def tapping(why: str) -> Tapping:
        each = bool(settings.each_per_second)
        return stack.enter_context(Tapping(why, settings.alert_state, each=each, blocks=settings.packet_blocks))

    if settings.tier == Tapping.tier:
        return tapping("not asked for: --tier packets")
    try:
        return stack.enter_context(Agent(settings))
    except SourceError as error:
        if settings.tier or settings.exact_owners or settings.names:
            raise
        if settings.packets:
            return tapping(str(error))
        if settings.each_per_second:
            raise
        return stack.enter_context(Counting(str(error), settings))


@contextmanager
def _printer(form: str, agent: Agent | Counting | Tapping, chosen: Filter, *, opened: bool) -> Iterator[Printer]:
    """The way of writing that was asked for, as far as standard output can have it."""
    from whyreset.outputs.printers import JsonPrinter, PlainPrinter

    printer: Printer
    if form == "json":
        printer = JsonPrinter(sys.stdout)
    elif form == "screen" and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", ""):
        from whyreset.outputs.terminal.screen import ScreenPrinter

        home = os.stat("/proc/self/ns/net").st_ino
        printer = ScreenPrinter(
            sys.stdout,
            namespaces=agent.watched,
            firing=lambda: (each for each in agent.firing() if chosen.wants_netns(each.netns, each.netns_name)),
            home=home,
            chosen=chosen,
            opened=opened,
        )
    else:
        printer = PlainPrinter(sys.stdout)
    try:
        yield printer
    finally:
        printer.close()


def _demo(names: tuple[str, ...]) -> Demo:
    """The demo of these scenes; of all where none is named."""
    from whyreset.demo.demo import Demo, DemoError
    from whyreset.demo.scenes import SCENES

    known = {scene.name: scene for scene in SCENES}
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no scene {name!r}; there are {', '.join(known)}")
    try:
        return Demo([known[name] for name in names or known])
    except DemoError as error:
        raise click.ClickException(f"cannot play the demo: {error}") from error


def _write(printer: Printer, tick: Tick, chosen: Filter, more: Iterable[Notice] = ()) -> None:
    printer.write(
        [each for each in tick.resets if chosen.wants(each)],
        [each for each in tick.counts if chosen.wants_netns(each.netns, each.netns_name)],
        [*tick.notices, *more],
        [each for each in tick.alerts if chosen.wants_netns(each.netns, each.netns_name)],
    )
