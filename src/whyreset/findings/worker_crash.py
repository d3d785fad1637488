"""worker-crash: processes of a service die while its port stays open. Rules and cases stand in worker_crash.md."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable

from whyreset.findings import managers
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, label, times
from whyreset.findings.cuts import Cut
from whyreset.findings.ports import CUT, ending, ends_in_order
from whyreset.findings.services import OfServices
from whyreset.model import Process, Severity, Step
from whyreset.words import clock, program, service

#: Over when none has died for so long.
QUIET_NS = 120 * SECOND_NS
#: A process that cut connections and died no later than this after died of the same.
NEAR_NS = 5 * SECOND_NS
#: So many that end with a status of their own within what is remembered are worth a look now.
MANY = 3
#: Signals that the kernel sends for what a program did itself.
_FAULTS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP)


class WorkerCrash(OfServices):
    """Finds services whose processes die."""

    NAME = "worker-crash"

    def see(self, batch: Batch) -> None:
        """Listeners, resets, and ends of processes."""
        self._services.see(batch)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port whose processes died lately."""
        by_port: dict[tuple[int, int], list[Cut]] = {}
        for key, cut in self._services.cuts.ended(now_ns):
            if _is_crash(cut):
                by_port.setdefault(key, []).append(cut)
        for key, cuts in by_port.items():
            cuts.sort(key=lambda cut: cut.ended_ns)
            if now_ns - max(cuts[-1].ended_ns, *(cut.last_ns for cut in cuts)) <= QUIET_NS:
                yield _draft(key, cuts)


def _is_crash(cut: Cut) -> bool:
    """It died of something, and its connections with it, or shortly before."""
    if cut.process.out_of_memory:
        return True
    if cut.exit_code is None or ends_in_order(cut.exit_code):
        return False
    return bool(cut.by_end) or cut.ended_ns - cut.last_ns <= NEAR_NS


def _draft(key: tuple[int, int], cuts: list[Cut]) -> Draft:
    last = cuts[-1]
    hows = Counter(_how(cut) for cut in cuts)
    how, number = hows.most_common(1)[0]
    count = sum(cut.count for cut in cuts)
    clients = len(set[str]().union(*(cut.clients for cut in cuts)))
    who = _whose(last.process)
    one = f"process {last.process.pid}" if len(cuts) == 1 else times(len(cuts), "process", "processes")
    mostly = how if number == len(cuts) else f"mostly {how}"
    since_ns = min(cut.ended_ns for cut in cuts)
    verb = _verb(cuts)
    steps = managers.ask(last.process, since_ns)
    if any(cut.process.out_of_memory for cut in cuts):
        steps = [*managers.memory(last.process, since_ns), *steps]
    if any(_is_fault(cut) for cut in cuts):
        steps.insert(0, Step(f"coredumpctl info {last.process.pid}", "where it died, if a core was kept"))
    return Draft(
        key=key,
        subject=last.subject,
        since_ns=since_ns,
        last_ns=max(last.ended_ns, *(cut.last_ns for cut in cuts)),
        count=len(cuts),
        confidence="certain" if all(cut.by_end for cut in cuts) else "likely",
        severity=_severity(cuts),
        sentence=(
            f"{verb}: {one} of {who} {mostly} while :{key[1]} stayed open; "
            f"{times(count, 'connection')} of {times(clients, 'client')} cut"
        ),
        evidence=(
            *(f"{times(number, 'process', 'processes')} {words}" for words, number in hows.most_common(3)),
            *(f"{clock(cut.ended_ns)} {program(cut.process)}[{cut.process.pid}]: {_how(cut)}" for cut in cuts[-3:]),
            f"others still listen on :{key[1]}: its clients are not refused",
        ),
        steps=(*steps, Step(f"whyreset who {key[1]}", "who listens there, and the resets of late")),
        resets=tuple(number for cut in cuts[-3:] for number in cut.resets[:1]),
        claims=tuple(
            Claims(
                causes=CUT,
                netns_cookie=key[0],
                ports=frozenset({key[1]}),
                owners=frozenset({label(cut.process)}),
                since_ns=cut.first_ns,
                until_ns=cut.last_ns,
            )
            for cut in cuts[-16:]
        ),
        stage=f"{len(cuts) >= MANY}",
    )


def _how(cut: Cut) -> str:
    return ending(cut.exit_code, out_of_memory=cut.process.out_of_memory)


def _whose(process: Process) -> str:
    part_of = service(process)
    return f"{part_of} ({program(process)})" if part_of else program(process)


def _is_fault(cut: Cut) -> bool:
    return cut.exit_code is not None and cut.exit_code & 0x7F in _FAULTS


def _verb(cuts: list[Cut]) -> str:
    """«Worker crashed» only for what no program wants; what ends with a status of its own ended."""
    if any(_is_fault(cut) for cut in cuts):
        return "Worker crashed" if len(cuts) == 1 else "Workers crash"
    if any((cut.exit_code or 0) & 0x7F for cut in cuts):
        return "Worker killed" if len(cuts) == 1 else "Workers are killed"
    return "Worker ended" if len(cuts) == 1 else "Workers end"


def _severity(cuts: list[Cut]) -> Severity:
    if len(cuts) >= MANY or any(_is_fault(cut) or cut.process.out_of_memory for cut in cuts):
        return "warning"
    return "notice"
