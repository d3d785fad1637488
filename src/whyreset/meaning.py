"""What the resets of this host mean: what the stages before have found is handed to the findings, and told as a whole.

It joins `owners` (listeners and processes that began or ended) with `findings`, for whoever holds the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from whyreset.findings.base import SECOND_NS, Batch
from whyreset.findings.judge import Judge
from whyreset.model import Alert, Attempt, Count, Finding, Host, Life, Owner, Place, Process, Reset, Verdict

#: What the verdict of a running watch is of.
VERDICT_NS = 60 * SECOND_NS
#: An alert's verdict looks back over its window, and so much more: a surge begins before it is one.
_BEFORE_NS = 10 * SECOND_NS
#: Rules of this name are about resets received.
_RECEIVED = "received"


class News(Protocol):
    """Who tells of listeners and processes: owners.sockets.Owners."""

    def news(self, now_ns: int, most: int = 256) -> tuple[tuple[Life, ...], tuple[Process, ...]]:
        """Listeners that began or ended, and known processes that ended, since it was asked last."""

    def listening(self, socket_cookie: int, now_ns: int) -> Owner | None:
        """Who listens on that socket."""

    def process(self, key: tuple[int, int], now_ns: int) -> Process:
        """What is known of a process by its pid and start."""


class Meaning:
    """Finds what resets mean.

    Args:
        owners: who tells of listeners and processes.
        netns_name: the name of a namespace by its inode number.
        within: says of which namespaces the verdict is, by inode number and name.
        start: what ids of findings begin with, so that those of two runs differ.
    """

    def __init__(
        self, owners: News, netns_name: Callable[[int], str], within: Callable[[int, str], bool], *, start: str = ""
    ) -> None:
        self._owners = owners
        self._within = within
        self._netns_name = netns_name
        self._judge = Judge(start=start)

    def see(
        self,
        resets: Iterable[Reset],
        now_ns: int,
        *,
        epoch_ns: int,
        counts: Iterable[Count] = (),
        host: Host | None = None,
        places: Iterable[Place] = (),
        attempts: Iterable[Attempt] = (),
    ) -> None:
        """Takes in what one visit brought.

        Args:
            resets: explained.
            now_ns: CLOCK_BOOTTIME.
            epoch_ns: what to add to that for nanoseconds since the epoch.
            counts: accounts of the namespaces, once a second.
            host: its gauges and limits, once a second.
            places: namespaces that were looked into.
            attempts: connections of this host that nobody answered.
        """
        lives, ends = self._owners.news(now_ns)
        self._judge.see(
            Batch(
                now_ns=now_ns + epoch_ns,
                epoch_ns=epoch_ns,
                resets=tuple(resets),
                lives=tuple(self._placed(each) for each in lives),
                ends=ends,
                counts=tuple(counts),
                host=host,
                places=tuple(self._peopled(each, now_ns) for each in places),
                attempts=tuple(self._named(each, now_ns) for each in attempts),
            )
        )

    def judge(self, now_ns: int) -> list[Finding]:
        """What began, changed or ended since it was asked last; nanoseconds since the epoch, here and below."""
        return self._judge.judge(now_ns)

    def open(self, now_ns: int) -> list[Finding]:
        """The findings that go on."""
        return self._judge.open(now_ns)

    def verdict(self, now_ns: int) -> Verdict:
        """What the last minute's resets mean, in the namespaces that are asked for."""
        return self._judge.verdict(now_ns, now_ns - VERDICT_NS, within=self._within)

    def explain(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Alerts that are raised, each with the verdict over its window in its namespace."""
        return [replace(each, verdict=self._of(each)) if _is_raised(each) else each for each in alerts]

    def _placed(self, life: Life) -> Life:
        # of a namespace that is gone the number may be another's by now
        return life if life.listener.until_ns else replace(life, netns_name=self._netns_name(life.listener.netns))

    def _peopled(self, place: Place, now_ns: int) -> Place:
        """With the owners of its listeners."""
        queues = [replace(each, owner=self._owners.listening(each.socket_cookie, now_ns)) for each in place.queues]
        holders = [
            replace(each, owner=self._owners.listening(each.socket_cookie, now_ns)) if each.socket_cookie else each
            for each in place.holders
        ]
        name = self._netns_name(place.netns)
        return replace(place, netns_name=name, queues=tuple(queues), holders=tuple(holders))

    def _named(self, attempt: Attempt, now_ns: int) -> Attempt:
        """With the process that began it."""
        process = self._owners.process(attempt.owner, now_ns) if attempt.owner else None
        return replace(attempt, netns_name=self._netns_name(attempt.netns), process=process)

    def _of(self, alert: Alert) -> Verdict:
        since_ns = alert.time_ns - alert.window * SECOND_NS - _BEFORE_NS
        direction = "received" if _RECEIVED in alert.rule else "sent"
        return self._judge.verdict(
            alert.time_ns, since_ns, direction=direction, within=lambda netns, _: alert.netns in (0, netns)
        )


def _is_raised(alert: Alert) -> bool:
    return alert.new_status in ("warning", "critical")
