"""The kernel's counters that bear on resets: of every network namespace, or without rights of one's own.

The kernel program walks the kernel's list of namespaces and reads their counters in place: some microseconds each, no
setns(2), no /proc. Extended counters are read for all each second as long as that stays within the budget, else after
so long a rest as brings it back there, ten seconds at the most.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from whyreset.model import Counters, Missing
from whyreset.sources.base import SourceError
from whyreset.sources.loading import EXT_NAMES
from whyreset.sources.program import Program

#: struct tcp_mib members that bear on resets, by the kernel's enumerator, and their names in /proc/net/snmp.
TCP_NAMES = {
    "TCP_MIB_ACTIVEOPENS": "ActiveOpens",
    "TCP_MIB_PASSIVEOPENS": "PassiveOpens",
    "TCP_MIB_ATTEMPTFAILS": "AttemptFails",
    "TCP_MIB_ESTABRESETS": "EstabResets",
    "TCP_MIB_RETRANSSEGS": "RetransSegs",
    "TCP_MIB_INERRS": "InErrs",
    "TCP_MIB_OUTRSTS": "OutRsts",
}
_EVERY_NS = 10_000_000_000
_SECOND_NS = 1_000_000_000
#: Share of a core that reading extended counters may cost.
_SHARE = 0.002


class CounterSource:
    """Reads counters through the kernel program."""

    name = "counters"

    def __init__(self, program: Program) -> None:
        self._program = program
        self._tcp: list[tuple[int, str]] = []
        self._full_at_ns: int | None = None
        self._full_cost_ns = 0
        #: namespaces that did not fit the program's table at the last reading
        self.beyond = 0
        #: thread CPU time of all readings, nanoseconds
        self.spent_ns = 0

    def can_run(self) -> Missing | None:
        return self._program.can_run()

    def start(self) -> None:
        self._tcp = [
            (self._program.tcp_counters[key], name)
            for key, name in TCP_NAMES.items()
            if key in self._program.tcp_counters
        ]

    def read(self, now_ns: int) -> list[Counters]:
        """One row for each namespace.

        Args:
            now_ns: any steady clock.
        """
        # a reading that was dear, once or always, is followed by as long a rest as brings it back to the budget
        rest_ns = min(round(self._full_cost_ns / _SHARE), _EVERY_NS)
        full = rest_ns <= _SECOND_NS or self._full_at_ns is None or now_ns - self._full_at_ns >= rest_ns
        before = time.thread_time_ns()
        _, _, found, rows = self._program.walk(extended=full)
        spent = time.thread_time_ns() - before
        self.spent_ns += spent
        if full:
            self._full_at_ns, self._full_cost_ns = now_ns, spent
        self.beyond = found - len(rows)
        return [self._counters(*row) for row in rows]

    def _counters(self, cookie: int, inode: int, tcp: tuple[int, ...], ext: tuple[int, ...] | None) -> Counters:
        values = {name: tcp[index] for index, name in self._tcp}
        if ext is not None:
            values.update(zip(self._program.ext_names, ext, strict=True))
        return Counters(netns=inode, netns_cookie=cookie, values=values)

    def close(self) -> None:
        """Nothing of its own: the program is closed by who loaded it."""


_PROC = Path("/proc/thread-self")
_OVERFLOW = Path("/proc/sys/net/ipv4/tcp_abort_on_overflow")
#: The option that gives a network namespace's cookie (asm-generic/socket.h), since 5.14.
_SO_NETNS_COOKIE = 71


class OwnCounters:
    """Reads the counters of this process's own network namespace; anybody may."""

    name = "counters"

    def __init__(self) -> None:
        self._netns = 0
        self._cookie = 0

    def can_run(self) -> Missing | None:
        if (_PROC / "net/snmp").exists():
            return None
        return Missing(source=self.name, why=f"{_PROC}/net/snmp is missing", lost="how many resets are sent")

    def start(self) -> None:
        """Raises SourceError."""
        if missing := self.can_run():
            raise SourceError(missing.why)
        self._netns = os.stat(_PROC / "ns/net").st_ino
        self._cookie = self._netns
        try:
            with socket.socket() as probe:
                self._cookie = int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")
        except OSError:  # an older kernel: the inode number tells this one namespace as well
            return

    def read(self) -> Counters:
        """The counters of now.

        Raises:
            SourceError: they cannot be read any more.
        """
        wanted = {*TCP_NAMES.values(), *EXT_NAMES.values()}
        values: dict[str, int] = {}
        try:
            for name in ("snmp", "netstat"):
                lines = (_PROC / "net" / name).read_text().splitlines()
                for heads, figures in zip(lines[::2], lines[1::2], strict=False):
                    if heads.startswith(("Tcp:", "TcpExt:")):
                        pairs = zip(heads.split()[1:], figures.split()[1:], strict=False)
                        values.update((key, int(value)) for key, value in pairs if key in wanted)
        except (OSError, ValueError) as error:
            raise SourceError(f"the kernel's counters cannot be read ({_PROC}/net: {error})") from error
        return Counters(netns=self._netns, netns_cookie=self._cookie, values=values)

    def aborts_on_overflow(self) -> bool:
        """Whether a full accept queue is answered with resets here."""
        try:
            return _OVERFLOW.read_text().strip() != "0"
        except OSError:
            return False

    def close(self) -> None:
        """Nothing is held."""
