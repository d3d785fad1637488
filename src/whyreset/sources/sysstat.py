"""What sysstat stored: files of sadc (read by `sadf -j`), or that program's JSON.

sadc stores TCP's counters only when told to (-S SNMP or XALL), and none of the kernel's extended ones.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from whyreset.sources.base import SourceError
from whyreset.sources.grid import Grid, usual_step
from whyreset.stored import RESETS, Series, Store

#: Of one file, as JSON; a day of seconds has some 60 MB.
MOST_BYTES = 128 << 20
_PATIENCE = 60.0
#: By sadf's words; see json_print_net_tcp_stats() and json_print_net_etcp_stats().
_WORDS = {
    "active": "ActiveOpens",
    "passive": "PassiveOpens",
    "atmptf": "AttemptFails",
    "estres": "EstabResets",
    "orsts": RESETS,
}
_TOLD = "sadc stores them with -S SNMP (SADC_OPTIONS in /etc/sysstat/sysstat or /etc/sysconfig/sysstat)"


class _Stamp(Struct):
    date: str
    time: str
    #: Seconds that the values are of.
    interval: float = 0
    #: 1: in UTC, else in the time of the machine that reads.
    utc: int = 0


class _Network(Struct):
    tcp: dict[str, float] = msgspec.field(name="net-tcp", default_factory=dict)
    etcp: dict[str, float] = msgspec.field(name="net-etcp", default_factory=dict)


class _Row(Struct):
    timestamp: _Stamp | None = None
    network: _Network | None = None


class _Restart(Struct):
    boot: _Stamp | None = None


class _Host(Struct):
    nodename: str = ""
    statistics: list[_Row] = []
    restarts: list[_Restart] = []


class _Hosts(Struct):
    hosts: list[_Host]


class _File(Struct):
    sysstat: _Hosts


class Sysstat(Store):
    """The counters in some of sysstat's files.

    Args:
        paths: files of sadc, or what `sadf -j` made of them.
    """

    name = "sysstat"

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        #: end, seconds, what was counted
        self._rows: list[tuple[float, float, dict[str, float]]] = []
        self._restarts: list[float] = []
        self.where = ", ".join(paths)

    def open(self, since: int, until: int) -> None:
        """Reads the files.

        Raises:
            SourceError: one cannot be read, or none holds TCP's counters.
        """
        hosts: set[str] = set()
        for path in self._paths:
            for host in _decode(path).sysstat.hosts:
                hosts.add(host.nodename)
                self._rows += _rows(host.statistics)
                self._restarts += [at for each in host.restarts if each.boot and (at := _moment(each.boot)) is not None]
        if len(hosts) > 1:
            raise SourceError(f"these files are of several hosts: {', '.join(sorted(hosts)[:5])}")
        if not any(RESETS in counts for _, _, counts in self._rows):
            raise SourceError(f"no TCP counters in {self.where}; {_TOLD}")
        self._rows.sort(key=lambda row: row[0])
        self.host = hosts.pop()
        self.counters = frozenset(name for _, _, counts in self._rows for name in counts)
        self.step = usual_step([end for end, _, _ in self._rows]) or max(round(self._rows[0][1]), 1)
        self.kept = (self._rows[0][0] - self._rows[0][1], self._rows[-1][0])

    def read(self, counters: Sequence[str], since: int, until: int) -> Series:
        """The counters' growth. Raises SourceError."""
        grid = Grid(since, until, self.step, phase=round(self._rows[0][0]))
        before: float | None = None
        for end, seconds, counts in self._rows:
            begin = end - seconds if before is None else max(end - seconds, before)
            if before is not None and begin - before > 1.5:
                grid.gap(before, begin)
            for counter in counters:
                if counter in counts:
                    grid.add(counter, begin, end, counts[counter])
            before = end
        first, last = self.kept
        assert first is not None
        assert last is not None
        grid.gap(since, first)
        grid.gap(last, until)
        for at in self._restarts:
            if since <= at <= until:
                grid.restart(at)
        return grid.series()

    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        return ()


def _rows(rows: Sequence[_Row]) -> Iterator[tuple[float, float, dict[str, float]]]:
    for row in rows:
        if row.timestamp is None or row.network is None or not 0 < row.timestamp.interval < 1e6:
            continue
        if (end := _moment(row.timestamp)) is None:
            continue
        rates = {**row.network.tcp, **row.network.etcp}
        seconds = row.timestamp.interval
        counts = {name: rates[word] * seconds for word, name in _WORDS.items() if word in rates}
        yield end, seconds, counts


def _moment(stamp: _Stamp) -> float | None:
    try:
        at = datetime.fromisoformat(f"{stamp.date} {stamp.time}")
        return (at.replace(tzinfo=UTC) if stamp.utc else at).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _decode(path: str) -> _File:
    try:
        with Path(path).open("rb") as file:
            head = file.read(64).lstrip()
            data = head + file.read(MOST_BYTES) if head.startswith(b"{") else _sadf(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if len(data) >= MOST_BYTES:
        raise SourceError(f"more than {MOST_BYTES >> 20} MB of JSON in {path}; take fewer hours of it (sadf -s, -e)")
    try:
        return msgspec.json.decode(data, type=_File)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"this is not what sadf -j writes: {path}") from error


def _sadf(path: str) -> bytes:
    """What sysstat's own program reads in its file."""
    command = ["sadf", "-j", str(Path(path).absolute()), "--", "-n", "TCP,ETCP"]
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        ) as process:
            assert process.stdout is not None
            try:
                data = process.stdout.read(MOST_BYTES)
                process.kill()
            except BaseException:
                process.kill()
                raise
    except FileNotFoundError as error:
        raise SourceError(
            "sadf is not installed (package sysstat); or give what `sadf -j FILE -- -n ALL` says"
        ) from error
    if not data:
        raise SourceError(f"sadf finds no TCP counters in {path}: it is no file of sadc, or without them; {_TOLD}")
    return data
