"""abort-habit: one program aborts connections as a habit. Rules and cases stand in abort_habit.md."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, called, label, subject_of, times
from whyreset.model import Process, Reset, Severity, Step, Subject
from whyreset.words import amount, clock, duration, percent, program, service

#: Programs by port that are remembered, their labels, samples of their connections, and namespaces.
PROGRAMS, LABELS, SAMPLES, NAMESPACES = 512, 64, 128, 512
#: Time is counted in parts, of which so many are looked at.
PART_NS, PARTS = 10 * SECOND_NS, 6
#: A habit: so many within those parts, in so many of them, of what clients opened or of what it opened itself (clients
#: often leave early); with so large a part of all aborts of its namespace, and of the connections opened there.
OF_CLIENTS, OF_ITS_OWN, IN_PARTS = 20, 60, 3
MOST, OPENED, OPENED_ITSELF = 0.3, 0.01, 0.2
#: What began so soon after the first look may have gone on before.
AT_START_NS = 60 * SECOND_NS
#: Over when there were too few for so long.
QUIET_NS = 120 * SECOND_NS

_ON_PURPOSE = frozenset({"linger-zero", "disconnect"})
_CAUSES = frozenset({"unread-data", "data-after-close", *_ON_PURPOSE})
#: States in which the peer had closed its side: nobody lost anything.
_HARMLESS = frozenset({"CLOSE_WAIT", "LAST_ACK", "CLOSING"})

_Key = tuple[int, str, str, int | None, bool]


class _Sample(Struct, frozen=True):
    age_ms: int
    idle_ms: int | None
    unread: int


class _Habit(Struct, kw_only=True):
    subject: Subject
    process: Process
    active: bool
    first_ns: int
    last_ns: int = 0
    #: When it was a habit last; 0 for never.
    told_ns: int = 0
    #: How many there were then within the last minute, and their share of the connections opened.
    lately: int = 0
    share: float | None = None
    #: By part of time.
    parts: Counter[int] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    harmless: int = 0
    samples: deque[_Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    labels: set[str] = field(default_factory=set)
    resets: list[int] = field(default_factory=list)


class _Namespace(Struct, kw_only=True):
    """What all programs of a namespace did, by part of time."""

    aborts: Counter[int] = field(default_factory=Counter)
    accepted: Counter[int] = field(default_factory=Counter)
    opened: Counter[int] = field(default_factory=Counter)


class AbortHabit:
    """Finds programs that abort connections as a habit."""

    NAME = "abort-habit"

    def __init__(self) -> None:
        self._habits: Table[_Key, _Habit] = Table(PROGRAMS, weight=lambda habit: habit.causes.total())
        self._namespaces: Table[int, _Namespace] = Table(NAMESPACES)
        self._began_ns = 0

    def see(self, batch: Batch) -> None:
        """Aborts of processes that go on, and how many connections were opened."""
        self._began_ns = self._began_ns or batch.now_ns
        part = batch.now_ns // PART_NS
        for reset in batch.resets:
            facts = reset.facts
            if facts.direction == "sent" and not facts.exiting and reset.cause.name in _CAUSES:
                process = reset.owner.process if reset.owner else reset.closer
                self._namespace(reset.sample.netns_cookie).aborts[part] += reset.count
                if process is not None and process.exit_code is None:
                    self._aborted(reset, process, part)
        for count in batch.counts:
            opened = self._namespace(count.netns_cookie)
            opened.accepted[part] += count.moved.get("PassiveOpens", 0)
            opened.opened[part] += count.moved.get("ActiveOpens", 0)
            for counter in (opened.aborts, opened.accepted, opened.opened):
                _forget(counter, part)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each program with a habit, be it towards its clients, its upstreams or both."""
        part = now_ns // PART_NS
        by_program: dict[tuple[int, str, str], list[_Habit]] = {}
        habits = self._habits.items()
        totals: Counter[tuple[int, str, str]] = Counter()
        for key, habit in habits:
            _forget(habit.parts, part)
            totals[key[:3]] += habit.parts.total()
        for key, habit in habits:
            if self._is_habit(key, habit, totals[key[:3]]):
                habit.told_ns, habit.lately, habit.share = now_ns, habit.parts.total(), self._share(key, habit)
            if habit.told_ns and now_ns - habit.told_ns <= QUIET_NS:
                by_program.setdefault(key[:3], []).append(habit)
        for whose, those in by_program.items():
            those.sort(key=lambda habit: -habit.causes.total())
            yield _draft(whose, those, self._began_ns)
        self._habits.drop(lambda habit: now_ns - habit.last_ns > QUIET_NS + PARTS * PART_NS)

    def _namespace(self, cookie: int) -> _Namespace:
        return self._namespaces.touch(cookie, _Namespace)

    def _aborted(self, reset: Reset, process: Process, part: int) -> None:
        sample = reset.sample
        subject = subject_of(reset, port=reset.port, process=process)
        active = reset.facts.active_open
        key = (sample.netns_cookie, service(process), program(process), reset.port, active)
        habit = self._habits.touch(
            key, lambda: _Habit(subject=subject, process=process, active=active, first_ns=reset.time_ns)
        )
        habit.process, habit.last_ns = process, reset.last_ns
        habit.parts[part] += reset.count
        habit.causes[reset.cause.name] += reset.count
        if (sample.state_before or sample.state) in _HARMLESS:
            habit.harmless += reset.count
        if sample.opened_ns:
            age_ms = max(0, sample.time_ns - sample.opened_ns) // 1_000_000
            habit.samples.append(_Sample(age_ms, sample.idle_ms, sample.unread))
        if len(habit.labels) < LABELS:
            habit.labels |= {label(process), label(reset.closer)} - {""}
        if len(habit.resets) < 3:
            habit.resets.append(reset.number)

    def _is_habit(self, key: _Key, habit: _Habit, of_program: int) -> bool:
        number = habit.parts.total()
        if number < (OF_ITS_OWN if habit.active else OF_CLIENTS):
            return False
        if sum(1 for count in habit.parts.values() if count) < IN_PARTS:
            return False
        if of_program < MOST * self._namespace(key[0]).aborts.total():
            return False
        share = self._share(key, habit)
        return share is None or share >= (OPENED_ITSELF if habit.active else OPENED)

    def _share(self, key: _Key, habit: _Habit) -> float | None:
        """Of the connections opened in its namespace in the same time; None where that was not counted."""
        around = self._namespace(key[0])
        opened = (around.opened if habit.active else around.accepted).total()
        return min(1.0, habit.parts.total() / opened) if opened else None


def _forget(counter: Counter[int], part: int) -> None:
    for old in [each for each in counter if each <= part - PARTS]:
        del counter[old]


def _draft(whose: tuple[int, str, str], habits: list[_Habit], began_ns: int) -> Draft:
    first, *others = habits
    total = sum(habit.causes.total() for habit in habits)
    part = ""
    if first.share is not None:
        part = f", {percent(round(1000 * first.share), 1000)} of the connections opened"
    lately = f"{times(first.lately, 'time')} within a minute{part}"
    on_purpose = all(_is_on_purpose(habit) for habit in habits)
    also = "".join(f"; {_where(habit)} too" for habit in others[:2])
    severity: Severity = "harmless" if on_purpose else "notice"
    return Draft(
        key=whose,
        subject=first.subject,
        since_ns=min(habit.first_ns for habit in habits),
        last_ns=max(habit.last_ns for habit in habits),
        count=total,
        confidence="certain" if on_purpose else "likely",
        severity=severity,
        sentence=(
            f"Abort habit: {called(first.process)} closes {_where(first)} {_how(first)}, by a reset: {lately}{also}"
        ),
        evidence=_evidence(first, began_ns),
        steps=_steps(first),
        resets=tuple(first.resets),
        claims=tuple(
            Claims(
                causes=_CAUSES | {"in-flight"},
                netns_cookie=whose[0],
                ports=frozenset({habit.subject.port} if habit.subject.port is not None else ()),
                owners=frozenset(habit.labels),
                exiting=False,
                since_ns=habit.first_ns,
            )
            for habit in habits
        ),
        stage=_how(first),
    )


def _where(habit: _Habit) -> str:
    port = habit.subject.port
    return f"its connections to port {port}" if habit.active else f"connections to :{port}"


def _is_on_purpose(habit: _Habit) -> bool:
    return 2 * sum(habit.causes[name] for name in _ON_PURPOSE) >= habit.causes.total()


def _how(habit: _Habit) -> str:
    if _is_on_purpose(habit):
        return "on purpose (SO_LINGER 0)"
    if 2 * habit.causes["unread-data"] >= habit.causes.total():
        return "with data unread"
    return "before its peer has sent everything"


def _evidence(habit: _Habit, began_ns: int) -> tuple[str, ...]:
    total = habit.causes.total()
    causes = ", ".join(f"{name} {count:,}" for name, count in habit.causes.most_common())
    steady = habit.first_ns - began_ns <= AT_START_NS
    since = "since watching began, or longer" if steady else f"new: since {clock(habit.first_ns)}"
    found = [f"{causes}; {since}"]
    if habit.samples:
        age = _middle([each.age_ms for each in habit.samples])
        idle = _middle([each.idle_ms for each in habit.samples if each.idle_ms is not None])
        unread = _middle([each.unread for each in habit.samples])
        words = f"its connections were typically {duration(age)} old, idle for {duration(idle)}"
        found.append(f"{words}, with {amount(unread or 0, 'byte')} unread")
    if habit.harmless:
        found.append(f"{habit.harmless:,} of {total:,} after the peer had closed its side: nobody lost anything")
    if _is_on_purpose(habit):
        found.append("SO_LINGER with 0 is set by a program that wants this: it is intended")
    return tuple(found)


def _middle(values: Sequence[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None


def _steps(habit: _Habit) -> tuple[Step, ...]:
    pid, on_purpose = habit.process.pid, _is_on_purpose(habit)
    why = "what it closes, and what it had not read" if not on_purpose else "where it sets SO_LINGER"
    calls = "trace=close,shutdown,recvfrom,read" if not on_purpose else "trace=setsockopt,close"
    steps = [Step(f"timeout 10 strace -f -e {calls} -p {pid}", why)]
    if habit.subject.port is not None:
        steps.append(Step(f"whyreset who {habit.subject.port}", "whose the port is, and the resets of late"))
    return tuple(steps)
