"""What commands that run for a while have in common: how they are stopped, and what is said when they cannot go on."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

import click

from whyreset.words import escape

if TYPE_CHECKING:
    from whyreset.agent import Agent, Settings
    from whyreset.alerts.rules import Rules
    from whyreset.counting import Counting
    from whyreset.hands import Hands
    from whyreset.privileges.grants import Grants
    from whyreset.tapping import Tapping

#: Namespaces of one capture, see capturing.py.
_PLACES_MAX = 16
#: What stops them; Wireshark also hangs up.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stopping(*more: signal.Signals) -> list[str]:
    """Names of the signals that have come and ask for an end; none yet."""
    stopped: list[str] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(signal.Signals(number).name)

    for number in (*_SIGNALS, *more):
        signal.signal(number, stop)
    return stopped


def capturing_grants(path: str, *, netns: tuple[str, ...], snap: int, force: bool, rotated: bool) -> Grants:
    """What a capture into that file may ask for."""
    from whyreset.privileges.grants import Grants
    from whyreset.sources.loading import Loading

    return Grants(
        loading=Loading(triggers=True),
        looking=True,
        packets=_PLACES_MAX,
        snap_bytes=max(snap, 320),
        netns=netns,
        capture=path,
        force=force,
        rotated=rotated,
    )


def rules_of(names: tuple[str, ...]) -> Rules:
    """A user's rules, then ours; of one name the first counts."""
    from whyreset.rulefiles import RuleFileError, joined, read, shipped

    try:
        found = joined([*(each for name in names for each in read(name)), *shipped()], socket.gethostname())
    except RuleFileError as error:
        raise click.ClickException(str(error)) from error
    for problem in found.problems:
        click.echo(escape(f"whyreset: {problem}"), err=True)
    return found


def places(chosen: tuple[str, ...], hands: Hands) -> tuple[str, ...]:
    """Paths of the namespaces whose packets are read: our own, and those that were named."""
    from whyreset.sources import diag

    if not chosen:
        return ("",)
    home = diag.here()[0]
    there = diag.called(hands.namespaces(), chosen)
    for name in chosen:
        if not diag.called(there, (name,)):
            raise click.ClickException(
                f"cannot watch: no process is in a network namespace {escape(name)}, and none has that name:"
                " its packets cannot be read (leave out --packets)"
            )
    return ("", *(path for inode, path in there.items() if inode != home))


def watching(stack: ExitStack, settings: Settings, hands: Hands) -> Agent | Counting | Tapping:
    """What watches: packets or counters where the kernel program cannot, unless more was asked for than they give."""
    from whyreset.agent import Agent
    from whyreset.counting import Counting
    from whyreset.sources.base import SourceError

    if settings.tier == "packets":
        return stack.enter_context(_tapping("not asked for: --tier packets", settings, hands))
    try:
        return stack.enter_context(Agent(settings, hands))
    except SourceError as error:
        if settings.tier or settings.exact_owners or settings.names:
            raise
        if settings.packets:
            return stack.enter_context(_tapping(str(error), settings, hands))
        if settings.each_per_second:
            raise
        return stack.enter_context(Counting(str(error), settings))


def import_stand_ins(*, wire: bool, tapping: bool) -> None:
    """What may be wanted later, or stand in for the agent, is imported with the user's rights too.

    Args:
        wire: packets are read beside the kernel.
        tapping: packets may have to do alone.
    """
    for name in ("counting", *(["onwire"] if wire else []), *(["tapping"] if tapping else [])):
        import_module(f"whyreset.{name}")


def _tapping(why: str, settings: Settings, hands: Hands) -> Tapping:
    from whyreset.tapping import Tapping

    return Tapping(why, settings, each=bool(settings.each_per_second), hands=hands)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Says in one sentence why something cannot be done.

    Args:
        what: the verb of the command.
    """
    from whyreset.evidence.output import OutputError
    from whyreset.hands import HandsError
    from whyreset.outputs.store import StoreError
    from whyreset.privileges.rights import RightsError
    from whyreset.sources.base import SourceError
    from whyreset.statefile import StateFileError

    try:
        yield
    except (OutputError, RightsError, SourceError, StateFileError, StoreError) as error:
        raise click.ClickException(f"cannot {what}: {error}") from error
    except HandsError as error:
        raise click.ClickException(f"cannot go on: {error}") from error
