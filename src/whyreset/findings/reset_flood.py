"""reset-flood: a flood of segments makes this host send resets, or challenge ACKs. Rules and cases: reset_flood.md."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, subject_in, subject_of, times
from whyreset.findings.pace import Recent
from whyreset.model import Confidence, Count, Reset, Step, Subject

#: Resets a second from which on it is a flood, over WINDOW_NS.
RATE, WINDOW_NS = 100, 2 * SECOND_NS
#: SYNs for a closed port have to last so long; what stale peers send too has to go on for longer.
LASTS_NS, STALE_LASTS_NS = 800_000_000, 1_500_000_000
#: Fewer in one group are not looked at.
LEAST = 5
#: Streams that are told apart, and addresses of each that are looked at.
STREAMS, ADDRESSES = 128, 512
#: So many different sources with the same TTL and window are one sender.
ALIKE = 8
#: Sources that came about once each: so many for each segment, and so many at all.
SPREAD, SOURCES = 0.5, 50
#: Without a segment for so long it is over.
QUIET_NS = 10 * SECOND_NS

_KINDS = {
    "closed-port": "SYNs",
    "stray-segment": "ACKs",
    "half-open": "data segments",
    "bad-handshake-ack": "ACKs",
    "scan-probe": "segments with flags that no stack sends",
}
_CHALLENGES = ("TCPChallengeACK", "TCPACKSkippedChallenge")

_Key = tuple[int, str, int | None]


class _Stream(Struct, kw_only=True):
    subject: Subject
    cause: str
    #: Their segments had no TCP options.
    bare: bool
    first_ns: int
    last_ns: int = 0
    pace: Recent = field(default_factory=lambda: Recent(WINDOW_NS))
    spread: Recent = field(default_factory=lambda: Recent(WINDOW_NS))
    count: int = 0
    peak: int = 0
    flooding: bool = False
    #: Addresses of sources; those that nobody can have; TTLs and windows of segments from different ones.
    sources: set[str] = field(default_factory=set)
    impossible: set[str] = field(default_factory=set)
    looks: dict[str, tuple[int, int]] = field(default_factory=dict)
    most_sources: int = 0
    resets: list[int] = field(default_factory=list)


class _Challenges(Struct, kw_only=True):
    subject: Subject
    first_ns: int
    last_ns: int
    count: int
    seconds: int = 1
    peak: int = 0


class ResetFlood:
    """Finds floods."""

    NAME = "reset-flood"

    def __init__(self) -> None:
        self._streams: Table[_Key, _Stream] = Table(STREAMS, weight=lambda stream: stream.count)
        self._challenges: Table[int, _Challenges] = Table(STREAMS)

    def see(self, batch: Batch) -> None:
        """Resets in numbers, and challenge ACKs by the kernel's counters."""
        for reset in batch.resets:
            if reset.count >= LEAST and reset.cause.name in _KINDS and reset.facts.direction == "sent":
                self._note(reset)
        for count in batch.counts:
            self._note_challenges(count)
        if len(self._streams):
            self._streams.drop(lambda stream: batch.now_ns - stream.last_ns > 2 * QUIET_NS)
        if len(self._challenges):
            self._challenges.drop(lambda storm: batch.now_ns - storm.last_ns > 2 * QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each stream that is a flood, and for each namespace with a storm of challenge ACKs."""
        for key, stream in self._streams.items():
            confidence = _judge(stream)
            if stream.flooding and confidence is not None:
                yield _draft(key, stream, confidence, over=now_ns - stream.last_ns > QUIET_NS)
        for cookie, storm in self._challenges.items():
            if storm.seconds > 1:
                yield _storm_draft(cookie, storm, over=now_ns - storm.last_ns > QUIET_NS)

    def _note(self, reset: Reset) -> None:
        facts, sample = reset.facts, reset.sample
        if reset.cause.name == "half-open" and (facts.trigger_options or not facts.trigger_payload or facts.ended):
            return
        key = sample.netns_cookie, reset.cause.name, reset.port
        distinct = reset.remotes.distinct if reset.remotes else 1
        # ports that were not told apart: a scan's, and a flood's whose port is known if it goes on
        if reset.port is None and (distinct < SPREAD * reset.count or self._is_told_with_port(key, reset.time_ns)):
            return
        stream = self._streams.touch(
            key,
            lambda: _Stream(
                subject=subject_of(
                    reset,
                    port=reset.port,
                    address=sample.local,
                    process=reset.owner.process if reset.owner and reset.owner.alive else None,
                ),
                cause=reset.cause.name,
                bare=not facts.trigger_options,
                first_ns=reset.time_ns,
            ),
        )
        stream.last_ns = max(stream.last_ns, reset.last_ns)
        stream.pace.add(stream.last_ns, reset.count)
        stream.spread.add(stream.last_ns, distinct)
        stream.count += reset.count
        stream.bare = stream.bare and not facts.trigger_options
        stream.most_sources = max(stream.most_sources, distinct)
        for address, _ in reset.remotes.top if reset.remotes else ():
            if len(stream.sources) < ADDRESSES and address not in stream.sources:
                stream.sources.add(address)
                if _is_impossible(address):
                    stream.impossible.add(address)
        if sample.trigger is not None and len(stream.looks) < ADDRESSES:
            stream.looks[sample.remote] = sample.trigger.ttl, sample.trigger.window
        rate = stream.pace.total * SECOND_NS // WINDOW_NS
        stream.peak = max(stream.peak, rate)
        lasts_ns = LASTS_NS if stream.cause in ("closed-port", "scan-probe") else STALE_LASTS_NS
        if rate >= RATE and stream.pace.lasted_ns >= lasts_ns:
            stream.flooding = True
        if len(stream.resets) < 3:
            stream.resets.append(reset.number)

    def _is_told_with_port(self, crowd: _Key, now_ns: int) -> bool:
        """Whether a flood from spoofed sources goes on there whose port is known."""
        return any(
            stream.flooding and key[:2] == crowd[:2] and now_ns - stream.last_ns <= QUIET_NS and _is_spread(stream)
            for key, stream in self._streams.items()
        )

    def _note_challenges(self, count: Count) -> None:
        number = sum(count.moved.get(name, 0) for name in _CHALLENGES)
        if number < RATE:
            return
        known = self._challenges.get(count.netns_cookie)
        if known is None or count.time_ns - known.last_ns > QUIET_NS:
            self._challenges.pop(count.netns_cookie)
            storm = _Challenges(
                subject=subject_in(count), first_ns=count.time_ns, last_ns=count.time_ns, count=number, peak=number
            )
            self._challenges.touch(count.netns_cookie, lambda: storm)
            return
        known.last_ns = count.time_ns
        known.seconds += 1
        known.count += number
        known.peak = max(known.peak, number)


def _is_spread(stream: _Stream) -> bool:
    """Most sources came once or so."""
    return stream.most_sources >= SOURCES and stream.spread.total >= SPREAD * stream.pace.total


def _is_one_sender(stream: _Stream) -> bool:
    return len(stream.looks) >= ALIKE and len(set(stream.looks.values())) == 1


def _judge(stream: _Stream) -> Confidence | None:
    """How surely it is a flood and no crowd of clients; None where it may as well be that."""
    if _is_spread(stream):
        if stream.impossible and stream.bare:
            return "certain"
        return "likely" if stream.impossible or (stream.bare and _is_one_sender(stream)) else None
    # few sources: what programs make by hand, at one port; many ports are a scan
    return "likely" if stream.bare and stream.subject.port is not None and len(stream.sources) <= 16 else None


def _draft(key: _Key, stream: _Stream, confidence: Confidence, *, over: bool) -> Draft:
    subject, spread = stream.subject, _is_spread(stream)
    whom = _whom(stream, spread)
    port = f"port {subject.port}" if subject.port is not None else "ports that were not told apart"
    what = _KINDS[stream.cause]
    evidence = [f"up to {stream.peak:,} a second, {times(stream.count, 'reset')} in all; nearly all of {what}"]
    if spread:
        evidence.append(f"about as many sources as segments ({stream.most_sources:,} at once): nobody comes back")
    if subject.port is None:
        evidence.append("more ports were tried at once than are told apart in a tenth of a second")
    if stream.impossible:
        named = ", ".join(sorted(stream.impossible)[:3])
        evidence.append(f"sources that no host can have, such as {named}: they are spoofed")
    if stream.bare:
        evidence.append("no segment has TCP options, as stacks send them: they are made by a program")
    if _is_one_sender(stream):
        ttl, window = next(iter(stream.looks.values()))
        evidence.append(f"all have TTL {ttl} and window {window}: one sender behind {len(stream.looks)} addresses")
    elif not spread:
        evidence.append("no connection of these was completed: the addresses may be spoofed too")
    return Draft(
        key=key,
        subject=subject,
        since_ns=stream.first_ns,
        last_ns=stream.last_ns,
        count=stream.count,
        confidence=confidence,
        severity="warning",
        sentence=f"Flood of {what} to {port} of {subject.address or 'this host'}{whom}: each is answered with a reset",
        evidence=tuple(evidence),
        steps=_steps(stream),
        resets=tuple(stream.resets),
        claims=(
            Claims(
                causes=frozenset({stream.cause}),
                netns_cookie=key[0],
                ports=frozenset({key[2]}),
                remotes=frozenset() if spread else frozenset(stream.sources),
                since_ns=stream.first_ns,
                until_ns=stream.last_ns + SECOND_NS,
            ),
        ),
        stands=True,
        stage=f"{spread} {_is_one_sender(stream)}",
        over=over,
    )


def _whom(stream: _Stream, spread: bool) -> str:
    if spread:
        return " from spoofed sources"
    if len(stream.sources) == 1:
        return f" in the name of {next(iter(stream.sources))}"
    return f" in the name of {len(stream.sources)} addresses"


def _steps(stream: _Stream) -> tuple[Step, ...]:
    port = stream.subject.port
    dst = f" and dst port {port}" if port is not None else ""
    out = [
        Step(f"tcpdump -nevi any -c 20 'tcp{dst}'", "where they enter: link address and TTL; sources may be spoofed")
    ]
    if stream.cause == "closed-port" and port is not None:
        out.append(
            Step(f"iptables -I INPUT -p tcp --dport {port} -j DROP", "nobody listens there: silence instead of resets")
        )
    return tuple(out)


def _storm_draft(cookie: int, storm: _Challenges, *, over: bool) -> Draft:
    return Draft(
        key=(cookie, "challenges", None),
        subject=storm.subject,
        since_ns=storm.first_ns,
        last_ns=storm.last_ns,
        count=storm.count,
        confidence="likely",
        severity="warning",
        sentence=(
            f"Storm of challenge ACKs: {times(storm.count, 'segment')} that do not fit their connections, up to"
            f" {storm.peak:,} a second"
        ),
        evidence=(
            "the kernel counts them (TCPChallengeACK, TCPACKSkippedChallenge); not whose they are",
            "resets or SYNs guessed into connections look so (a blind attack, RFC 5961), and peers with stale state",
        ),
        steps=(
            Step(
                "tcpdump -nevi any -c 100 'tcp[tcpflags] & (tcp-rst|tcp-syn) != 0'",
                "which connections they are for, and where they enter",
            ),
            Step("nstat -az TcpExtTCPChallengeACK TcpExtTCPSYNChallenge", "whether it is SYNs that are guessed"),
        ),
        stands=True,
        over=over,
    )


def _is_impossible(address: str) -> bool:
    """Whether nobody sends from that address: reserved for ever, or said to be nobody's (RFC 6890)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return parsed.is_multicast or parsed.is_unspecified or (parsed.version == 4 and parsed.is_reserved)
