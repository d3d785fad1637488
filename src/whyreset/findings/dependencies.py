"""What this host's own programs cannot reach: what the findings about dependencies have in common.

Rules. One try that fails is no finding, and neither is a program that takes the next address at once (RFC 8305). Who
tries again, or several processes that want the same, need it.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Table, called, times
from whyreset.findings.steps import inside, quoted
from whyreset.model import Process, Step, Subject
from whyreset.words import program, service, span

#: Without another try for so long it is over.
QUIET_NS = 120 * SECOND_NS
_SWEEP_NS = SECOND_NS
#: Destinations that are remembered, and processes of each.
DESTINATIONS, PROCESSES = 512, 32

Key = tuple[int, str, int]


class Dependency(Struct, kw_only=True):
    """A destination that could not be reached."""

    subject: Subject
    first_ns: int
    last_ns: int
    tries: int = 0
    #: Tries of each process, by pid and start, and those processes.
    processes: Counter[tuple[int, int]] = field(default_factory=Counter)
    known: dict[tuple[int, int], Process] = field(default_factory=dict)
    shortest_ns: int = 0
    longest_ns: int = 0
    resets: list[int] = field(default_factory=list)

    def tried(self, process: Process | None, count: int, first_ns: int, last_ns: int) -> None:
        """Somebody tried it so many times."""
        self.tries += count
        self.first_ns, self.last_ns = min(self.first_ns, first_ns), max(self.last_ns, last_ns)
        if process is None:
            return
        key = process.pid, process.start_ns
        if key in self.known or len(self.known) < PROCESSES:
            self.known[key] = process
            self.processes[key] += count

    def who(self) -> str:
        """Whose tries they were, the busiest program first."""
        programs: dict[str, Process] = {}
        for key, _ in self.processes.most_common():
            process = self.known[key]
            programs.setdefault(service(process) or program(process), process)
        if not programs:
            return "a program of this host"
        first, *others = programs.values()
        return f"{called(first)} and {times(len(others), 'other program')}" if others else called(first)

    def evidence(self) -> list[str]:
        """Who tried how often."""
        lines = [
            f"{called(self.known[key])} tried {times(count, 'time')}" for key, count in self.processes.most_common(3)
        ]
        if len(self.known) > 3:
            lines.append(f"{len(self.known) - 3} more processes tried")
        return lines

    def span(self) -> str:
        """Over what time."""
        return span(self.last_ns - self.first_ns)

    def place(self) -> str:
        """«192.0.2.9:5432»."""
        remote = self.subject.remote
        return f"[{remote}]:{self.subject.port}" if ":" in remote else f"{remote}:{self.subject.port}"

    def steps(self, home: int) -> list[Step]:
        """How to see it for oneself."""
        steps = inside(
            self.subject,
            home,
            Step(f"nc -vz -w 5 {quoted(self.subject.remote)} {self.subject.port}", "whether it answers now"),
            Step(f"ip route get {quoted(self.subject.remote)}", "the way there"),
        )
        if self.subject.process and self.subject.process.unit:
            unit = quoted(self.subject.process.unit)
            steps.append(Step(f"journalctl -u {unit} -n 50", "what the program says of it"))
        return steps


class Dependencies:
    """Remembers them."""

    def __init__(self) -> None:
        self._known: Table[Key, Dependency] = Table(DESTINATIONS, weight=lambda each: each.tries)
        self._swept_ns = 0

    def __len__(self) -> int:
        return len(self._known)

    def at(self, subject: Subject, now_ns: int) -> Dependency:
        """The one that a subject's remote and port are."""
        key = subject.netns_cookie, subject.remote, subject.port or 0
        return self._known.touch(key, lambda: Dependency(subject=subject, first_ns=now_ns, last_ns=now_ns))

    def forget(self, now_ns: int) -> None:
        """Those that nobody has tried for long."""
        if self._known and now_ns - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now_ns
            self._known.drop(lambda each: now_ns - each.last_ns > QUIET_NS)

    def items(self) -> list[tuple[Key, Dependency]]:
        """All."""
        return self._known.items()
