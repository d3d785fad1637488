"""`whyreset watch`: what resets are sent and received now, why, and by whom."""

from __future__ import annotations

import io
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import click

from whyreset.cli.running import import_stand_ins, places, refusals, rules_of, stopping, watching
from whyreset.outputs.store import DEFAULT

if TYPE_CHECKING:
    from whyreset.agent import Agent
    from whyreset.counting import Counting
    from whyreset.demo.demo import Demo
    from whyreset.filter import Filter
    from whyreset.hands import Hands
    from whyreset.model import Notice, Tick
    from whyreset.outputs.printers import Printer
    from whyreset.recording import Recording
    from whyreset.statefile import Memory
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
@click.option("--user", metavar="NAME", help="Run by root: go on as this user, without rights (whyreset, or nobody).")
@click.option("--store", default=DEFAULT, metavar="FILE", hidden=True)
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
    user: str | None,
    store: str,
    ring_kib: int | None,
    packet_blocks: int | None,
    tier: str | None,
) -> None:
    """Watch this host's TCP resets until Ctrl-C: why each was sent, who sent it, what it means."""
    # imported here so that --help and mistakes answer at once
    from whyreset.privileges.grants import Grants
    from whyreset.privileges.split import split
    from whyreset.sources.loading import Loading

    if duration is not None and math.isnan(duration):
        raise click.UsageError("--duration takes a number of seconds")
    if ring_kib is not None and ring_kib & (ring_kib - 1):
        raise click.UsageError("--ring-kib takes a power of two")
    by_packets = packets or tier == "packets"
    loading = Loading(
        exact_owners=exact_owners,
        ring_bytes=ring_kib * 1024 if ring_kib else None,
        tier=tier or "",
        triggers=bool(evidence),
    )
    grants = Grants(
        loading=loading if tier != "packets" else None,
        looking=tier != "packets",
        packets=(1 + len(netns) if by_packets else 0) + bool(evidence),
        everything=by_packets,
        netns=netns if packets else (),
        evidence=evidence or "",
        state=state or "",
        beside=partial(_play, scene) if demo or scene else None,
    )
    with refusals("watch"), split(grants, user or "") as hands:
        from whyreset import causes
        from whyreset.agent import Agent, Settings
        from whyreset.filter import Filter
        from whyreset.statefile import Memory

        known = {module.NAME for module in causes.CAUSES} | {module.FAMILY for module in causes.CAUSES}
        for name in cause:
            if name not in known:
                raise click.UsageError(f"there is no cause or family {name!r}; there are {', '.join(sorted(known))}")
        chosen = Filter(direction=direction, netns=frozenset(netns), ports=frozenset(port), causes=frozenset(cause))
        told, memory = rules_of(rules), Memory(state, hands.files)
        stopped, asked = stopping(), list[str]()
        if evidence:
            signal.signal(signal.SIGUSR1, lambda *_: asked.append("word"))
        form = _form("json" if as_json else "lines" if plain or each else "screen")
        with ExitStack() as stack:
            # the demo first: what it starts must hold nothing of ours
            stage = stack.enter_context(_demo(scene, hands)) if demo or scene else None
            settings = Settings(
                exact_owners=exact_owners,
                each_per_second=EACH_PER_SECOND if each else 0,
                names=stage.names if stage else {},
                rules=told,
                alert_state=memory.load(),
                boot=memory.boot,
                ring_bytes=loading.ring_bytes,
                packets=places(netns, hands) if packets else (),
                packet_blocks=packet_blocks,
                tier=loading.tier,
                triggers=loading.triggers,
                within=chosen.wants_netns,
            )
            recording = _recording(evidence, hands) if evidence else None
            import_module("whyreset.history")
            import_stand_ins(wire=by_packets, tapping=by_packets)
            hands.settle()
            agent = watching(stack, settings, hands)
            if recording:
                recording.copies = agent.triggers if isinstance(agent, Agent) else None
                stack.enter_context(recording)
            if agent.tier == "counters" and form == "screen":
                form = "lines"
            printer = stack.enter_context(_printer(form, agent, chosen, opened=verbose))
            _run(agent, printer, hands, chosen, memory, stage, recording, store, duration, stopped, asked)


def _run(
    agent: Agent | Counting | Tapping,
    printer: Printer,
    hands: Hands,
    chosen: Filter,
    memory: Memory,
    stage: Demo | None,
    recording: Recording | None,
    store: str,
    duration: float | None,
    stopped: list[str],
    asked: list[str],
) -> None:
    """From the first line to the last."""
    from msgspec.structs import replace

    from whyreset import __version__
    from whyreset.agent import TICK_SECONDS
    from whyreset.history import opening
    from whyreset.model import Tick

    missing = (*agent.missing, *(recording.missing if recording else ()))
    printer.start(time.time_ns(), version=__version__, sources=agent.sources, tier=agent.tier, missing=missing)
    printer.write(Tick(notices=tuple(opening(store, time.time_ns(), chosen))))
    if stage:
        printer.write(Tick(notices=(stage.begin(),)))
    end = time.monotonic() + duration if duration is not None else float("inf")
    following = time.monotonic()
    while not stopped and following < end:
        following = min(max(following + TICK_SECONDS, time.monotonic()), end)
        agent.wait(following)
        hands.check()
        played = stage.notices() if stage else ()
        tick = agent.tick()
        kept = memory.keep(agent.alert_state, time.monotonic(), changed=bool(tick.alerts))
        found = _record(recording, tick) if recording else []
        if recording and asked:
            asked.clear()
            found += [each for each in (recording.arm("word", "asked for by a signal", time.time_ns()),) if each]
        tick = replace(tick, notices=(*tick.notices, *played, *kept, *found))
        printer.write(chosen.narrow(tick))
    tick = agent.tick(last=True)
    kept = memory.keep(agent.alert_state, time.monotonic(), at_once=True)
    printer.write(chosen.narrow(replace(tick, notices=(*tick.notices, *kept))))
    printer.end(time.time_ns(), reason=stopped[0] if stopped else "duration", totals=agent.totals())


def _recording(folder: str, hands: Hands) -> Recording:
    """The flight recorder."""
    from whyreset.recording import Recording

    return Recording(folder, hands)


def _record(recording: Recording, tick: Tick) -> list[Notice]:
    """What a tick brought goes to the flight recorder."""
    return recording.tick(tick.resets, tick.alerts, time.time_ns(), findings=tick.findings)


def _form(wanted: str) -> str:
    """What standard output can have of it. What that needs is imported now, with the user's rights."""
    import_module("whyreset.outputs.printers")
    if wanted == "screen" and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", ""):
        import_module("whyreset.outputs.terminal.screen").prepare()
        return "screen"
    if wanted == "json" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259 section 8.1, whatever the locale
    return "json" if wanted == "json" else "lines"


@contextmanager
def _printer(form: str, agent: Agent | Counting | Tapping, chosen: Filter, *, opened: bool) -> Iterator[Printer]:
    """The way of writing that was asked for."""
    from whyreset.outputs.printers import JsonPrinter, PlainPrinter

    printer: Printer
    if form == "json":
        printer = JsonPrinter(sys.stdout)
    elif form == "screen":
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


def _demo(names: tuple[str, ...], hands: Hands) -> Demo:
    """The demo of these scenes; of all where none is named."""
    from whyreset.demo.demo import Demo, DemoError
    from whyreset.demo.scenes import SCENES

    known = {scene.name: scene for scene in SCENES}
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no scene {name!r}; there are {', '.join(known)}")
    try:
        return Demo([known[name] for name in names or known], hands.beside())
    except DemoError as error:
        raise click.ClickException(f"cannot play the demo: {error}") from error


def _play(names: tuple[str, ...]) -> tuple[int, Callable[[], None]]:
    """Starts the process that plays, in the keeper; `_demo` tells what is wrong with names."""
    from whyreset.demo.demo import Playing
    from whyreset.demo.scenes import SCENES

    playing = Playing([scene for scene in SCENES if scene.name in names or not names])
    return playing.control.fileno(), playing.close
