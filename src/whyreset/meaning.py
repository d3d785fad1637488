"""What the resets of this host mean: what the stages before have found is handed to the findings, and told as a whole.

It joins `owners` (listeners and processes that began or ended) with `findings`, for whoever holds the clock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from msgspec.structs import replace

from whyreset.findings.base import SECOND_NS, Batch
from whyreset.findings.judge import Judge
from whyreset.model import (
    Alert,
    Attempt,
    Contact,
    Count,
    Finding,
    Host,
    Life,
    Owner,
    Place,
    Process,
    Reset,
    Verdict,
)

#: What the verdict of a running watch is of.
VERDICT_NS = 60 * SECOND_NS
#: An alert's verdict looks back over its window, and so much more: a surge begins before it is one.
_BEFORE_NS = 10 * SECOND_NS
#: So often it is looked who holds raw sockets, at the most.
_RAW_NS = 10 * SECOND_NS
_RAW_NAMESPACES = 256
_UNASKED = "unsolicited-syn-ack"
#: Share of a core that judging between the seconds may cost.
_EARLY_SHARE = 0.002
#: Ends of listeners whose clients were refused, by namespace, pid and time; the same one's time differs a little.
_STOPS, _STOP_NS = 256, 2 * SECOND_NS
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
        raw: who holds raw and packet sockets in a namespace, by its inode number, as sentences.
    """

    def __init__(
        self,
        owners: News,
        netns_name: Callable[[int], str],
        within: Callable[[int, str], bool],
        *,
        start: str = "",
        raw: Callable[[int], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self._owners = owners
        self._within = within
        self._netns_name = netns_name
        self._judge = Judge(start=start)
        self._raw = raw
        self._raw_after_ns: dict[int, int] = {}
        #: Something came that was not judged yet, and when that may be done before the second is over.
        self._is_new = False
        self._early_after_ns = 0
        #: A listener has ended whose first client was just refused: that is not put off.
        self._is_urgent = False
        self._stops: OrderedDict[tuple[int, int, int], None] = OrderedDict()

    def see(
        self,
        resets: Iterable[Reset],
        now_ns: int,
        *,
        epoch_ns: int,
        counts: Iterable[Count] = (),
        host: Host | None = None,
        contacts: Iterable[Contact] = (),
        established: Mapping[tuple[int, int], int] | None = None,
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
            contacts: remotes whose first contacts say more than before, once a second.
            established: connections of the ports that `looks` named, where they were counted.
            places: namespaces that were looked into.
            attempts: connections of this host that nobody answered.
        """
        lives, ends = self._owners.news(now_ns)
        resets = tuple(resets)
        batch = Batch(
            now_ns=now_ns + epoch_ns,
            epoch_ns=epoch_ns,
            resets=resets,
            lives=tuple(self._placed(each) for each in lives),
            ends=ends,
            counts=tuple(counts),
            host=host,
            contacts=tuple(contacts),
            raw=self._look(resets, now_ns),
            established=established or {},
            places=tuple(self._peopled(each, now_ns) for each in places),
            attempts=tuple(self._named(each, now_ns) for each in attempts),
        )
        self._is_new = self._is_new or bool(batch.resets or batch.lives)
        for reset in resets:
            if reset.stop is not None:
                pid = reset.owner.process.pid if reset.owner else 0
                self._stopped((reset.sample.netns_cookie, pid, reset.stop.time_ns // _STOP_NS))
        self._judge.see(batch)

    def looks(self) -> set[tuple[int, int]]:
        """Ports whose connections are to be counted, as namespace cookie and port; mostly none."""
        return self._judge.looks()

    def judge(self, now_ns: int) -> list[Finding]:
        """What began, changed or ended since it was asked last; nanoseconds since the epoch, here and below."""
        spent_ns = time.thread_time_ns()
        findings = self._judge.judge(now_ns)
        spent_ns = time.thread_time_ns() - spent_ns
        self._is_new = self._is_urgent = False
        self._early_after_ns = now_ns + round(spent_ns / _EARLY_SHARE)
        return findings

    def waiting(self) -> bool:
        """Whether something new has not been judged yet."""
        return self._is_new

    def judge_early(self, now_ns: int) -> list[Finding]:
        """The same between two seconds, where something new came: a crash is told at once, unless that costs much."""
        may = self._is_urgent or (self._is_new and now_ns >= self._early_after_ns)
        return self.judge(now_ns) if may else []

    def _stopped(self, key: tuple[int, int, int]) -> None:
        if key not in self._stops:
            self._is_urgent = True
            self._stops[key] = None
            if len(self._stops) > _STOPS:
                self._stops.popitem(last=False)

    def losses(self) -> dict[str, tuple[int, str]]:
        """What was lost so far, by name: how much, and what that means for the user."""
        return {"findings-untold": (self._judge.left_out, "findings not told, since so many go on already")}

    def open(self, now_ns: int) -> list[Finding]:
        """The findings that go on."""
        return self._judge.open(now_ns)

    def verdict(self, now_ns: int) -> Verdict:
        """What the last minute's resets mean, in the namespaces that are asked for."""
        return self._judge.verdict(now_ns, now_ns - VERDICT_NS, within=self._within)

    def explain(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Alerts that are raised, each with the verdict over its window in its namespace."""
        return [replace(each, verdict=self._of(each)) if _is_raised(each) else each for each in alerts]

    def _look(self, resets: Iterable[Reset], now_ns: int) -> dict[int, tuple[str, ...]]:
        """Who may have sent the SYNs that the stack did not send, while they still hold their sockets."""
        found: dict[int, tuple[str, ...]] = {}
        for reset in resets:
            cookie = reset.sample.netns_cookie
            if reset.cause.name != _UNASKED or reset.facts.direction != "sent" or cookie in found:
                continue
            if now_ns >= self._raw_after_ns.get(cookie, 0):
                if len(self._raw_after_ns) >= _RAW_NAMESPACES:
                    self._raw_after_ns.clear()
                self._raw_after_ns[cookie] = now_ns + _RAW_NS
                found[cookie] = self._raw(reset.sample.netns)
        return found

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
