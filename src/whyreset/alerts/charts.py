"""A namespace's counters under Netdata's chart and dimension names, one value a second.

Readings come when they come; what a counter grew between two of them is spread over the whole seconds that it took, as
Netdata does it: the value of second s is the rate from s - 1 to s.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

#: Seconds of history, unless rules look back further; and how far they may.
MEMORY = 120
LONGEST_LOOK = 7200
#: What comes late is kept some seconds longer.
LATE = 20


class Dimension(Struct, frozen=True):
    """One line of a chart."""

    #: Netdata's identifier.
    id: str
    #: What Netdata shows it as.
    name: str
    #: What it is read by: the kernel's name.
    key: str
    #: Grows for ever, and its rate is shown; else a gauge.
    counter: bool = True


class ChartKind(Struct, frozen=True):
    """A chart as Netdata has it."""

    #: Old and new names; the first is that of the Netdata that Debian 12 has.
    names: tuple[str, ...]
    family: str
    dimensions: tuple[Dimension, ...]


def _chart(names: str, family: str, dimensions: str, *, counter: bool = True) -> ChartKind:
    """Dimensions are written «id», «id:name», or «id<key» where the kernel's name is another."""
    found = []
    for word in dimensions.split():
        shown, _, key = word.partition("<")
        identifier, _, name = shown.partition(":")
        found.append(Dimension(identifier, name or identifier, key or identifier, counter))
    return ChartKind(tuple(names.split()), family, tuple(found))


CHARTS = (
    _chart("ipv4.tcphandshake ip.tcphandshake", "tcp", "EstabResets OutRsts AttemptFails TCPSynRetrans:SynRetrans"),
    _chart("ipv4.tcpopens ip.tcpopens", "tcp", "ActiveOpens:active PassiveOpens:passive"),
    _chart("ipv4.tcpsock ip.tcpsock", "tcp", "CurrEstab:connections", counter=False),
    _chart("ip.tcp_accept_queue", "tcp", "ListenOverflows:overflows ListenDrops:drops"),
    _chart("ip.tcp_syn_queue", "tcp", "TCPReqQFullDrop:drops TCPReqQFullDoCookies:cookies"),
    _chart("ip.tcpsyncookies", "tcp", "SyncookiesRecv:received SyncookiesSent:sent SyncookiesFailed:failed"),
    _chart(
        "ip.tcpconnaborts",
        "tcp",
        "TCPAbortOnData:baddata TCPAbortOnClose:userclosed TCPAbortOnMemory:nomemory TCPAbortOnTimeout:timeout"
        " TCPAbortOnLinger:linger TCPAbortFailed:failed",
    ),
    _chart("ipv4.sockstat_tcp_sockets ip.sockstat_tcp_sockets", "tcp", "alloc orphan inuse timewait<tw", counter=False),
    _chart("ipv4.sockstat_tcp_mem ip.sockstat_tcp_mem", "tcp", "mem", counter=False),
    _chart("system.uptime", "uptime", "uptime", counter=False),
    _chart("netdata.uptime", "netdata", "uptime<agent_uptime", counter=False),
)

#: What of the host itself expressions may ask for: limits of the kernel.
HOST_VARIABLES = ("tcp_max_connections", "tcp_max_orphans", "tcp_mem_low", "tcp_mem_pressure", "tcp_mem_high")
_KINDS = {name: kind for kind in CHARTS for name in kind.names}


def kind_of(chart: str) -> ChartKind | None:
    """The chart that is meant by an old or a new name; None where there is none like it here."""
    return _KINDS.get(chart)


def one_name(chart: str) -> str:
    """The same for a chart's old and its new name."""
    kind = kind_of(chart)
    return kind.names[0] if kind else chart


class Chart:
    """One chart's last seconds.

    Args:
        kind: which chart.
        memory: how many seconds are kept.
    """

    def __init__(self, kind: ChartKind, memory: int) -> None:
        self.kind = kind
        self.names = [(each.id, each.name) for each in kind.dimensions]
        #: When counting began (the first value is that of the second after), and the newest second.
        self.begun = self.last = 0
        self._rows: deque[tuple[float, ...]] = deque(maxlen=memory)
        self._gap = (math.nan,) * len(self.names)
        #: the last reading, and what its second had come to by then
        self._read_at = math.nan
        self._totals: list[float] = []
        self._partial: list[float] = []

    def append(self, second: int, row: tuple[float, ...]) -> None:
        """The next second; seconds that were left out have no value, and what is not new is not taken."""
        if not self._rows:
            self.begun = self.begun or second - 1
        elif second <= self.last:
            return
        else:
            self._rows.extend([self._gap] * min(second - self.last - 1, self._rows.maxlen or 0))
        self._rows.append(row)
        self.last = second

    def read(self, time: float, totals: Mapping[str, float]) -> None:
        """What counters had come to and gauges stood at; a counter that shrank began anew.

        Args:
            time: when, in seconds since the epoch.
            totals: by the kernel's names.
        """
        dimensions, began, old = self.kind.dimensions, self._read_at, self._totals
        now = [float(totals.get(each.key, math.nan)) for each in dimensions]
        if not time > began:  # also at the first reading
            if math.isnan(began):
                self.begun = math.floor(time)
                # of the second that this falls into, the beginning was not seen
                self._partial = [0.0 if time == self.begun else math.nan] * len(now)
                self._read_at, self._totals = time, now
            return
        rates = [
            max(new - before, 0.0) / (time - began) if each.counter else new
            for each, new, before in zip(dimensions, now, old, strict=True)
        ]
        first, last = math.floor(began) + 1, math.floor(time)
        partial = self._partial
        for second in range(max(first, last - (self._rows.maxlen or 0)), last + 1):
            share = second - max(began, second - 1)
            full = self._grown(partial, rates, share)
            partial = [0.0] * len(full)
            if not all(map(math.isnan, full)):
                self.append(second, tuple(full))
        self._partial = self._grown(partial, rates, time - max(began, last))
        self._read_at, self._totals = time, now

    def _grown(self, partial: Sequence[float], rates: Sequence[float], share: float) -> list[float]:
        return [
            before + rate * share if each.counter else rate
            for each, before, rate in zip(self.kind.dimensions, partial, rates, strict=True)
        ]

    def rows(self, first: int, last: int) -> list[tuple[float, ...]]:
        """The seconds from first to last, as far as there are any."""
        begin = self.last - len(self._rows) + 1
        return [self._rows[second - begin] for second in range(max(first, begin), min(last, self.last) + 1)]

    def latest(self, name: str) -> float | None:
        """A dimension's last value, by its id or name; None where there is no such dimension."""
        for index, names in enumerate(self.names):
            if name in names and self._rows:
                return self._rows[-1][index]
        return None

    def __len__(self) -> int:
        return len(self._rows)


class Charts:
    """All charts of one namespace.

    Args:
        memory: how many seconds are kept.
        kinds: which charts there can be.
    """

    def __init__(self, memory: int = MEMORY, kinds: tuple[ChartKind, ...] = CHARTS) -> None:
        self._memory = min(memory, LONGEST_LOOK + LATE)
        self._kinds = kinds
        self._charts: dict[str, Chart] = {}
        #: In the order in which they appeared.
        self.all: list[Chart] = []
        #: What no chart holds: limits of the kernel (tcp_max_orphans, tcp_mem_high, ...).
        self.variables: dict[str, float] = {}

    def find(self, name: str) -> Chart | None:
        """A chart by its old or new name; None before anything of it was read."""
        return self._charts.get(name)

    def add(self, second: int, values: Mapping[str, float]) -> None:
        """What was counted within this second, and gauges at its end, by the kernel's names."""
        for kind in self._kinds:
            if any(each.key in values for each in kind.dimensions):
                row = tuple(float(values.get(each.key, math.nan)) for each in kind.dimensions)
                self._chart(kind).append(second, row)

    def read(self, time: float, totals: Mapping[str, float]) -> None:
        """A reading of counters and gauges, by the kernel's names; some may be missing.

        Args:
            time: when, in seconds since the epoch.
            totals: what they had come to.
        """
        for kind in self._kinds:
            if any(each.key in totals for each in kind.dimensions):
                self._chart(kind).read(time, totals)

    def _chart(self, kind: ChartKind) -> Chart:
        chart = self._charts.get(kind.names[0])
        if chart is None:
            chart = Chart(kind, self._memory)
            self.all.append(chart)
            self._charts.update(dict.fromkeys(kind.names, chart))
        return chart
