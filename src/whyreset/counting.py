"""Watching without rights, or on a kernel that tells nothing of resets: the counters of one's own namespace.

It has the face of the agent, so that a command can take the one for the other.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from whyreset.account import Account
from whyreset.agent import Tick
from whyreset.alerts.alerting import AlertState
from whyreset.causes import fingerprint
from whyreset.model import Alert, Count, Counters, Missing, Notice
from whyreset.owners.namespaces import Namespaces
from whyreset.sources.counters import OwnCounters

_EVERY_NS = 1_000_000_000
_ADDS = (
    "with it each reset of every network namespace would come with its cause and its owner, not just this one's count"
)


class Counting:
    """Counts this namespace's resets. Use as a context manager.

    Args:
        why: one sentence on why the kernel cannot tell more, for the user.
        alert_state: what was saved of alerts; it is kept as it is, for nothing is judged here.
    """

    tier = "counters"

    def __init__(self, why: str, alert_state: AlertState | None = None) -> None:
        self._why = why
        self._alert_state = alert_state or AlertState()
        self._source = OwnCounters()
        self._namespaces = Namespaces()
        self._account: Account | None = None
        self._first: Counters | None = None
        self._latest: Counters | None = None
        self._read_ns = 0
        self._told = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that run."""
        return (self._source.name,)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Sources that do not run, and what is lost by that."""
        return (
            Missing(source="kernel", why=self._why, lost="why resets are sent, who sends them, and alerts"),
            Missing(source="packets", why="not part of this version", lost="resets that the TCP stack did not send"),
        )

    def __enter__(self) -> Counting:
        self._source.start()
        self._first = self._latest = self._source.read()
        self._account = Account([self._first], {})
        self._read_ns = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def firing(self) -> list[Alert]:
        """The alerts that are raised now: none, for nothing is judged here."""
        return []

    def alert_state(self) -> AlertState:
        """What alerts are to know after a restart: what they knew before."""
        return self._alert_state

    def wait(self, until: float) -> None:
        """Sleeps until that time of time.monotonic()."""
        time.sleep(max(until - time.monotonic(), 0.0))

    def tick(self, *, last: bool = False) -> Tick:
        """What moved since the last visit, at most once a second.

        Args:
            last: the account also where nothing moved.
        """
        notices = () if self._told else (self._notice(),)
        self._told = True
        now_ns = time.monotonic_ns()
        if not last and now_ns - self._read_ns < _EVERY_NS:
            return Tick(notices=notices)
        self._read_ns = now_ns
        return Tick(counts=tuple(self._count(everything=last)), notices=notices)

    def _notice(self) -> Notice:
        return Notice(time_ns=time.time_ns(), name="counters-only", text=f"{self._why}; {_ADDS}")

    def _count(self, *, everything: bool) -> list[Count]:
        assert self._account is not None
        assert self._first is not None
        self._latest = latest = self._source.read()
        self._account.read([latest], {})
        moved = {name: value - self._first.values.get(name, 0) for name, value in latest.values.items()}
        families = fingerprint.shares(moved, abort_on_overflow=self._source.aborts_on_overflow())
        lines = self._account.lines(time.time_ns(), everything=everything)
        return [replace(line, netns_name=self._name(line.netns), families=families) for line in lines]

    def _name(self, inode: int) -> str:
        return self._namespaces.name(inode, time.monotonic_ns())

    def totals(self) -> dict[str, int]:
        """The whole account so far."""
        return self._account.totals() if self._account else {}

    def watched(self) -> list[tuple[int, str]]:
        """The namespace that is being watched: its inode number and name."""
        return [(self._latest.netns, self._name(self._latest.netns))] if self._latest else []
