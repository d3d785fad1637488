"""health-check: a balancer or a monitor opens and resets connections, as regularly as a clock. See health_check.md."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct, field

from whyreset.findings.base import (
    SECOND_NS,
    Batch,
    Claims,
    Draft,
    Table,
    called,
    label,
    source,
    subject_in,
    subject_of,
    times,
)
from whyreset.model import Count, Process, Reset, Step, Subject
from whyreset.words import span

#: So many in the same distances make it regular; they may differ by a fifth, or by BY_CLOCK_NS where seconds count.
EVENTS, DIFFER, BY_CLOCK_NS = 6, 0.2, 1_050_000_000
#: So many checks in a row may leave no reset; then the others are on the beat as strictly as that.
LEFT_OUT, STRICT = 7, 0.06
SHORTEST_NS, LONGEST_NS = SECOND_NS // 2, 120 * SECOND_NS
#: What is so near to the last one is the same check.
SAME_NS = 100_000_000
#: Checks are small.
MOST_BYTES = 1 << 16
#: Series that are told apart.
SERIES = 512
#: Half-open handshakes in a second that checks may leave; more are something else.
MOST_HALF_OPEN = 50
#: No half-open probes are called checks so soon after a remote tried closed ports.
PROBED_NS = 120 * SECOND_NS
#: Of what a connection was left in; a connection that was refused is no check that succeeded.
_ESTABLISHED = frozenset({"ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1", "FIN_WAIT2", "LAST_ACK", "CLOSING", "CLOSE"})

_Key = tuple[int, str, int, str, str]


class _Series(Struct, kw_only=True):
    subject: Subject
    first_ns: int
    last_ns: int
    cause: str = ""
    count: int = 0
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=EVENTS))
    numbers: deque[int] = field(default_factory=lambda: deque(maxlen=EVENTS))
    resets: list[int] = field(default_factory=list)


class HealthCheck:
    """Finds checks."""

    NAME = "health-check"

    def __init__(self) -> None:
        self._series: Table[_Key, _Series] = Table(SERIES, weight=lambda series: len(series.gaps))
        self._half_open: Table[int, _Series] = Table(SERIES)
        self._probed_ns: Table[int, list[int]] = Table(SERIES)

    def see(self, batch: Batch) -> None:
        """Resets one by one, and half-open handshakes by the kernel's counter."""
        for reset in batch.resets:
            if reset.port is not None and reset.count <= 2 and _may_be_check(reset):
                self._note(reset)
        for contact in batch.contacts:
            self._probed_ns.touch(contact.netns_cookie, lambda: [0])[0] = batch.now_ns
        for count in batch.counts:
            if number := count.moved.get("EmbryonicRsts", 0):
                self._note_half_open(count, number)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each remote and port, and one for each namespace with regular half-open handshakes."""
        for key, series in self._series.items():
            if beat := _beat(series.gaps):
                yield _draft(key, series, beat, now_ns)
        for cookie, series in self._half_open.items():
            probed = self._probed_ns.get(cookie)
            quiet = probed is None or series.last_ns - probed[0] > PROBED_NS
            if quiet and _beat(series.gaps, BY_CLOCK_NS) and max(series.numbers) <= 2 * min(series.numbers):
                yield _half_open_draft(cookie, series, now_ns)

    def _note(self, reset: Reset) -> None:
        sample = reset.sample
        process: Process | None = reset.owner.process if reset.owner else None
        port = reset.port or 0
        remote = source(sample.remote)
        key = sample.netns_cookie, reset.facts.direction, port, remote, label(process)
        series = self._series.touch(
            key,
            lambda: _Series(
                subject=subject_of(reset, port=port, process=process, remote=remote),
                first_ns=reset.time_ns,
                last_ns=0,
            ),
        )
        series.count += reset.count
        series.cause = reset.cause.name
        _step(series, reset.time_ns, reset.count)
        if len(series.resets) < 3:
            series.resets.append(reset.number)

    def _note_half_open(self, count: Count, number: int) -> None:
        series = self._half_open.touch(
            count.netns_cookie,
            lambda: _Series(
                subject=subject_in(count),
                first_ns=count.time_ns,
                last_ns=0,
            ),
        )
        if number > MOST_HALF_OPEN:
            series.gaps.clear()
            series.last_ns = 0
            return
        series.count += number
        _step(series, count.time_ns, number)


def _may_be_check(reset: Reset) -> bool:
    """Whoever opened the connection has reset it, on purpose, and hardly anything was said."""
    facts, sample = reset.facts, reset.sample
    if sample.bytes_in + sample.bytes_out > MOST_BYTES:
        return False
    if facts.direction == "received":
        return not facts.active_open and facts.state in _ESTABLISHED
    return facts.direction == "sent" and facts.active_open and reset.cause.name in ("linger-zero", "disconnect")


def _step(series: _Series, time_ns: int, number: int) -> None:
    gap_ns = time_ns - series.last_ns
    if series.last_ns and gap_ns < SAME_NS:
        return
    if series.last_ns:
        series.gaps.append(gap_ns)
    series.numbers.append(number)
    series.last_ns = time_ns


def _beat(gaps: Sequence[int], more_ns: int = 0) -> int:
    """What lies between two checks; 0 where they are not regular.

    Of some checks the answer comes in time for an orderly close, so that one or more are left out in between.

    Args:
        gaps: the distances, in nanoseconds.
        more_ns: by so much they may differ in any case.
    """
    if len(gaps) < EVENTS - 1:
        return 0
    usual = round(median(gaps))
    if not all(abs(gap - usual) <= max(DIFFER * usual, more_ns) for gap in gaps):
        usual = min(gaps)
        beats = [gap / usual if usual else 0.0 for gap in gaps]
        if max(beats) > LEFT_OUT + 1 or any(abs(beat - round(beat)) > STRICT for beat in beats):
            return 0
    return usual if SHORTEST_NS <= usual <= LONGEST_NS else 0


def _is_over(series: _Series, now_ns: int) -> bool:
    return now_ns - series.last_ns > 2 * max(series.gaps) + 2 * median(series.gaps) + SECOND_NS


def _draft(key: _Key, series: _Series, beat_ns: int, now_ns: int) -> Draft:
    subject, every = series.subject, span(beat_ns)
    program = f" of {called(subject.process)}" if subject.process else ""
    if key[1] == "received":
        what = f"a connection to port {subject.port}{program}"
        sentence = f"Health checks: {subject.remote} opens and resets {what} every {every}"
    else:
        who = called(subject.process) if subject.process else "a program here"
        what = f"a connection to {subject.remote} port {subject.port}"
        sentence = f"Health checks: {who} opens and resets {what} every {every}"
    return Draft(
        key=key,
        subject=subject,
        since_ns=series.first_ns,
        last_ns=series.last_ns,
        count=series.count,
        confidence="likely",
        severity="harmless",
        sentence=sentence,
        evidence=(
            f"{times(series.count, 'reset')}, of one remote, the last {len(series.gaps) + 1} {every} apart"
            " or a multiple of that",
            "who opened the connection resets it, and hardly anything is said on it: balancers and monitors do so",
        ),
        resets=tuple(series.resets),
        claims=(
            Claims(
                causes=frozenset({series.cause}),
                direction=key[1],
                netns_cookie=key[0],
                ports=frozenset({subject.port}),
                remotes=frozenset({subject.remote}),
            ),
        ),
        over=_is_over(series, now_ns),
    )


def _half_open_draft(cookie: int, series: _Series, now_ns: int) -> Draft:
    every, number = span(int(median(series.gaps))), round(median(series.numbers))
    return Draft(
        key=(cookie, "half-open"),
        subject=series.subject,
        since_ns=series.first_ns,
        last_ns=series.last_ns,
        count=series.count,
        confidence="suspected",
        severity="harmless",
        sentence=f"Probably health checks: {times(number, 'handshake')} begun and reset half-open every {every}",
        evidence=(
            f"the kernel counted {times(series.count, 'half-open handshake')} reset (EmbryonicRsts), as regularly",
            "balancers that check TCP alone do so (haproxy, IPVS); whose they are, counters do not tell",
        ),
        steps=(
            Step(
                "tcpdump -nvi any -c 10 'tcp[tcpflags] & tcp-rst != 0'",
                "who they are: a balancer's reset has an ACK and timestamps, a scanner's neither",
            ),
        ),
        stands=True,
        over=_is_over(series, now_ns),
    )
