"""limit-reached: a service accepts clients only to turn them away. Rules and cases stand in limit_reached.md."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import field

from whyreset.findings import managers
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, called, label, subject_of, times
from whyreset.findings.tally import Tally
from whyreset.model import Process, Reset, Step
from whyreset.words import clock, duration, span

#: Ports that are remembered, and clients of each.
PORTS, CLIENTS = 256, 256
#: So many turned away, within no less than that, are told; over when nobody was for so long.
TOLD, TOLD_NS, QUIET_NS = 10, SECOND_NS, 60 * SECOND_NS
#: Who is turned away, is so at once.
AT_ONCE_MS = 1000
#: So often were the service's connections counted, and they were as many each time, within so much.
LOOKS, STEADY = 3, 0.02
#: Fewer than that say nothing of a limit.
LEAST = 2
#: Of those whose end is known, so many got the very same answer.
ALIKE = 0.9

_CAUSES = frozenset({"unread-data", "data-after-close"})


class _Turned(Tally, kw_only=True):
    process: Process
    clients: Counter[str] = field(default_factory=Counter)
    #: Bytes that were sent to them before the end: an answer that is the same for all.
    answers: Counter[int] = field(default_factory=Counter)
    ages_ms: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    #: The service's connections each time that they were counted.
    counted: deque[int] = field(default_factory=lambda: deque(maxlen=8))


class LimitReached:
    """Finds services that are full."""

    NAME = "limit-reached"

    def __init__(self) -> None:
        self._turned: Table[tuple[int, int], _Turned] = Table(PORTS, weight=lambda turned: turned.count)

    def looks(self) -> Iterable[tuple[int, int]]:
        """Ports whose connections are to be counted, as namespace cookie and port."""
        return [key for key, turned in self._turned.items() if turned.count >= TOLD // 2]

    def see(self, batch: Batch) -> None:
        """Clients that were turned away, and how many connections there were then."""
        for reset in batch.resets:
            if _is_turned_away(reset):
                self._note(reset)
        for key, count in batch.established.items():
            if turned := self._turned.get(key):
                turned.counted.append(count)
        self._turned.drop(lambda turned: batch.now_ns - turned.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port that is full."""
        for key, turned in self._turned.items():
            if turned.count < TOLD or turned.last_ns - turned.first_ns < TOLD_NS or not _is_steady(turned.counted):
                continue
            size, same = turned.answers.most_common(1)[0]
            if size and same >= ALIKE * turned.answers.total():
                yield _draft(key, turned, size)

    def _note(self, reset: Reset) -> None:
        assert reset.owner is not None
        assert reset.port is not None
        sample = reset.sample
        process = reset.closer or reset.owner.process
        made = _Turned(
            subject=subject_of(reset, port=reset.port, process=process),
            process=process,
            first_ns=reset.time_ns,
            last_ns=reset.last_ns,
        )
        turned = self._turned.touch((sample.netns_cookie, reset.port), lambda: made)
        turned.process = process
        turned.add(reset)
        if sample.bytes_out in turned.answers or len(turned.answers) < CLIENTS:
            turned.answers[sample.bytes_out] += 1
        turned.ages_ms.append(_age_ms(reset))
        add_sources(turned.clients, reset, CLIENTS)


def _is_turned_away(reset: Reset) -> bool:
    """It was closed soon after it was opened, by a process that goes on, and nothing of what came was read."""
    facts, sample = reset.facts, reset.sample
    return (
        facts.direction == "sent"
        and not facts.active_open
        and not facts.exiting
        and reset.cause.name in _CAUSES
        and reset.owner is not None
        and reset.owner.process.exit_code is None
        and reset.port is not None
        and sample.opened_ns > 0
        and sample.bytes_in == sample.unread
        and _age_ms(reset) <= AT_ONCE_MS
    )


def _age_ms(reset: Reset) -> int:
    """Until it was reset; what was closed before that is older than it got."""
    return (reset.sample.time_ns - reset.sample.opened_ns) // 1_000_000


def _is_steady(counted: deque[int]) -> bool:
    """As many connections each time, though more want to come: there is no room for them."""
    if len(counted) < LOOKS:
        return False
    least, most = min(counted), max(counted)
    return least >= LEAST and most - least <= max(1, STEADY * most)


def _draft(key: tuple[int, int], turned: _Turned, answer_bytes: int) -> Draft:
    most = max(turned.counted)
    clients = times(len(turned.clients), "client")
    ages = sorted(turned.ages_ms)
    return Draft(
        key=key,
        subject=turned.subject,
        since_ns=turned.first_ns,
        last_ns=turned.last_ns,
        count=turned.count,
        confidence="likely",
        severity="warning",
        sentence=(
            f"Limit reached: {called(turned.process)} holds about {most:,} connections on :{key[1]} and turns others "
            f"away unread: {turned.count:,} of {clients} within {span(turned.last_ns - turned.first_ns)}"
        ),
        evidence=(
            f"its connections were counted {times(len(turned.counted), 'time')} since {clock(turned.first_ns)}: "
            f"{min(turned.counted):,} to {most:,}",
            f"those turned away were sent {answer_bytes} bytes each, like an error message; nothing of theirs was read",
            f"typically {duration(ages[len(ages) // 2])} old when it was reset",
        ),
        steps=(
            *managers.ask(turned.process, turned.first_ns)[-1:],
            Step(f"ss -tn state established 'sport = :{key[1]}'", "who holds the connections"),
            Step(f"grep 'open files' /proc/{turned.process.pid}/limits", "whether its limit comes from that of files"),
        ),
        resets=tuple(turned.resets),
        claims=(
            Claims(
                causes=_CAUSES | {"in-flight"},
                netns_cookie=key[0],
                ports=frozenset({key[1]}),
                owners=frozenset({label(turned.process)}),
                exiting=False,
                since_ns=turned.first_ns,
            ),
        ),
    )
