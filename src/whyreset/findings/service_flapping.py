"""service-flapping: a service ends and is started in a loop. Rules and cases stand in service_flapping.md."""

from __future__ import annotations

import statistics
from collections import Counter, OrderedDict
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings import managers
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, called, label, times
from whyreset.findings.ports import CUT, Restart, ending
from whyreset.findings.services import OfServices, Services
from whyreset.model import Process, Reset, Step, Subject
from whyreset.words import clock, program, service, span

#: Services that are remembered, restarts, ports and clients of each.
SERVICES, RESTARTS, PORTS_EACH, CLIENTS = 512, 64, 32, 256
#: So many restarts within so long are a loop; more, where it ended in order each time.
LOOP, LOOP_IN_ORDER, LOOP_NS = 3, 5, 300 * SECOND_NS
#: Whoever listens for so long between two ends, half the time and more, is no loop.
SHORT_NS = 120 * SECOND_NS
#: It is over when it has listened for so long, and for so many times as long as before.
STEADY_NS, STEADY_TIMES = 60 * SECOND_NS, 4
#: It is over too when it was not started again for so long: then it is down.
GIVEN_UP_NS = 120 * SECOND_NS

_Key = tuple[int, str, str]


class _Flap(Struct, kw_only=True):
    subject: Subject
    #: By the process that ended, the latest last.
    restarts: OrderedDict[tuple[int, int], Restart] = field(default_factory=OrderedDict)
    process: Process
    ports: set[int] = field(default_factory=set)
    refused: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    resets: list[int] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)

    def recent(self, now_ns: int) -> list[Restart]:
        return [each for each in self.restarts.values() if now_ns - each.ended_ns <= LOOP_NS]


class ServiceFlapping(OfServices):
    """Finds services that restart in a loop."""

    NAME = "service-flapping"

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._flaps: Table[_Key, _Flap] = Table(SERVICES, weight=lambda flap: len(flap.restarts))

    def see(self, batch: Batch) -> None:
        """Restarts, and clients refused between them."""
        self._services.see(batch)
        for restart in self._services.restarts:
            self._restarted(restart)
        for reset in batch.resets:
            if reset.cause.name == "closed-port" and reset.facts.direction == "sent" and reset.owner is not None:
                self._refused(reset, reset.owner.process)
        self._flaps.drop(lambda flap: batch.now_ns - _last(flap).again_ns > LOOP_NS + GIVEN_UP_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each service that is in a loop."""
        for key, flap in self._flaps.items():
            recent = flap.recent(now_ns)
            lived = [each.before.listener.until_ns - each.before.listener.since_ns for each in recent]
            if not recent or not flap.refused or statistics.median(lived) > SHORT_NS:
                continue
            if len(recent) < (LOOP_IN_ORDER if all(each.in_order for each in recent) else LOOP):
                continue
            if not self._goes_on(flap, now_ns, statistics.median(lived)):
                continue
            yield _draft(key, flap, recent, round(statistics.median(lived)))

    def _goes_on(self, flap: _Flap, now_ns: int, lived_ns: float) -> bool:
        last = _last(flap)
        port = self._services.ports.get(last.after.listener.netns_cookie, last.after.listener.port)
        if port is None or last.after.listener.socket_cookie not in port.living:
            return now_ns - last.again_ns <= GIVEN_UP_NS
        return now_ns - last.again_ns <= max(STEADY_NS, STEADY_TIMES * lived_ns)

    def _restarted(self, restart: Restart) -> None:
        listener, process = restart.before.listener, self._services.ports.final(restart.before.owner.process)
        key = _key(listener.netns_cookie, process)
        subject = Subject(
            netns=listener.netns,
            netns_cookie=listener.netns_cookie,
            netns_name=restart.after.netns_name,
            port=listener.port,
            process=process,
        )
        flap = self._flaps.touch(key, lambda: _Flap(subject=subject, process=process))
        flap.restarts.setdefault(listener.owner, restart)
        if len(flap.restarts) > RESTARTS:
            flap.restarts.popitem(last=False)
        flap.process = process
        flap.labels |= {label(process), label(restart.after.owner.process)}
        if len(flap.labels) > 2 * RESTARTS:
            flap.labels = {label(process), label(restart.after.owner.process)}
        if len(flap.ports) < PORTS_EACH:
            flap.ports.add(listener.port)

    def _refused(self, reset: Reset, process: Process) -> None:
        flap = self._flaps.get(_key(reset.sample.netns_cookie, process))
        if flap is None or reset.port not in flap.ports:
            return
        flap.refused += reset.count
        add_sources(flap.clients, reset, CLIENTS)
        if len(flap.resets) < 3:
            flap.resets.append(reset.number)


def _key(netns_cookie: int, process: Process) -> _Key:
    return netns_cookie, service(process), program(process)


def _last(flap: _Flap) -> Restart:
    return next(reversed(flap.restarts.values()))


def _draft(key: _Key, flap: _Flap, recent: list[Restart], lived_ns: int) -> Draft:
    process, last = flap.process, recent[-1]
    hows = Counter(_how(each) for each in recent)
    how, number = hows.most_common(1)[0]
    where = ", ".join(f":{port}" for port in sorted(flap.ports))
    within = last.again_ns - recent[0].ended_ns
    mostly = how if number == len(recent) else f"mostly {how}"
    since_ns = recent[0].ended_ns
    steps = managers.ask(process, since_ns)
    in_order = all(each.in_order for each in recent)
    return Draft(
        key=key,
        subject=flap.subject,
        since_ns=since_ns,
        last_ns=last.again_ns,
        count=len(recent),
        confidence="likely" if in_order else "certain",
        severity="warning" if in_order else "critical",
        sentence=(
            f"Service flapping: {called(process)} ended and was started again {times(len(recent), 'time')} within "
            f"{span(within)} on {where}, {mostly}; {times(flap.refused, 'connection')} of "
            f"{times(len(flap.clients), 'client')} refused meanwhile"
        ),
        evidence=(
            f"{times(len(recent), 'restart')} since {clock(since_ns)}; it listened for {span(lived_ns)} each time",
            *(f"{times(count, 'time')} {words}" for words, count in hows.most_common(3)),
            f"last end at {clock(last.ended_ns)}, listening again at {clock(last.again_ns)}",
        ),
        steps=(*steps, Step(f"whyreset who {flap.subject.port}", "who listened there, and how each ended")),
        resets=tuple(flap.resets),
        claims=(
            Claims(
                causes=frozenset({"closed-port", *CUT}),
                netns_cookie=key[0],
                ports=frozenset(flap.ports),
                since_ns=min(each.ended_ns for each in flap.restarts.values()),
            ),
        ),
        stage=f"{in_order}",
    )


def _how(restart: Restart) -> str:
    listener, process = restart.before.listener, restart.before.owner.process
    code = listener.exit_code if listener.exit_code is not None else process.exit_code
    out_of_memory = listener.out_of_memory or process.out_of_memory
    return ending(code, out_of_memory=out_of_memory) or "closed its socket"
