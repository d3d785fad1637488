"""Who listens on which port, who did before, and how that ended: what several finders need to know. Bounded.

Rules. A program ends in order when it was asked to (SIGTERM and its like, or the statuses that shells make of them),
when it exits with status 0, and when it closes its socket itself; all else is a crash. It is the same service when unit
or container are the same, else when the program is.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Table
from whyreset.model import Life, Process
from whyreset.words import describe_exit, program, service

#: Ports that are remembered, listeners of each (SO_REUSEPORT), former ones of each, and processes that ended.
PORTS, LIVING, FORMER, ENDS = 4096, 64, 16, 1024
#: A listener that comes later after another's end is no restart of it.
RESTART_NS = 600 * SECOND_NS
#: Causes of resets on connections that end with a service, then or when their peer writes next.
CUT = frozenset({"not-accepted", "half-open", "in-flight", "unread-data", "data-after-close", "linger-zero"})

_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_TICK_NS = 10_000_000


class Port(Struct, kw_only=True):
    """One port of a namespace."""

    living: dict[int, Life] = field(default_factory=dict)
    #: The latest last.
    former: deque[Life] = field(default_factory=lambda: deque(maxlen=FORMER))


class Restart(Struct, frozen=True, kw_only=True):
    """A service that ended and listens again: another process, on the same port and address."""

    before: Life
    after: Life
    #: Nanoseconds since the epoch.
    ended_ns: int
    again_ns: int
    in_order: bool


class Ports:
    """Remembers."""

    def __init__(self) -> None:
        self._ports: Table[tuple[int, int], Port] = Table(PORTS, weight=lambda port: len(port.living))
        self._ends: Table[tuple[int, int], Process] = Table(ENDS)

    def see(self, batch: Batch) -> list[Restart]:
        """Listeners and processes that began or ended; returns what was a restart."""
        restarts = []
        for process in batch.ends:
            self._ends.touch(_key(process), lambda process=process: process)  # type: ignore[misc]
        for life in batch.lives:
            listener = life.listener
            port = self._ports.touch((listener.netns_cookie, listener.port), Port)
            if listener.until_ns:
                port.living.pop(listener.socket_cookie, None)
                port.former.append(life)
            elif len(port.living) < LIVING or listener.socket_cookie in port.living:
                if restart := self._restart(port, life, batch.epoch_ns):
                    restarts.append(restart)
                port.living[listener.socket_cookie] = life
        return restarts

    def get(self, netns_cookie: int, port: int) -> Port | None:
        """What is known of a port; None where nobody has listened on it."""
        return self._ports.get((netns_cookie, port))

    def serving(self, netns_cookie: int, port: int, address: str = "", family: int = 0) -> Life | None:
        """Who listens there now; of several the eldest."""
        known = self.get(netns_cookie, port)
        found = [each for each in known.living.values() if each.listener.serves(address, family)] if known else []
        return min(found, key=lambda each: each.listener.since_ns, default=None)

    def elsewhere(self, process: Process, port: int) -> Iterator[Life]:
        """The same service's listeners on that port, on other addresses and in other namespaces."""
        for (_, number), known in self._ports.items():
            if number == port:
                yield from (each for each in known.living.values() if same(each.owner.process, process))

    def final(self, process: Process) -> Process:
        """The process with its end, where that has been told since."""
        return self._ends.get(_key(process)) or process

    def in_order(self, life: Life) -> bool:
        """Whether a listener's end was one in order."""
        listener = life.listener
        if listener.exit_code is not None:
            return not listener.out_of_memory and ends_in_order(listener.exit_code)
        end = self.final(life.owner.process)
        return end.exit_code is None or (not end.out_of_memory and ends_in_order(end.exit_code))

    def _restart(self, port: Port, life: Life, epoch_ns: int) -> Restart | None:
        listener, process = life.listener, life.owner.process
        for before in reversed(port.former):
            old = before.listener
            if not listener.since_ns or listener.since_ns - old.until_ns > RESTART_NS:
                return None
            if old.address == listener.address and old.owner != listener.owner and same(before.owner.process, process):
                return Restart(
                    before=before,
                    after=life,
                    ended_ns=old.until_ns + epoch_ns,
                    again_ns=listener.since_ns + epoch_ns,
                    in_order=self.in_order(before),
                )
        return None


def same(one: Process, other: Process) -> bool:
    """Whether two processes are of one service, as far as that can be told."""
    if service(one) and service(one) == service(other):
        return True
    return program(one) == program(other) and one.unit == other.unit


def ends_in_order(exit_code: int) -> bool:
    """Whether a process that ended so (wait(2)) did as it was told, or as it wanted."""
    number = exit_code & 0x7F
    if number:
        return number in _ASKED
    status = exit_code >> 8 & 0xFF
    return status == 0 or status - 128 in _ASKED


def ending(exit_code: int | None, *, out_of_memory: bool = False) -> str:
    """How a process ended, in words; "" where it has not or that is not known."""
    if out_of_memory and exit_code is not None and exit_code & 0x7F == signal.SIGKILL:
        return "killed by the OOM killer (SIGKILL)"
    return describe_exit(Process(pid=0, exit_code=exit_code))


def _key(process: Process) -> tuple[int, int]:
    return process.pid, process.start_ns // _TICK_NS
