"""memory-pressure: TCP holds more memory than net.ipv4.tcp_mem allows. Rules stand in memory_pressure.md."""

from __future__ import annotations

from collections.abc import Iterable

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, subject_of, times
from whyreset.findings.memory import Holders, mebibytes
from whyreset.model import Host, Reset, Step, Subject

QUIET_NS = 60 * SECOND_NS


class MemoryPressure:
    """Finds that TCP's memory is short."""

    NAME = "memory-pressure"

    def __init__(self) -> None:
        self._holders = Holders()
        self._subject = Subject()
        self._first_ns = self._last_ns = 0
        self._resets = 0
        self._entered = 0
        self._numbers: list[int] = []
        self._most_kib = 0.0
        self._host = Host()

    def see(self, batch: Batch) -> None:
        """Gauges, counters, resets and looks."""
        if self._last_ns and batch.now_ns - self._last_ns > QUIET_NS:
            self._first_ns = self._last_ns = self._resets = self._entered = 0
            self._most_kib, self._numbers, self._subject = 0.0, [], Subject()
        self._holders.see(batch)
        if batch.host is not None:
            self._gauges(batch.host, batch.now_ns)
        for count in batch.counts:
            if entered := count.moved.get("TCPMemoryPressures", 0):
                self._entered += entered
                self._sign(batch.now_ns)
        for reset in batch.resets:
            if reset.cause.name == "out-of-memory" and reset.facts.direction == "sent":
                self._take(reset)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for the host: its memory is everybody's."""
        if not self._last_ns:
            return
        limits = self._host.limits
        now, high = self._host.gauges.get("mem", 0.0), limits.get("tcp_mem_high", 0.0)
        exhausted = bool(self._resets) or (0 < high <= self._most_kib)
        what = f"{times(self._resets, 'connection')} reset for it" if self._resets else "no connection reset for it yet"
        how = "is exhausted" if exhausted else "is short"
        yield Draft(
            key="host",
            subject=self._subject if self._resets else Subject(netns=self._host.netns),
            since_ns=self._first_ns,
            last_ns=self._last_ns,
            count=self._resets or max(self._entered, 1),
            # the kernel has one reason for this and for too many orphans
            confidence="likely" if self._resets and not self._most_kib else "certain",
            severity="critical" if exhausted else "warning",
            sentence=f"Memory pressure: TCP's memory {how} (net.ipv4.tcp_mem); {what}",
            evidence=tuple(self._evidence(now)),
            steps=(
                Step("ss -tnmo", "what each connection's queues hold: r and w in skmem, Recv-Q and Send-Q"),
                Step(
                    "sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem", "limits in pages, and of each socket"
                ),
            ),
            resets=tuple(self._numbers),
            claims=(Claims(causes=frozenset({"out-of-memory"}), since_ns=self._first_ns),),
            stands=True,
            stage=how,
        )

    def _gauges(self, host: Host, now_ns: int) -> None:
        self._host = host
        memory, pressure = host.gauges.get("mem", 0.0), host.limits.get("tcp_mem_pressure", 0.0)
        if 0 < pressure < memory:
            self._sign(now_ns)
            self._most_kib = max(self._most_kib, memory)

    def _sign(self, now_ns: int) -> None:
        self._first_ns = self._first_ns or now_ns
        self._last_ns = max(self._last_ns, now_ns)

    def _take(self, reset: Reset) -> None:
        self._sign(reset.last_ns)
        self._resets += reset.count
        if len(self._numbers) < 3:
            self._numbers.append(reset.number)
        self._subject = subject_of(reset, port=reset.port, process=reset.owner.process if reset.owner else None)

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
        if self._resets:
            yield "kernel reason TCP_ABORT_ON_MEMORY while TCP's memory was exhausted"
        yield from self._holders.evidence(lambda holder: holder.memory_bytes)
