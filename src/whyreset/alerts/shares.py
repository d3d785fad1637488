"""Whose the resets of the last seconds were, in bounded memory: by cause, owner and remote."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.model import Reset, Shares
from whyreset.words import program, service

#: Seconds that are kept, and names that are told apart within one second.
SECONDS = 75
NAMES = 64
#: Names that an alert carries.
TOLD = 8
OTHER = "other"


class _Second(Struct):
    second: int
    resets: int = 0
    expected: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    remotes: Counter[str] = field(default_factory=Counter)


class Recent:
    """The last seconds of one namespace."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque(maxlen=SECONDS)

    def add(self, reset: Reset, *, expected: bool) -> None:
        """Takes in a reset, or a group, in the second of its last."""
        second = reset.last_ns // 1_000_000_000
        if not self._seconds or second > self._seconds[-1].second:
            self._seconds.append(_Second(second))
        into = self._seconds[-1]
        into.resets += reset.count
        into.expected += reset.count if expected else 0
        _count(into.causes, reset.cause.name, reset.count)
        _count(into.owners, owner_name(reset), reset.count)
        left = reset.count
        for remote, count in _remotes(reset):
            _count(into.remotes, remote, min(count, left))
            left -= min(count, left)
        if left:
            _count(into.remotes, OTHER, left)

    def shares(self, first: int, last: int) -> Shares:
        """What there was from one second to another, both included."""
        seconds = [each for each in self._seconds if first <= each.second <= last]
        return Shares(
            resets=sum(each.resets for each in seconds),
            expected=sum(each.expected for each in seconds),
            causes=_largest(each.causes for each in seconds),
            owners=_largest(each.owners for each in seconds),
            remotes=_largest(each.remotes for each in seconds),
        )


def owner_name(reset: Reset) -> str:
    """Who a reset's owner is in an alert: its service, or its program; "unknown" where nobody is known."""
    if reset.owner is None:
        return "unknown"
    return service(reset.owner.process) or program(reset.owner.process)


def _remotes(reset: Reset) -> Iterable[tuple[str, int]]:
    if reset.remotes is not None:
        return reset.remotes.top
    return ((reset.sample.remote, reset.count),) if reset.sample.remote else ()


def _count(counts: Counter[str], name: str, count: int) -> None:
    if not count:
        return
    if name not in counts and len(counts) >= NAMES:
        name = OTHER
    counts[name] += count


def _largest(parts: Iterable[Counter[str]]) -> tuple[tuple[str, int], ...]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    rest = total.pop(OTHER, 0)
    ordered = sorted(total.items(), key=lambda each: (-each[1], each[0]))
    rest += sum(count for _, count in ordered[TOLD:])
    return (*ordered[:TOLD], *(((OTHER, rest),) if rest else ()))
