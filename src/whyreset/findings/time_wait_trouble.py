"""time-wait-trouble: segments meet connections in TIME-WAIT, often. Rules and cases stand in time_wait_trouble.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, called, times
from whyreset.findings.steps import inside
from whyreset.findings.tally import Tally
from whyreset.model import Reset, Severity, Step

PORTS, PEERS = 256, 64
QUIET_NS = 60 * SECOND_NS
#: So many before it is told: fewer are what busy hosts have without any trouble.
_FEW = {"time-wait-segment": 20, "time-wait-assassination": 100, "time-wait-reuse": 200}
_WHAT = {
    "time-wait-segment": "segments came for connections that had just been closed here, and were reset",
    "time-wait-assassination": "connections in TIME-WAIT on the other side were reset from here",
    "time-wait-reuse": "new connections met an earlier one of the same ports in TIME-WAIT, and had to try twice",
}
_WHY = {
    "time-wait-segment": "peers still send when this side has closed: their data is lost",
    "time-wait-assassination": "late segments made the other side acknowledge what this side does not know any more",
    "time-wait-reuse": "ports are used again within a minute: connections are opened faster than ports come free",
}


class _Trouble(Tally, kw_only=True):
    peers: Counter[str] = field(default_factory=Counter)


class TimeWaitTrouble:
    """Finds TIME-WAIT where it hurts."""

    NAME = "time-wait-trouble"

    def __init__(self) -> None:
        self._troubles: Table[tuple[int, int, str], _Trouble] = Table(PORTS, weight=lambda trouble: trouble.count)
        #: When connections to a port were refused: clients of a service that is down reuse their ports, too.
        self._refused: Table[tuple[int, int], list[int]] = Table(PORTS)
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Resets of that family."""
        self._home = batch.host.netns if batch.host else self._home
        for reset in batch.resets:
            if reset.cause.name in _FEW and reset.facts.direction == "sent":
                self._take(reset)
            elif reset.cause.name == "closed-port" and reset.facts.direction == "received" and reset.port is not None:
                self._refused.touch((reset.sample.netns_cookie, reset.port), list)[:] = [reset.last_ns]
        if self._troubles:
            self._troubles.drop(lambda trouble: batch.now_ns - trouble.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port and kind."""
        for key, trouble in self._troubles.items():
            cookie, port, name = key
            refused = self._refused.get((cookie, port))
            if trouble.count < _FEW[name] or (refused and now_ns - refused[0] < QUIET_NS):
                continue
            severity: Severity = "notice" if name == "time-wait-segment" else "harmless"
            whose = f"{called(trouble.subject.process)} on " if trouble.subject.process else ""
            yield Draft(
                key=key,
                subject=trouble.subject,
                since_ns=trouble.first_ns,
                last_ns=trouble.last_ns,
                count=trouble.count,
                confidence="certain" if trouble.certain == trouble.count else "likely",
                severity=severity,
                sentence=f"TIME-WAIT: {whose}:{port}: {_WHAT[name]}, {times(trouble.count, 'time')}",
                evidence=tuple(_evidence(trouble, name)),
                steps=tuple(self._steps(trouble, name)),
                resets=tuple(trouble.resets),
                claims=(
                    Claims(
                        causes=frozenset({name}),
                        netns_cookie=cookie,
                        ports=frozenset({port}),
                        since_ns=trouble.first_ns,
                    ),
                ),
            )

    def _take(self, reset: Reset) -> None:
        sample = reset.sample
        port = reset.port if reset.port is not None else sample.local_port
        if reset.cause.name == "time-wait-assassination":
            port = sample.remote_port or port  # the side without state is the client's
        key = sample.netns_cookie, port, reset.cause.name
        trouble = self._troubles.touch(key, lambda: _Trouble.of(reset, port))
        trouble.add(reset)
        add_sources(trouble.peers, reset, PEERS)

    def _steps(self, trouble: _Trouble, name: str) -> Iterable[Step]:
        port = trouble.subject.port
        many = f"ss -tan state time-wait '( sport = :{port} or dport = :{port} )' | wc -l"
        steps = [Step(many, "how many there are")]
        if name == "time-wait-reuse":
            steps.append(Step("sysctl net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse", "how many ports there are"))
        return inside(trouble.subject, self._home, *steps)


def _evidence(trouble: _Trouble, name: str) -> Iterable[str]:
    yield _WHY[name]
    if top := ", ".join(f"{remote} ({count})" for remote, count in trouble.peers.most_common(3)):
        yield f"mostly with {top}"
