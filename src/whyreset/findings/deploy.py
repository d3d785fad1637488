"""deploy: a reload or a rolling restart, and the resets that it costs. Rules and cases stand in deploy.md."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, label, times
from whyreset.findings.cuts import Cut
from whyreset.findings.ports import CUT, Restart, ends_in_order, same
from whyreset.findings.services import OfServices, Services
from whyreset.model import Process, Step, Subject
from whyreset.words import clock, program, service, span

#: Programs whose restarts are remembered, and restarts of each.
PROGRAMS, RESTARTS = 256, 64
#: Reloads within that time of one another are one finding; over so long after the last.
QUIET_NS = 30 * SECOND_NS
#: An old process of a reload is done with what it was serving within that time after it cut connections.
DONE_NS = 60 * SECOND_NS
#: One connection that a process cut before it ended may be anything; so many are a sign.
BURST = 2
#: Instances of one program that were restarted within that time, each back so soon, are a rolling restart.
INSTANCES, ROLLING_NS, BACK_NS = 2, 300 * SECOND_NS, 10 * SECOND_NS
#: Instances that go within that time of one another on several ports are one process.
_AROUND_NS = 2 * SECOND_NS
#: Processes that ended in order lately; those of one reload end within that time of one another.
ENDED, ALIKE_NS = 256, 10 * SECOND_NS


class _Rolling(Struct, kw_only=True):
    """Restarts of one program, by the process that ended."""

    restarts: OrderedDict[tuple[int, int], list[Restart]] = field(default_factory=OrderedDict)

    def recent(self, now_ns: int) -> list[list[Restart]]:
        """Of different instances: one that restarts again and again is no rolling restart."""
        found: dict[tuple[int, int], list[Restart]] = {}
        for each in self.restarts.values():
            listener = each[0].after.listener
            if now_ns - each[0].again_ns <= ROLLING_NS:
                found[listener.netns_cookie, listener.port] = each
        return list(found.values())


class Deploy(OfServices):
    """Finds reloads and rolling restarts."""

    NAME = "deploy"

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._rolling: Table[tuple[str, str], _Rolling] = Table(PROGRAMS)
        self._ended: deque[Process] = deque(maxlen=ENDED)

    def see(self, batch: Batch) -> None:
        """Restarts, resets, and ends of processes."""
        self._services.see(batch)
        for restart in self._services.restarts:
            if restart.in_order and restart.again_ns - restart.ended_ns <= BACK_NS:
                self._restarted(restart)
        self._ended += (each for each in batch.ends if each.exit_code is not None and ends_in_order(each.exit_code))

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port that was reloaded, and for each program whose instances were restarted in turn."""
        by_port: dict[tuple[int, int], list[Cut]] = {}
        for key, cut in self._services.cuts.ended(now_ns):
            if _is_reload(cut):
                by_port.setdefault(key, []).append(cut)
        for key, cuts in by_port.items():
            cuts.sort(key=lambda cut: cut.ended_ns)
            late = [cut for cut in cuts if now_ns - cut.ended_ns <= QUIET_NS + DONE_NS]
            if late and now_ns - max(cut.ended_ns for cut in late) <= QUIET_NS:
                yield _reload(key, late, self._number(late))
        for program_key, rolling in self._rolling.items():
            recent = rolling.recent(now_ns)
            if len(recent) >= INSTANCES and now_ns - max(each[-1].again_ns for each in recent) <= QUIET_NS:
                yield _rolling(program_key, recent)

    def _number(self, cuts: list[Cut]) -> int:
        """How many processes of that service ended in order at that time, also those that had nothing to cut."""
        times_ns = [cut.process.ended_ns for cut in cuts if cut.process.ended_ns]
        alike = {
            (each.pid, each.start_ns)
            for each in self._ended
            if any(abs(each.ended_ns - time_ns) <= ALIKE_NS for time_ns in times_ns) and same(each, cuts[-1].process)
        }
        return max(len(cuts), len(alike))

    def _restarted(self, restart: Restart) -> None:
        process = restart.after.owner.process
        rolling = self._rolling.touch((program(process), process.exe), _Rolling)
        same = rolling.restarts.setdefault(restart.before.listener.owner, [])
        if len(same) < RESTARTS:
            same.append(restart)
        if len(rolling.restarts) > RESTARTS:
            rolling.restarts.popitem(last=False)


def _is_reload(cut: Cut) -> bool:
    if cut.exit_code is None or not ends_in_order(cut.exit_code) or cut.process.out_of_memory:
        return False
    return cut.is_older and cut.count >= BURST and cut.ended_ns - cut.last_ns <= DONE_NS


def _whose(process: Process) -> str:
    part_of = service(process)
    return f"{part_of} ({program(process)})" if part_of else program(process)


def _reload(key: tuple[int, int], cuts: list[Cut], number: int) -> Draft:
    count = sum(cut.count for cut in cuts)
    clients = len(set[str]().union(*(cut.clients for cut in cuts)))
    last, several = cuts[-1], number > 1
    kind = "Reload of" if several else "Worker replaced, as at a reload, of"
    first_ns, last_ns = min(cut.first_ns for cut in cuts), max(max(cut.ended_ns, cut.last_ns) for cut in cuts)
    return Draft(
        key=("reload", *key),
        subject=last.subject,
        since_ns=first_ns,
        last_ns=last_ns,
        count=count,
        # one alone may also have been recycled, or given up in order by who supervises it
        confidence="likely" if several else "suspected",
        severity="notice",
        sentence=(
            f"{kind} {_whose(last.process)}: {times(number, 'process', 'processes')} ended in order while "
            f":{key[1]} stayed open, and cut {times(count, 'connection')} of {times(clients, 'client')}"
        ),
        evidence=(
            *(
                f"{program(cut.process)}[{cut.process.pid}] cut {times(cut.count, 'connection')} and ended in order at "
                f"{clock(cut.ended_ns)}"
                for cut in cuts[-3:]
            ),
            f"others listen on :{key[1]} all the time: nobody is refused",
        ),
        steps=(Step(f"whyreset who {key[1]}", "who listens there, and the resets of late"),),
        resets=tuple(number for cut in cuts[-3:] for number in cut.resets[:1]),
        claims=tuple(
            Claims(
                causes=CUT,
                netns_cookie=key[0],
                ports=frozenset({key[1]}),
                owners=frozenset({label(cut.process)}),
                since_ns=cut.first_ns,
                until_ns=max(cut.ended_ns, cut.last_ns),
            )
            for cut in cuts[-32:]
        ),
    )


def _rolling(key: tuple[str, str], recent: list[list[Restart]]) -> Draft:
    restarts = [restart for each in recent for restart in each]
    last = max(restarts, key=lambda each: each.again_ns)
    first_ns = min(each.ended_ns for each in restarts)
    ports = sorted({each.after.listener.port for each in restarts})
    where = ", ".join(f":{port}" for port in ports[:8]) + (", ..." if len(ports) > 8 else "")
    longest = max(each.again_ns - each.ended_ns for each in restarts)
    listener, process = last.after.listener, last.after.owner.process
    return Draft(
        key=("rolling", *key),
        subject=Subject(
            netns=listener.netns,
            netns_cookie=listener.netns_cookie,
            netns_name=last.after.netns_name,
            port=listener.port,
            process=process,
        ),
        since_ns=first_ns,
        last_ns=last.again_ns,
        count=len(recent),
        confidence="likely",
        severity="notice",
        sentence=(
            f"Rolling restart of {program(process)}: {times(len(recent), 'instance')} on {where} ended in order and "
            f"listened again within {span(last.again_ns - first_ns)}, each after {span(longest)} at most"
        ),
        evidence=tuple(
            f"{_whose(one.after.owner.process)} on :{one.after.listener.port}: ended {clock(one.ended_ns)}, "
            f"back after {span(one.again_ns - one.ended_ns)}"
            for one, *_ in recent[-4:]
        ),
        steps=(Step(f"whyreset who {listener.port}", "who listens there, who did, and the resets of late"),),
        claims=tuple(
            Claims(
                causes=frozenset({"closed-port", *CUT}),
                netns_cookie=each.after.listener.netns_cookie,
                ports=frozenset({each.after.listener.port}),
                since_ns=each.ended_ns - _AROUND_NS,
                until_ns=each.again_ns + _AROUND_NS,
            )
            for each in restarts[-32:]
        ),
        stage=str(len(recent) > INSTANCES),
    )
