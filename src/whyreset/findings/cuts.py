"""Connections that a process cut, and how that process ended: what tells a crash, a reload and a habit apart. Bounded.

Rules. Cut is a connection that this side ends by a reset of its own, or that it had closed when its peer wrote again;
only connections that the peer opened count. Whose it was is who closed it, else its owner. The port stayed open when a
listener that was there before the process ended served it for a second longer at least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import field

from whyreset.findings.base import SECOND_NS, Batch, Table, add_sources, subject_of
from whyreset.findings.ports import Ports
from whyreset.findings.tally import Tally
from whyreset.model import Process, Reset

#: Processes by port that are remembered, and clients of each.
PROCESSES, CLIENTS = 1024, 64
#: Of a process that lives: for so long after the last connection that it cut; else for so long after its end.
ALIVE_NS, ENDED_NS = 120 * SECOND_NS, 600 * SECOND_NS

CAUSES = frozenset({"unread-data", "data-after-close", "linger-zero", "disconnect", "not-accepted"})
_TICK_NS = 10_000_000
#: A port that closes so soon after a process's end went with it.
_WITH_NS = SECOND_NS

_Key = tuple[int, int, int, int]


class Cut(Tally, kw_only=True):
    """The connections to one port that one process cut."""

    port: int
    address: str
    family: int
    process: Process
    #: While it was exiting, or after it had ended.
    by_end: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    #: It began before one of those connections: it is no child that was forked for that alone.
    is_older: bool = False
    #: Nanoseconds since the epoch; 0 while it lives.
    ended_ns: int = 0
    #: As wait(2) gives it; None while it lives, and where that was not told.
    exit_code: int | None = None


class Cuts:
    """Remembers.

    Args:
        ports: who listens where; its owner feeds it.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._epoch_ns = 0
        self._cuts: Table[_Key, Cut] = Table(PROCESSES, weight=lambda cut: cut.count)

    def see(self, batch: Batch) -> None:
        """Resets, and processes that ended."""
        self._epoch_ns = batch.epoch_ns
        for reset in batch.resets:
            if reset.facts.direction != "sent" or reset.facts.active_open or reset.cause.name not in CAUSES:
                continue
            process = reset.closer if reset.closer and reset.facts.in_closer else None
            process = process or (reset.owner.process if reset.owner else reset.closer)
            if process is not None and reset.port is not None:
                self._cut(reset, reset.port, process, batch.epoch_ns)
        if batch.ends:
            ends = {(each.pid, each.start_ns // _TICK_NS): each for each in batch.ends}
            for key, cut in self._cuts.items():
                if end := ends.get(key[2:]):
                    _end(cut, end, batch.epoch_ns)
        self._cuts.drop(lambda cut: batch.now_ns - _touched(cut) > (ENDED_NS if cut.ended_ns else ALIVE_NS))

    def ended(self, now_ns: int) -> Iterator[tuple[tuple[int, int], Cut]]:
        """Of processes that ended while their port stayed open; each with its namespace and port."""
        for key, cut in self._cuts.items():
            is_told = cut.ended_ns and cut.exit_code is not None and now_ns - cut.ended_ns >= _WITH_NS
            if is_told and self.port_stays(cut):
                yield key[:2], cut

    def port_stays(self, cut: Cut) -> bool:
        """Whether a listener that was there before the process ended served its port on."""
        known = self._ports.get(cut.subject.netns_cookie, cut.port)
        ended_ns = cut.ended_ns - self._epoch_ns
        listeners = [life.listener for life in (*known.living.values(), *known.former)] if known else []
        return any(
            each.since_ns < ended_ns
            and each.serves(cut.address, cut.family)
            and (not each.until_ns or each.until_ns > ended_ns + _WITH_NS)
            for each in listeners
        )

    def _cut(self, reset: Reset, port: int, process: Process, epoch_ns: int) -> None:
        sample = reset.sample
        subject = subject_of(reset, port=port, process=process)
        cut = self._cuts.touch(
            (sample.netns_cookie, port, process.pid, process.start_ns // _TICK_NS),
            lambda: Cut(
                subject=subject,
                port=port,
                address=sample.local,
                family=sample.family,
                process=process,
                first_ns=reset.time_ns,
                last_ns=reset.last_ns,
            ),
        )
        cut.add(reset)
        cut.is_older = cut.is_older or 0 < process.start_ns < sample.opened_ns
        add_sources(cut.clients, reset, CLIENTS)
        if reset.facts.exiting:
            cut.by_end += reset.count
            if not cut.ended_ns:
                cut.ended_ns, cut.exit_code = reset.time_ns, sample.exit_code
        final = self._ports.final(process)
        if final.exit_code is not None:
            _end(cut, final, epoch_ns)


def _end(cut: Cut, process: Process, epoch_ns: int) -> None:
    cut.process, cut.exit_code = process, process.exit_code
    if not cut.ended_ns:
        cut.ended_ns = process.ended_ns + epoch_ns if process.ended_ns else cut.last_ns


def _touched(cut: Cut) -> int:
    return max(cut.last_ns, cut.ended_ns)
