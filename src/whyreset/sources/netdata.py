"""What a Netdata stored: charts of the kernel's TCP counters, by the second.

Asked through its HTTP API, version 1 (learn.netdata.cloud, «Web API»): /api/v1/info, chart, data. A parent's children
are under /host/NAME. Charts are called ipv4.* or ip.* by version; dimensions keep the kernel's names as their ids.
Values are rates that Netdata has drawn between its readings: sums are right, single seconds are rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from whyreset.sources.base import SourceError
from whyreset.sources.grid import Grid, usual_step
from whyreset.sources.web import Refused, Server
from whyreset.stored import RESETS, Series, Store

#: By chart: the option that keeps it («auto»: as soon as a counter of it is not 0), and counters.
_CHARTS = {
    "tcphandshake": ("ipv4 TCP handshake issues", (RESETS, "EstabResets", "AttemptFails")),
    "tcpopens": ("ipv4 TCP opens", ("ActiveOpens", "PassiveOpens")),
    "tcpconnaborts": (
        "TCP connection aborts",
        ("TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger", "TCPAbortOnMemory", "TCPAbortOnTimeout"),
    ),
    "tcp_accept_queue": ("TCP accept queue", ("ListenOverflows", "ListenDrops")),
    "tcpsyncookies": ("TCP SYN cookies", ("SyncookiesSent", "SyncookiesFailed")),
}
_PREFIXES = ("ip", "ipv4")
#: Values of one question, so that answers stay small.
_CHUNK = 3600


_Moment = Annotated[int, Meta(ge=0, le=10**11)]


class _Info(Struct):
    version: str
    mirrored_hosts: list[str] = []


class _Dimension(Struct):
    name: str


class _Chart(Struct):
    id: str
    update_every: Annotated[int, Meta(ge=1, le=86_400)]
    dimensions: dict[str, _Dimension]
    #: Seconds since the epoch.
    first_entry: _Moment = 0
    last_entry: _Moment = 0


class _Data(Struct):
    labels: list[str] = []
    #: Time, then one rate for each label.
    data: list[list[float | None]] = []


class Netdata(Store):
    """One host's counters in a Netdata.

    Args:
        url: where it is.
    """

    name = "netdata"

    def __init__(self, url: str) -> None:
        self._server = Server(url, "a Netdata")
        self._charts: dict[str, _Chart] = {}
        self._born: list[_Chart] = []
        self._notes: list[str] = []
        self.where = self._server.where

    def open(self, since: int, until: int) -> None:
        """Asks which charts there are.

        Raises:
            SourceError: it cannot be asked, is no Netdata, or has no chart of resets.
        """
        info = self._server.ask("/api/v1/info", {}, _Info)
        parent, _, child = self._server.path.rpartition("/host/")
        self.host = child if parent or self._server.path.startswith("/host/") else next(iter(info.mirrored_hosts), "")
        counters: set[str] = set()
        absent: list[str] = []
        for name, (_, those) in _CHARTS.items():
            chart = self._chart(name)
            if chart is None:
                absent.append(name)
            else:
                self._charts[name] = chart
                counters.update(each for each in those if each in chart.dimensions)
        handshake = self._charts.get("tcphandshake")
        if handshake is None or RESETS not in handshake.dimensions:
            raise SourceError(f"{self.where} keeps no chart of {RESETS} (ip.tcphandshake, ipv4.tcphandshake)")
        self.step = handshake.update_every
        self.kept = (float(handshake.first_entry), float(handshake.last_entry))
        counters |= self._never_moved(absent)
        self.counters = frozenset(counters)
        self._tell_young(handshake, since, until)

    def _chart(self, name: str) -> _Chart | None:
        for prefix in _PREFIXES:
            try:
                return self._server.ask("/api/v1/chart", {"chart": f"{prefix}.{name}"}, _Chart)
            except Refused as refusal:
                if refusal.status != 404:
                    raise
        return None

    def _never_moved(self, absent: Sequence[str]) -> set[str]:
        """The counters that were 0 all the time: their charts are kept as soon as there is something to keep."""
        if not absent:
            return set()
        try:
            told = self._server.text("/netdata.conf") if "/host/" not in self._server.path else ""
        except SourceError:
            told = ""
        found: set[str] = set()
        for name in absent:
            option, those = _CHARTS[name]
            if re.search(rf"^[\t ]*(?:# )?{re.escape(option)} = (?:auto|yes)\b", told, re.MULTILINE):
                found.update(those)
            else:
                self._notes.append(
                    f"Netdata has no chart {name}: {', '.join(those)} never moved, or it was told not to keep them"
                )
        return found

    def _tell_young(self, handshake: _Chart, since: int, until: int) -> None:
        for name, chart in self._charts.items():
            if max(since, handshake.first_entry + 2 * self.step) < chart.first_entry <= until:
                self._born.append(chart)
                self._notes.append(
                    f"Netdata keeps {', '.join(_CHARTS[name][1])} only since they first moved; "
                    "what they had come to in that first moment is not stored"
                )

    def read(self, counters: Sequence[str], since: int, until: int) -> Series:
        """The counters' growth. Raises SourceError."""
        grid = Grid(since, until, self.step)
        for name, (_, those) in _CHARTS.items():
            wanted = [each for each in those if each in counters]
            if not wanted:
                continue
            chart = self._charts.get(name)
            for counter in wanted:
                if chart is None or counter in chart.dimensions:
                    grid.add(counter, 0, 0, 0)
            if chart is not None:
                self._read(grid, chart, [each for each in wanted if each in chart.dimensions], since, until)
        return grid.series()

    def _read(self, grid: Grid, chart: _Chart, counters: Sequence[str], since: int, until: int) -> None:
        if not counters:
            return
        begin, end = max(since, chart.first_entry - self.step), min(until, chart.last_entry)
        if RESETS in counters:
            grid.gap(since, min(begin, until))
            grid.gap(max(end, since), until)
        for after, before in _chunks(begin, end, _CHUNK * self.step):
            words = {
                "chart": chart.id,
                "dimensions": "|".join(counters),
                "after": str(after),
                "before": str(before),
                "points": "0",
                "format": "json",
                "options": "unaligned|match-ids",
            }
            self._lay(grid, chart, counters, self._server.ask("/api/v1/data", words, _Data), after, before)

    def _lay(self, grid: Grid, chart: _Chart, counters: Sequence[str], answer: _Data, after: int, before: int) -> None:
        columns = {
            counter: answer.labels.index(label)
            for counter in counters
            for label in (counter, chart.dimensions[counter].name)
            if label in answer.labels
        }
        rows = {row[0]: row for row in answer.data if row and row[0] is not None and after < row[0] <= before}
        times = sorted(rows)
        # of what is long ago only means of a minute or an hour are kept
        spacing = usual_step(times) or self.step
        last = float(after)
        for at in times:
            begin = max(at - spacing, last)
            row = rows[at]
            for counter, column in columns.items():
                rate = row[column] if column < len(row) else None
                if rate is not None:
                    grid.add(counter, begin, at, abs(rate) * (at - begin))
                elif counter == RESETS:
                    grid.gap(begin, at)
            last = at

    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return tuple(self._notes)


def _chunks(since: int, until: int, seconds: int) -> Iterator[tuple[int, int]]:
    for begin in range(since, until, seconds):
        yield begin, min(begin + seconds, until)
