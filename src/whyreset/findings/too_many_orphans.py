"""too-many-orphans: closed sockets that still have data to send pass the limit. Rules stand in too_many_orphans.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from whyreset.findings.base import Batch, Claims, Draft, times
from whyreset.findings.memory import Holders, Shortage
from whyreset.model import Reset, Severity, Step

NAMESPACES = 64
#: From this part of the limit on it is told before any reset: tcp_out_of_resources() may count each twice.
_HALF, _LEAST = 0.5, 64


class TooManyOrphans:
    """Finds that the limit of orphans is reached, or near."""

    NAME = "too-many-orphans"

    def __init__(self) -> None:
        self._holders = Holders()
        #: Resets by port and namespace.
        self._ports: Counter[tuple[int, int]] = Counter()
        self._short = Shortage()
        self._orphans = self._limit = 0.0
        self._peak = 0.0

    def see(self, batch: Batch) -> None:
        """Resets, gauges and looks."""
        if self._short.is_over(batch.now_ns):
            self._short, self._peak = Shortage(), 0.0
            self._ports.clear()
        self._holders.see(batch)
        if batch.host is not None:
            self._orphans = batch.host.gauges.get("orphan", 0.0)
            self._limit = batch.host.limits.get("tcp_max_orphans", 0.0)
            if self._orphans >= max(_LEAST, _HALF * self._limit) and self._limit:
                self._short.sign(batch.now_ns)
                self._peak = max(self._peak, self._orphans)
        for reset in batch.resets:
            if reset.cause.name == "too-many-orphans" and reset.facts.direction == "sent":
                self._take(reset)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for the host: the limit is everybody's."""
        short = self._short
        if not short.last_ns:
            return
        severity: Severity = "warning" if short.count else "notice"
        what = short.cost()
        yield Draft(
            key="host",
            subject=short.subject,
            since_ns=short.first_ns,
            last_ns=short.last_ns,
            count=short.count or round(self._peak),
            confidence="certain",
            severity=severity,
            sentence=f"Too many orphans: closed sockets with unsent data reach net.ipv4.tcp_max_orphans; {what}",
            evidence=tuple(self._evidence()),
            steps=(
                Step("ss -tanmo state fin-wait-1", "the orphans with what they hold; also last-ack and closing"),
                Step(
                    "sysctl net.ipv4.tcp_max_orphans net.ipv4.tcp_orphan_retries",
                    "the limit, and how long they are kept",
                ),
            ),
            resets=tuple(short.resets),
            claims=(Claims(causes=frozenset({"too-many-orphans"}), since_ns=short.first_ns),),
            stands=True,
        )

    def _take(self, reset: Reset) -> None:
        sample = reset.sample
        port = reset.port if reset.port is not None else sample.local_port
        self._short.take(reset, port)
        self._short.first_ns = min(self._short.first_ns, reset.time_ns)
        key = sample.netns_cookie, port
        if key in self._ports or len(self._ports) < NAMESPACES:
            self._ports[key] += reset.count

    def _evidence(self) -> Iterable[str]:
        if self._short.count:
            yield "kernel reason TCP_ABORT_ON_MEMORY, and TCP's memory was not exhausted"
        for (_, port), count in self._ports.most_common(3):
            yield f"{times(count, 'connection')} reset on :{port}"
        if self._limit:
            number = f"{self._peak or self._orphans:,.0f} orphans"
            yield f"{number} were counted; net.ipv4.tcp_max_orphans was {self._limit:,.0f} when it was read last"
            yield "an orphan whose peer is long silent counts twice or four times"
        yield from self._holders.evidence(lambda holder: holder.orphans)
