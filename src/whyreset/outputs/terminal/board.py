"""What `watch` has seen lately, held ready to be shown: resets, counts and notices in, a view out.

Pure and bounded: the time is an argument, and the number of rows, addresses, ports, processes and kept resets has a
limit each. Shares and sparklines are of the last minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from whyreset.filter import Filter
from whyreset.model import Alert, Count, Missing, Notice, Share, Tick, Verdict
from whyreset.outputs.plain import notice_text
from whyreset.outputs.terminal import tell
from whyreset.outputs.terminal.rows import PAUSED_NS, Row, Side
from whyreset.outputs.terminal.view import RowView, SideView, Trend, View
from whyreset.words import clock

#: Notices that are kept, and for how long.
NOTICES = 4
_NOTICE_NS = 120_000_000_000
#: Namespaces whose accounts are kept apart: as many as the account itself keeps.
NAMESPACES = 8192
#: What the kernel has counted but nobody has read yet looks unseen for a moment.
_SETTLE_NS = 3_000_000_000
_SECOND_NS = 1_000_000_000
#: Of a rate, against what was before, to be called rising or falling; and resets that it takes.
_CHANGE, _ENOUGH = 1.5, 5


class Board:
    """Remembers.

    Args:
        now_ns: nanoseconds of a clock that never goes back, here and in all that follows.
        home: inode number of the namespace that needs no name, the user's own.
        chosen: what was asked for; whoever calls takes only that.
    """

    def __init__(self, now_ns: int, *, home: int = 0, chosen: Filter | None = None) -> None:
        self._begun_ns = now_ns
        self._home = home
        self._chosen = chosen or Filter()
        second = now_ns // _SECOND_NS
        self._sent = Side(join_twins=False, second=second, now_ns=now_ns)
        # a reset within this host is told where it was sent
        self._received = Side(join_twins=self._chosen.direction == "both", second=second, now_ns=now_ns)
        self._figures: dict[int, Count] = {}
        self._verdict: Verdict | None = None
        self._forgotten = dict.fromkeys((*tell.FIGURES, *tell.ON_WIRE), 0)
        self._unseen: deque[tuple[int, int, int]] = deque(maxlen=8)
        #: by name and text, the latest last: when it was told, and how many in all
        self._notices: dict[tuple[str, str], tuple[int, Notice]] = {}

    def take(self, tick: Tick, now_ns: int) -> bool:
        """Takes what one tick brought; True where that makes a new row, or something new to say."""
        second = now_ns // _SECOND_NS
        fresh = False
        if tick.verdict is not None:
            fresh = [each.id for each in tick.verdict.shares] != [each.id for each in self._shares()]
            self._verdict = tick.verdict
        for reset in tick.resets:
            side = self._received if reset.facts.direction == "received" else self._sent
            fresh |= side.add(reset, second, now_ns)
        for count in tick.counts:
            self._book(count)
            if self._chosen.by_detail:
                continue
            for side, name in ((self._sent, "lost"), (self._received, "received_lost")):
                if lost := count.delta.get(name):
                    side.add_lost(lost, second, now_ns)
        for notice in tick.notices:
            self._note(notice, now_ns)
        return fresh or bool(tick.alerts)

    def view(
        self,
        now_ns: int,
        *,
        namespaces: Iterable[tuple[int, str]] = (),
        missing: Iterable[Missing] = (),
        alerts: Iterable[Alert] = (),
        whole: bool = False,
    ) -> View:
        """What is to be seen now.

        Args:
            namespaces: those that are watched, inode numbers and names.
            missing: sources that do not run.
            alerts: those that are raised.
            whole: shares and order over all the time, not of the last minute.
        """
        totals = self._totals()
        self._unseen.append((now_ns, totals["unseen"], totals["uncounted"]))
        settled = [each for each in self._unseen if now_ns - each[0] <= _SETTLE_NS]
        totals["unseen"] = min(unseen for _, unseen, _ in settled)
        totals["uncounted"] = min(uncounted for _, _, uncounted in settled)
        return View(
            watched_seconds=(now_ns - self._begun_ns) / 1e9,
            sent=self._side(self._sent, now_ns, whole=whole) if self._chosen.direction != "received" else None,
            received=self._side(self._received, now_ns, whole=whole) if self._chosen.direction != "sent" else None,
            only=self._chosen.words(),
            account=tell.account(totals, seen=self._sent.total),
            complete=not (totals["lost"] or totals["unseen"] or totals["unknown"] or totals["received_lost"]),
            scope=tell.scope(namespaces, self._home),
            alerts=tell.alerts(alerts, self._home),
            findings=tell.findings(self._verdict, self._home),
            unseen=tuple(tell.missing(each) for each in missing),
            notices=tuple(
                notice_text(notice) for told_ns, notice in self._notices.values() if now_ns - told_ns <= _NOTICE_NS
            ),
        )

    def _shares(self) -> tuple[Share, ...]:
        return self._verdict.shares if self._verdict else ()

    def _note(self, notice: Notice, now_ns: int) -> None:
        key = notice.name, notice.text
        told_ns, before = self._notices.pop(key, (0, notice))
        if before is not notice and now_ns - told_ns <= _NOTICE_NS:
            notice = replace(notice, count=before.count + notice.count)
        self._notices[key] = now_ns, notice
        if len(self._notices) > NOTICES:
            del self._notices[next(iter(self._notices))]

    def _book(self, count: Count) -> None:
        self._figures.pop(count.netns_cookie, None)
        if len(self._figures) >= NAMESPACES:
            oldest = self._figures.pop(next(iter(self._figures)))
            for name in (*tell.FIGURES, *tell.ON_WIRE):
                self._forgotten[name] += getattr(oldest, name) or 0
        self._figures[count.netns_cookie] = count

    def _totals(self) -> dict[str, int]:
        totals = {
            name: self._forgotten[name] + sum(getattr(count, name) or 0 for count in self._figures.values())
            for name in (*tell.FIGURES, *tell.ON_WIRE)
        }
        totals["unseen"] -= sum(count.pending for count in self._figures.values())
        return totals

    def _side(self, side: Side, now_ns: int, *, whole: bool) -> SideView:
        second = now_ns // _SECOND_NS
        seconds = side.seconds.complete(second)
        elapsed = second - self._begun_ns // _SECOND_NS
        recent = side.seconds.recent(second)
        rows = [self._row(row, recent, now_ns) for row in side.ordered(second, now_ns)]
        if whole:
            rows = [replace(row, share=row.total / side.total) for row in sorted(rows, key=lambda row: -row.total)]
        return SideView(
            now=float(seconds[-1]),
            ten=_average(seconds, min(10, elapsed)),
            minute=_average(seconds, min(60, elapsed)),
            seconds=tuple(seconds),
            recent=recent,
            total=side.total,
            rows=tuple(rows),
        )

    def _row(self, row: Row, whole: int, now_ns: int) -> RowView:
        second = now_ns // _SECOND_NS
        minute = row.seconds.recent(second)
        last = row.kept[-1] if row.kept else None
        facts = last.facts if last else None
        return RowView(
            what=tell.what(row),
            meaning=tell.meaning(row),
            likely=row.key.saying.likely,
            port=tell.ports(row),
            who=tell.who(row),
            where=tell.where(row, self._home),
            whom=tell.whom(row),
            share=minute / whole if whole else 0.0,
            minute=minute,
            total=row.total,
            rate=_rate(row, second),
            trend=_trend(row, second, now_ns),
            idle_seconds=(now_ns - row.last_ns) / 1e9,
            last=clock(last.last_ns) if last else "",
            quiet=row.key.saying.quiet,
            cause=last.cause.name if last else "",
            reason=facts.reason if facts else "",
            evidence=last.evidence if last else (),
            missing=last.cause.missing if last else "",
            details=tuple(tell.detail(each) for each in reversed(row.kept)),
        )


def _average(seconds: list[int], over: int) -> float:
    return sum(seconds[len(seconds) - over :]) / over if over > 0 else 0.0


def _rate(row: Row, second: int) -> float:
    """A second, over the last ten that are over; over fewer while the row is younger."""
    age = second - row.begun_ns // _SECOND_NS
    return _average(row.seconds.complete(second, 10), min(10, age)) if age else float(row.seconds.recent(second))


def _trend(row: Row, second: int, now_ns: int) -> Trend:
    if now_ns - row.last_ns > PAUSED_NS:
        return "over"
    age = second - row.begun_ns // _SECOND_NS
    if age < 10:
        return "new"
    seconds = row.seconds.complete(second)
    ten, before = _average(seconds[-10:], 10), _average(seconds[:-10], min(50, age - 10))
    if max(ten, before) * 10 < _ENOUGH or age < 15:
        return "steady"
    return "rising" if ten > before * _CHANGE else "falling" if ten * _CHANGE < before else "steady"
