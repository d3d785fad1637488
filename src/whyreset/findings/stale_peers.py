"""stale-peers: peers go on with connections that this host no longer knows. Rules stand in stale_peers.md."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, called, times
from whyreset.findings.steps import inside
from whyreset.findings.tally import Tally
from whyreset.model import Confidence, Reset, Step
from whyreset.words import clock, describe_exit, span

#: Ports that are remembered, peers of each that are told apart, and idle times.
PORTS, PEERS, IDLE_TIMES = 256, 256, 64
#: So many connections before it is told.
FEW = 3
_MANY = 50
QUIET_NS = 300 * SECOND_NS
#: A beginning that long ago, of the host or of the service, has no part in it.
_RECENT_NS = 3600 * SECOND_NS
#: So many idle times, of which so many agree so well: then they have one in common. Below it is no time-out of a box.
_AGREEING, _SHARE, _WITHIN, _SHORTEST_NS = 5, 0.6, 0.1, 20 * SECOND_NS
_MS = 1_000_000

#: What became of the connections, by what the memory of closed connections says.
_WHAT = {
    "reset-lost": "this host had reset them, and the peers did not hear of it",
    "killed": "the process that had them is gone",
    "closed": "this side had closed them, and the peers go on",
    "timed-out": "they had timed out here, and the peers did not hear of it",
    "host-restarted": "this host started not long ago, and they are from before",
    "service-restarted": "the service started not long ago, and they are from before",
    "seen": "who reset them answered as a host does that does not know them",
    "never-known": "this host has not known them since watching began",
    "forgotten": "the other side gave them up for their silence, or a box on the way had forgotten them",
}
_WHY = {
    "reset-lost": "a firewall or NAT on the way had lost its state, or dropped that reset",
    "killed": "what a process has open is closed with it; a peer that only waits notices when it sends next",
    "closed": "the peers keep connections in a pool for longer than this side does",
    "timed-out": "the way to the peers was broken for a while",
    "never-known": "they were closed before that, or were another host's: a fail-over, a NAT or balancer that changed",
}


class _Stale(Tally, kw_only=True):
    peers: Counter[str] = field(default_factory=Counter)
    idle_ns: deque[int] = field(default_factory=lambda: deque(maxlen=IDLE_TIMES))
    said: str = ""


class StalePeers:
    """Finds connections that only one side knows."""

    NAME = "stale-peers"

    def __init__(self) -> None:
        self._stale: Table[tuple[int, int, str], _Stale] = Table(PORTS, weight=lambda stale: stale.count)
        self._began_ns = 0
        self._uptime_ns = 0
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Resets of connections that are not known any more, here or there."""
        self._began_ns = self._began_ns or batch.now_ns
        if batch.host is not None:
            self._home, self._uptime_ns = batch.host.netns, round(batch.host.uptime * 1e9)
        for reset in batch.resets:
            if kind := self._kind(reset, batch):
                self._take(reset, kind, batch)
        if self._stale:
            self._stale.drop(lambda stale: batch.now_ns - stale.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port and what became of its connections."""
        for key, stale in self._stale.items():
            if stale.count < FEW:
                continue
            kind = key[2]
            idle = in_common(list(stale.idle_ns))
            if kind == "forgotten" and not idle:
                continue  # peers abort for many reasons: only that all were silent as long speaks for this one
            proven = stale.certain == stale.count and kind not in ("never-known", "forgotten", "seen")
            confidence: Confidence = "certain" if proven else "likely"
            after = f", all about {idle // SECOND_NS} s after data last came or went" if idle else ""
            yield Draft(
                key=key,
                subject=stale.subject,
                since_ns=stale.first_ns,
                last_ns=stale.last_ns,
                count=stale.count,
                confidence=confidence,
                severity="warning" if stale.count >= _MANY else "notice",
                sentence=f"Stale connections: {_who(stale, kind)}; {_WHAT[kind]}{after}",
                evidence=tuple(_evidence(stale, kind, idle)),
                steps=tuple(self._steps(stale, idle)),
                resets=tuple(stale.resets),
                claims=() if kind == "forgotten" else (_claims(stale),),
                stands=kind == "forgotten",
                stage="idle" if idle else "",
            )

    def _kind(self, reset: Reset, batch: Batch) -> str:
        """What became of the connection; "" where that is none of ours."""
        facts, sample = reset.facts, reset.sample
        if facts.direction == "received":
            # not answered to data, which would have been sent just before: to a probe of ours, or to nothing
            idle = facts.state == "ESTABLISHED" and (sample.idle_ms or 0) * _MS >= _SHORTEST_NS
            return "forgotten" if idle and reset.twin is None and sample.bytes_in + sample.bytes_out else ""
        if reset.cause.name != "half-open" or facts.cookies_recent or facts.past_stack:
            return ""
        if facts.ended in ("abandoned", "reset-received"):
            return ""
        if facts.ended:
            if facts.exiting:
                return "killed"
            return {"reset-sent": "reset-lost", "half-closed": "closed", "silent": "timed-out"}.get(facts.ended, "")
        if "stray-segment" in reset.cause.candidates:
            return ""
        if facts.traits is not None:
            return "seen"  # in a capture there is no memory that says more
        if 0 < self._uptime_ns < _RECENT_NS:
            return "host-restarted"
        started_ns = (reset.owner.process.start_ns or 0) if reset.owner and reset.owner.alive else 0
        # of a service that began later, the connections of the one before would be remembered
        if started_ns and self._began_ns - _RECENT_NS < started_ns + batch.epoch_ns < self._began_ns:
            return "service-restarted"
        return "never-known"

    def _take(self, reset: Reset, kind: str, batch: Batch) -> None:
        sample = reset.sample
        port = reset.port if reset.port is not None else sample.local_port
        stale = self._stale.touch((sample.netns_cookie, port, kind), lambda: _Stale.of(reset, port))
        stale.add(reset)
        add_sources(stale.peers, reset, PEERS)
        if sample.idle_ms is not None:
            stale.idle_ns.append((sample.idle_ms + (sample.ended_ms or 0)) * _MS)
        stale.said = self._moment(reset, kind, batch) or stale.said

    def _moment(self, reset: Reset, kind: str, batch: Batch) -> str:
        """When what explains it happened."""
        if kind == "host-restarted":
            return f"this host started at {clock(batch.now_ns - self._uptime_ns)}"
        process = reset.owner.process if reset.owner else None
        if kind == "service-restarted" and process:
            return f"{called(process)} started at {clock(process.start_ns + batch.epoch_ns)}"
        if kind == "killed" and process:
            return f"{called(process)} {describe_exit(process)}".strip() if process.exit_code is not None else ""
        if kind == "never-known":
            return f"watching began at {clock(self._began_ns)}"
        return ""

    def _steps(self, stale: _Stale, idle: int) -> Iterable[Step]:
        steps = [Step(f"ss -tno 'sport = :{stale.subject.port}'", "which connections are known here, with timers")]
        if idle:
            sooner = f"sysctl -w net.ipv4.tcp_keepalive_time={max(idle // SECOND_NS // 2, 1)}"
            steps.append(
                Step(sooner, "of programs that set SO_KEEPALIVE: probes before that time-out keep the way open")
            )
        return inside(stale.subject, self._home, *steps)


def in_common(times_ns: list[int]) -> int:
    """The time that most of these agree on within a tenth; 0 where there is none, or it is too short."""
    if len(times_ns) < _AGREEING:
        return 0
    ordered = sorted(times_ns)
    middle = ordered[len(ordered) // 2]
    agreeing = sum(abs(each - middle) <= _WITHIN * middle for each in ordered)
    return middle if middle >= _SHORTEST_NS and agreeing >= _SHARE * len(ordered) else 0


def _who(stale: _Stale, kind: str) -> str:
    whose = f" of {called(stale.subject.process)}" if stale.subject.process else ""
    number = f"{times(stale.count, 'connection')}{whose} on :{stale.subject.port}"
    peers = times(len(stale.peers), "peer")
    return f"{peers} reset {number}" if kind == "forgotten" else f"{peers} went on with {number}"


def _evidence(stale: _Stale, kind: str, idle: int) -> Iterable[str]:
    if stale.said:
        yield stale.said
    if kind in _WHY:
        yield _WHY[kind]
    if idle:
        yield (
            f"most of {len(stale.idle_ns)} were silent for about {idle // SECOND_NS} s, within a tenth: a time-out of a"
            " NAT, firewall or balancer on the way, or of a pool"
        )
    elif stale.idle_ns:
        shortest, longest = span(min(stale.idle_ns)), span(max(stale.idle_ns))
        yield f"silent before for {shortest}" + (f" to {longest}" if longest != shortest else "")
    top = ", ".join(f"{remote} ({count})" for remote, count in stale.peers.most_common(3))
    if top:
        yield f"from {top}"


def _claims(stale: _Stale) -> Claims:
    return Claims(
        causes=frozenset({"half-open"}),
        netns_cookie=stale.subject.netns_cookie,
        ports=frozenset({stale.subject.port or 0}),
        remotes=frozenset(stale.peers) if len(stale.peers) < PEERS else frozenset(),
        since_ns=stale.first_ns,
    )
