"""Watching without rights, or on a kernel that tells nothing of resets: the counters of one's own namespace.

Alerts need no more than that: all rules of Netdata's kind, and our detectors on what was sent, and on attempts to
connect that failed. It has the face of the agent, so that a command can take the one for the other.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from whyreset.account import Account
from whyreset.agent import Settings
from whyreset.alerts.alerting import Alerting, AlertState
from whyreset.causes import fingerprint
from whyreset.clock import boottime_ns, epoch_ns
from whyreset.model import Alert, Count, Counters, Missing, Notice, Tick
from whyreset.owners.namespaces import Namespaces
from whyreset.sources.counters import OwnCounters
from whyreset.sources.limits import LimitSource

_EVERY_NS = 1_000_000_000
_LOST = "why resets are sent and by whom; alerts of other namespaces and of single causes; which resets are expected"
_ADDS = (
    "with it each reset of every network namespace would come with its cause and its owner, not just this one's count"
)


class Counting:
    """Counts this namespace's resets. Use as a context manager.

    Args:
        why: one sentence on why the kernel cannot tell more, for the user.
        settings: of them the rules, and what alerts knew before.
    """

    tier = "counters"

    def __init__(self, why: str, settings: Settings) -> None:
        self._why = why
        self._source = OwnCounters()
        self._namespaces = Namespaces(names=settings.names)
        self._limits = LimitSource()
        # what is expected is known by cause, owner and remote, of which counters tell nothing
        self._alerting = Alerting(
            settings.rules.rules,
            silences=settings.rules.silences,
            names=self._name,
            boot=settings.boot,
            state=settings.alert_state,
            counters_only=True,
        )
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
            Missing(source="kernel", why=self._why, lost=_LOST),
            Missing(source="packets", why="not asked for: --packets", lost="resets that the TCP stack did not send"),
        )

    def __enter__(self) -> Counting:
        self._source.start()
        self._first = self._latest = self._source.read()
        self._account = Account([self._first], {})
        self._alerts(self._first)
        self._read_ns = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def firing(self) -> list[Alert]:
        """The alerts that are raised now, without shares."""
        return self._alerting.firing()

    def alert_state(self) -> AlertState:
        """What alerts are to know after a restart."""
        return self._alerting.state()

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
        self._latest = latest = self._source.read()
        counts = self._count(latest, everything=last)
        return Tick(counts=tuple(counts), notices=notices, alerts=tuple(self._alerts(latest)))

    def _alerts(self, counters: Counters) -> list[Alert]:
        now_ns = boottime_ns() + epoch_ns()
        return self._alerting.read(now_ns / 1e9, [counters], self._limits.read(time.monotonic()))

    def _notice(self) -> Notice:
        return Notice(time_ns=time.time_ns(), name="counters-only", text=f"{self._why}; {_ADDS}")

    def _count(self, latest: Counters, *, everything: bool) -> list[Count]:
        assert self._account is not None
        assert self._first is not None
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
