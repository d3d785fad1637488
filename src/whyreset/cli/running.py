"""What commands that run for a while have in common: how they are stopped, and what is said when they cannot go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from whyreset.privileges.grants import Grants

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
    from whyreset.sources.loading import ALL

    return Grants(
        loading=ALL,
        packets=_PLACES_MAX,
        snap_bytes=max(snap, 320),
        netns=netns,
        capture=path,
        force=force,
        rotated=rotated,
    )


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Says in one sentence why something cannot be done.

    Args:
        what: the verb of the command.
    """
    from whyreset.evidence.output import OutputError
    from whyreset.hands import HandsError
    from whyreset.privileges.rights import RightsError
    from whyreset.sources.base import SourceError
    from whyreset.statefile import StateFileError

    try:
        yield
    except (OutputError, RightsError, SourceError, StateFileError) as error:
        raise click.ClickException(f"cannot {what}: {error}") from error
    except HandsError as error:
        raise click.ClickException(f"cannot go on: {error}") from error
