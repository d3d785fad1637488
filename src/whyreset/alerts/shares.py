"""Whose the resets of the last seconds were, in bounded memory: by cause, owner and remote."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.model import Reset, Shares
from whyreset.words import program, service

#: Seconds that are kept one by one, and names that are told apart within one second, or minute.
SECONDS = 75
NAMES = 64
#: Names that an alert carries.
TOLD = 8
OTHER = "other"


class _Part(Struct):
    """A second or, of what is older, a minute."""

    #: The last second of which there is something.
    second: int
    resets: int = 0
    expected: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    remotes: Counter[str] = field(default_factory=Counter)

    def take(self, later: _Part) -> None:
        self.second = later.second
        self.resets += later.resets
        self.expected += later.expected
        for into, counts in (
            (self.causes, later.causes),
            (self.owners, later.owners),
            (self.remotes, later.remotes),
        ):
            for name, count in counts.items():
                _count(into, name, count)


class Recent:
    """The last seconds of one namespace, and as many minutes before as rules look back.

    Args:
        memory: seconds that rules look back.
    """

    def __init__(self, memory: int = SECONDS) -> None:
        self._seconds: deque[_Part] = deque()
        # the first and the last are parts of a minute
        self._minutes: deque[_Part] = deque(maxlen=memory // 60 + 1 if memory > SECONDS else 0)

    def add(self, reset: Reset, *, expected: bool) -> None:
        """Takes in a reset, or a group, in the second of its last."""
        second = reset.last_ns // 1_000_000_000
        if not self._seconds or second > self._seconds[-1].second:
            self._seconds.append(_Part(second))
            if len(self._seconds) > SECONDS:
                self._age(self._seconds.popleft())
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

    def _age(self, part: _Part) -> None:
        if self._minutes and self._minutes[-1].second // 60 == part.second // 60:
            self._minutes[-1].take(part)
        else:
            self._minutes.append(part)

    def shares(self, first: int, last: int) -> Shares:
        """What there was from one second to another, both included; a minute in which it begins counts as a whole."""
        parts = (*self._minutes, *self._seconds)
        seconds = [each for each in parts if first <= each.second <= last]
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
