"""memory-pressure: TCP holds more memory than net.ipv4.tcp_mem allows. Rules stand in memory_pressure.md."""

from __future__ import annotations

from collections.abc import Iterable

from whyreset.findings.base import Batch, Claims, Draft, times
from whyreset.findings.memory import Holders, Shortage, mebibytes
from whyreset.model import Host, Step


class MemoryPressure:
    """Finds that TCP's memory is short."""

    NAME = "memory-pressure"

    def __init__(self) -> None:
        self._holders = Holders()
        self._short = Shortage()
        self._entered = 0
        self._most_kib = 0.0
        self._host = Host()

    def see(self, batch: Batch) -> None:
        """Gauges, counters, resets and looks."""
        if self._short.is_over(batch.now_ns):
            self._short, self._entered, self._most_kib = Shortage(), 0, 0.0
        self._holders.see(batch)
        if batch.host is not None:
            self._gauges(batch.host, batch.now_ns)
        for count in batch.counts:
            if entered := count.moved.get("TCPMemoryPressures", 0):
                self._entered += entered
                self._short.sign(batch.now_ns)
        for reset in batch.resets:
            if reset.cause.name == "out-of-memory" and reset.facts.direction == "sent":
                self._short.take(reset, reset.port)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for the host: its memory is everybody's."""
        short = self._short
        if not short.last_ns:
            return
        limits = self._host.limits
        now, high = self._host.gauges.get("mem", 0.0), limits.get("tcp_mem_high", 0.0)
        exhausted = bool(short.count) or (0 < high <= self._most_kib)
        how = "is exhausted" if exhausted else "is short"
        yield Draft(
            key="host",
            subject=short.subject,
            since_ns=short.first_ns,
            last_ns=short.last_ns,
            count=short.count or max(self._entered, 1),
            # the kernel has one reason for this and for too many orphans
            confidence="likely" if short.count and not self._most_kib else "certain",
            severity="critical" if exhausted else "warning",
            sentence=f"Memory pressure: TCP's memory {how} (net.ipv4.tcp_mem); {short.cost()}",
            evidence=tuple(self._evidence(now)),
            steps=(
                Step("ss -tnmo", "what each connection's queues hold: r and w in skmem, Recv-Q and Send-Q"),
                Step(
                    "sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem", "limits in pages, and of each socket"
                ),
            ),
            resets=tuple(short.resets),
            claims=(Claims(causes=frozenset({"out-of-memory"}), since_ns=short.first_ns),),
            stands=True,
            stage=f"{how} {bool(len(self._holders))}",
        )

    def _gauges(self, host: Host, now_ns: int) -> None:
        self._host = host
        memory, pressure = host.gauges.get("mem", 0.0), host.limits.get("tcp_mem_pressure", 0.0)
        if 0 < pressure < memory:
            self._short.sign(now_ns)
            self._most_kib = max(self._most_kib, memory)

    def _evidence(self, now_kib: float) -> Iterable[str]:
        limits = self._host.limits
        if "tcp_mem_high" in limits:
            pressure, high = limits.get("tcp_mem_pressure", 0.0), limits["tcp_mem_high"]
            most = f", {mebibytes(self._most_kib)} at the most" if self._most_kib > now_kib else ""
            yield (
                f"TCP holds {mebibytes(now_kib)} now{most}; pressure begins at {mebibytes(pressure)},"
                f" the limit is {mebibytes(high)}"
            )
        if self._entered:
            yield f"counter TCPMemoryPressures: pressure began {times(self._entered, 'time')}"
        if self._short.count:
            yield "kernel reason TCP_ABORT_ON_MEMORY while TCP's memory was exhausted"
        yield from self._holders.evidence(lambda holder: holder.memory_bytes)
