"""backscatter: answers to connections that this host never began. Rules and cases stand in backscatter.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, sources, subject_of, times
from whyreset.model import Reset, Step, Subject

#: So many SYN-ACKs are told, within QUIET_NS of one another.
LEAST = 5
QUIET_NS = 60 * SECOND_NS
#: Namespaces that are told apart, and sources of each.
NAMESPACES, SOURCES = 64, 512
_CAUSE = "unsolicited-syn-ack"
_SHOWN = 5


class _Scatter(Struct, kw_only=True):
    subject: Subject
    first_ns: int
    last_ns: int
    count: int = 0
    #: At once, where they were not told apart.
    most_sources: int = 0
    sources: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    #: Who holds raw or packet sockets, as sentences; the first that were seen.
    programs: tuple[str, ...] = ()
    resets: list[int] = field(default_factory=list)


class Backscatter:
    """Finds backscatter, and programs here that send SYNs past the TCP stack."""

    NAME = "backscatter"

    def __init__(self) -> None:
        self._known: Table[int, _Scatter] = Table(NAMESPACES, weight=lambda scatter: scatter.count)

    def see(self, batch: Batch) -> None:
        """SYN-ACKs that nobody asked for, and who could have asked past the stack."""
        for reset in batch.resets:
            if reset.cause.name == _CAUSE and reset.facts.direction == "sent":
                self._note(reset)
        for cookie, programs in batch.raw.items():
            scatter = self._known.get(cookie)
            if scatter is not None and programs:
                scatter.programs = programs
        if len(self._known):
            self._known.drop(lambda scatter: batch.now_ns - scatter.last_ns > 2 * QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each namespace."""
        for cookie, scatter in self._known.items():
            if scatter.count >= LEAST:
                yield _draft(cookie, scatter, over=now_ns - scatter.last_ns > QUIET_NS)

    def _note(self, reset: Reset) -> None:
        sample = reset.sample
        scatter = self._known.touch(
            sample.netns_cookie,
            lambda: _Scatter(
                subject=subject_of(reset),
                first_ns=reset.time_ns,
                last_ns=reset.time_ns,
            ),
        )
        if reset.time_ns - scatter.last_ns > QUIET_NS:
            self._known.pop(sample.netns_cookie)
            self._note(reset)
            return
        scatter.last_ns = max(scatter.last_ns, reset.last_ns)
        scatter.count += reset.count
        if reset.remotes is not None:
            scatter.most_sources = max(scatter.most_sources, reset.remotes.distinct)
        for remote, _ in sources(reset):
            if len(scatter.sources) < SOURCES:
                scatter.sources.add(remote)
        if sample.remote_port and len(scatter.ports) < SOURCES:
            scatter.ports.add(sample.remote_port)
        if len(scatter.resets) < 3:
            scatter.resets.append(reset.number)


def _draft(cookie: int, scatter: _Scatter, *, over: bool) -> Draft:
    number = max(len(scatter.sources), scatter.most_sources)
    least = "at least " if len(scatter.sources) >= SOURCES else ""
    of_whom = f"{times(scatter.count, 'SYN-ACK')} of {least}{times(number, 'host')}"
    raw = [each for each in scatter.programs if "raw socket" in each]
    here = bool(raw)
    if here:
        named = ", ".join(raw[:2])
        sentence = f"SYNs past the TCP stack: {of_whom} came for connections that it never began; here is a {named}"
    elif scatter.programs:
        named = ", ".join(scatter.programs[:2])
        sentence = f"{of_whom} came for connections that this host never began: backscatter, or of a {named}"
    else:
        sentence = f"Backscatter: {of_whom} came for connections that this host never began"
    shown = ", ".join(sorted(scatter.sources)[:_SHOWN])
    ports = ", ".join(map(str, sorted(scatter.ports)[:_SHOWN]))
    evidence = [f"from {shown}{' and more' if number > _SHOWN else ''}, of their ports {ports}"]
    if here:
        evidence.append(f"such sockets send what the stack does not know of: {'; '.join(scatter.programs[:4])}")
        evidence.append("scanners do so; the stack then resets what answers them")
    elif scatter.programs:
        evidence.append(f"packet sockets can send SYNs, though most only read: {'; '.join(scatter.programs[:4])}")
    else:
        evidence.append("no raw or packet socket here was seen that could have asked for them")
        evidence.append("somebody spoofs this host's address towards these hosts, or sends SYN-ACKs for no reason")
    return Draft(
        key=cookie,
        subject=scatter.subject,
        since_ns=scatter.first_ns,
        last_ns=scatter.last_ns,
        count=scatter.count,
        confidence="likely",
        severity="notice",
        sentence=sentence,
        evidence=tuple(evidence),
        steps=_steps(here=here),
        resets=tuple(scatter.resets),
        claims=(
            Claims(
                causes=frozenset({_CAUSE}),
                netns_cookie=cookie,
                since_ns=scatter.first_ns,
                until_ns=scatter.last_ns + SECOND_NS,
            ),
        ),
        stage="here" if here else "perhaps" if scatter.programs else "",
        over=over,
    )


def _steps(*, here: bool) -> tuple[Step, ...]:
    if here:
        return (Step("ss -wap; ss -0ap", "who holds raw and packet sockets now"),)
    return (
        Step("ss -wap; ss -0ap", "whether a program here holds raw or packet sockets"),
        Step(
            "tcpdump -nevi any -c 20 'tcp[tcpflags] = tcp-syn|tcp-ack'",
            "whose answers they are: tell those hosts that somebody uses this address",
        ),
    )
