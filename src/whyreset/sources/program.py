"""The kernel program, loaded: its rings, its exact tallies, its walk over all network namespaces.

Both the kernel source and the counter source stand on it. bpf/events.h defines what is read here.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.resources
import mmap
import select
import struct
import time
from collections.abc import Container, Mapping
from pathlib import Path

from whyreset.core import btf, lives
from whyreset.core.memory import Memory
from whyreset.core.merge import Merge
from whyreset.core.records import Recorder
from whyreset.core.ring import Ring
from whyreset.model import Missing
from whyreset.sources import tiers
from whyreset.sources.base import SourceError
from whyreset.sources.libbpf import BpfError, Library, Object, read_per_cpu

_BTF = Path("/sys/kernel/btf/vmlinux")
_OBJECT = "whyreset.bpf.o"
_TALLY_KEY = struct.Struct("=QII")
_TALLY = struct.Struct("=QQ")
#: Namespaces that the table is mapped for at first.
_ROWS = 128
#: Loaded on every kernel; tiers.py says which else.
_PROGRAMS = ("set_state", "process_exec", "process_exit", "receive_reset", "held_sockets")
_REASON = "SK_RST_REASON_"
_LOSSES = ("namespaces", "lives", "closes", "triggers")
#: Of a ring that nobody reads: as small as there can be one.
_UNREAD_BYTES = mmap.PAGESIZE


def kernel_here(library: Library) -> tiers.Kernel:
    """What the running kernel has of all that this program can use.

    Raises:
        SourceError: the kernel's BTF cannot be read.
    """
    try:
        blob = _BTF.read_bytes()
        enums, functions = btf.enums(blob, tiers.ENUMS), btf.functions(blob, tiers.FUNCTIONS_TRACED)
    except (OSError, ValueError) as error:
        raise SourceError(f"this kernel's BTF cannot be read ({_BTF}: {error})") from error
    probe = functions.get("tcp_send_active_reset")
    return tiers.Kernel(enums=enums, functions=functions, traces_functions=probe is not None and library.traces(probe))


def _dense(values: Mapping[str, int], prefix: str) -> list[str]:
    """Names by number, without their prefix; gaps are empty."""
    small = {number: name.removeprefix(prefix) for name, number in values.items() if 0 <= number < 256}
    return [small.get(number, "") for number in range(max(small, default=-1) + 1)]


class Program:
    """The one eBPF program.

    Args:
        exact_owners: also watch reads from accepted connections; costs some nanoseconds for each.
        ring_bytes: size of the ring of resets, a power of two; None for the built-in one.
        tier: the tier to use, though the kernel may have a better one; "" for the best.
        triggers: also copy a sample of the segments that provoke resets, into the ring `triggers`.
    """

    def __init__(
        self, *, exact_owners: bool = False, ring_bytes: int | None = None, tier: str = "", triggers: bool = False
    ) -> None:
        self._forced = tier
        self._exact_owners = exact_owners
        self._sizes = {"resets": ring_bytes} if ring_bytes else {}
        self._triggers = triggers
        if not triggers:
            self._sizes["triggers"] = _UNREAD_BYTES
        self._object: Object | None = None
        self._poll: select.epoll | None = None

    @staticmethod
    def can_run() -> Missing | None:
        """None if it can be loaded here, as far as can be told without trying."""
        lost = "why resets are sent and who sends them"
        if not _BTF.exists():
            return Missing(source="kernel", why=f"this kernel has no BTF ({_BTF} is missing)", lost=lost)
        try:
            Library()
        except OSError:
            why = "there is no usable libbpf.so.1 (Debian, Ubuntu: apt install libbpf1)"
            return Missing(source="kernel", why=why, lost=lost)
        if not _has_capabilities():
            return Missing(source="kernel", why="loading eBPF needs root, or CAP_BPF with CAP_PERFMON", lost=lost)
        return None

    def load(self) -> None:
        """Loads and attaches everything.

        Raises:
            SourceError: with a sentence that says what is missing.
        """
        if missing := self.can_run():
            raise SourceError(missing.why)
        self._library = Library()
        self.kernel = kernel = kernel_here(self._library)
        self.tier = tier = tiers.choose(kernel, self._forced)
        # a tier without reasons reads none where a richer kernel stands in for it, either
        named = tier.number < tiers.FUNCTIONS.number
        self.reasons = _dense(kernel.enums["SK_RST_REASON_NO_SOCKET"], _REASON) if named else []
        self.states = _dense(kernel.enums.get("TCP_ESTABLISHED", {}), "TCP_")
        self.tcp_counters = kernel.enums.get("TCP_MIB_OUTRSTS", {})
        ext_counters = kernel.enums.get("LINUX_MIB_LISTENOVERFLOWS", {})
        wanted = [ext_counters[name] for name in EXT_NAMES if name in ext_counters][: lives.EXT_MAX]
        self.ext_names = [label for name, label in EXT_NAMES.items() if name in ext_counters][: lives.EXT_MAX]
        chosen = tiers.programs(kernel, tier) | ({"reader"} if self._exact_owners else set())
        settings = (tier.number, "check_request" in chosen, self._triggers, len(wanted), *wanted)
        try:
            self._object = Object(
                importlib.resources.files("whyreset.sources").joinpath(_OBJECT).read_bytes(),
                library=self._library,
                optional=frozenset({"walk_namespaces", *chosen}),
                sizes=self._sizes,
                constants=struct.pack(f"={len(settings)}I", *settings),
            )
            for name in (*_PROGRAMS, *sorted(chosen)):
                self._object.attach(name)
        except BpfError as error:
            self.close()
            raise SourceError(_explain(error)) from error
        self._map_everything()
        # libbpf's copy of the kernel's BTF (some 10 MB) was freed, but only this gives the room back
        ctypes.CDLL(None).malloc_trim(0)

    def missing(self) -> list[Missing]:
        """What this kernel does not let us see, and why."""
        return tiers.missing(self.tier)

    def _map_everything(self) -> None:
        program = self._loaded
        self.resets = Ring(program.map_fd("resets"), program.map_entries("resets"))
        self.closes = Ring(program.map_fd("closes"), program.map_entries("closes"))
        self.lives = Ring(program.map_fd("lives"), program.map_entries("lives"))
        self.triggers = Ring(program.map_fd("triggers"), program.map_entries("triggers"))
        self._poll = select.epoll()
        for name in ("resets", "closes", "lives"):
            # edge-triggered: a ring that holds young records shall not wake us again
            self._poll.register(program.map_fd(name), select.EPOLLIN | select.EPOLLET)
        self._head = mmap.mmap(program.map_fd("walked"), mmap.PAGESIZE, prot=mmap.PROT_READ)
        self._map_rows(_ROWS)

    def _map_rows(self, rows: int) -> None:
        """Maps so many rows of the table of namespaces: what is mapped counts as resident memory."""
        size = _pages(lives.ROW_BYTES * min(rows, lives.ROWS_MAX))
        self._rows = mmap.mmap(self._loaded.map_fd("namespaces"), size, prot=mmap.PROT_READ)
        self._rows_mapped = rows

    @property
    def _loaded(self) -> Object:
        if self._object is None:
            raise SourceError("the kernel program is not loaded")
        return self._object

    def recorder(self, merge: Merge | None = None, **limits: int) -> Recorder:
        """The compiled reader of this program's rings; core.records.Recorder says which limits there are."""
        while (rate := hertz(*self.walk(extended=False)[:2])) is None:
            time.sleep(0.1)
        return Recorder(
            self.resets,
            self.closes,
            Memory(),
            self.reasons,
            self.states,
            rate,
            merge=merge,
            **limits,
        )

    def wait(self, seconds: float) -> None:
        """Waits until a ring fills faster than expected, at most so long."""
        if self._poll is not None:
            self._poll.poll(max(seconds, 0.0))

    def wake_on(self, descriptor: int) -> None:
        """Lets `wait` end once when there is something to read; this has to be asked for again each time."""
        if self._poll is None or descriptor < 0:
            return
        try:
            self._poll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        except FileNotFoundError:
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def open_walk(self) -> int:
        """A descriptor whose reading walks over all open files of all processes: for somebody else to read."""
        return self._loaded.open_iterator("held_sockets")

    def held_sockets(self) -> bytes:
        """The walk over all open files of all processes; core.lives.held reads it."""
        return self._loaded.iterate("held_sockets")

    def walk(
        self, *, extended: bool
    ) -> tuple[int, int, int, list[tuple[int, int, tuple[int, ...], tuple[int, ...] | None]]]:
        """Every namespace's counters: (jiffies, monotonic ns, namespaces found, rows); see core.lives.counters."""
        self._loaded.run("walk_namespaces", self._library.possible_cpus(), int(extended))
        result = lives.counters(self._rows, self._head, len(self.ext_names))
        found = result[2]
        if found > self._rows_mapped and self._rows_mapped < lives.ROWS_MAX:
            self._map_rows(2 * found)
            result = lives.counters(self._rows, self._head, len(self.ext_names))
        return result

    def tallies(self, settled: Container[int] = ()) -> dict[tuple[int, int], tuple[int, int]]:
        """(namespace cookie, direction) -> (resets traced, of these lost because the ring was full).

        Args:
            settled: cookies of namespaces that are gone; their tallies are removed, so that others have room.
        """
        out: dict[tuple[int, int], tuple[int, int]] = {}
        rows = read_per_cpu(
            self._library, self._loaded.map_fd("tallies"), key_bytes=_TALLY_KEY.size, value_bytes=_TALLY.size
        )
        for key, values in rows.items():
            cookie, direction, _reason = _TALLY_KEY.unpack(key)
            if cookie in settled:
                self._library.delete(self._loaded.map_fd("tallies"), key)
                continue
            seen, lost = out.get((cookie, direction), (0, 0))
            for value in values:
                one_seen, one_lost = _TALLY.unpack(value)
                seen, lost = seen + one_seen, lost + one_lost
            out[cookie, direction] = (seen, lost)
        return out

    def losses(self) -> dict[str, int]:
        """Records that the kernel program could not write, by what they were."""
        out = {}
        for index, name in enumerate(_LOSSES):
            key = ctypes.c_uint32(index)
            values = (ctypes.c_uint64 * self._library.possible_cpus())()
            self._library.lookup(self._loaded.map_fd("losses"), ctypes.byref(key), values)
            out[name] = sum(values)
        return out

    def close(self) -> None:
        """Detaches and unloads; nothing of it stays in the kernel, unless somebody else still holds a ring."""
        for name in ("resets", "closes", "lives", "triggers", "_head", "_rows"):
            # what is mapped keeps its map
            self.__dict__.pop(name, None)
        if self._poll is not None:
            self._poll.close()
            self._poll = None
        if self._object is not None:
            self._object.close()
            self._object = None


def _pages(size: int) -> int:
    return (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE


def hertz(jiffies: int, monotonic_ns: int) -> int | None:
    """CONFIG_HZ from one reading of both clocks; None within a second of the moment when all answers look alike.

    Jiffies start so that they pass 2**32 after 300 s of CLOCK_MONOTONIC, whatever their rate (INITIAL_JIFFIES).
    """
    seconds = monotonic_ns / 1e9 - 300
    if abs(seconds) < 1:
        return None
    rate = (jiffies - (1 << 32)) / seconds
    return min((100, 250, 300, 1000, 1024, 200, 500), key=lambda hz: abs(hz - rate))


def _has_capabilities() -> bool:
    """CAP_BPF (39) and CAP_PERFMON (38), or CAP_SYS_ADMIN (21); capability.h."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return bool(held >> 39 & held >> 38 & 1 or held >> 21 & 1)
    return False


def _explain(error: BpfError) -> str:
    # without rights there is nothing to verify; a program that the verifier refuses has its log
    if error.errno in (errno.EPERM, errno.EACCES) and "PROG LOAD LOG" not in error.log:
        return (
            "the kernel refused the eBPF program (it needs root or CAP_BPF with CAP_PERFMON, and a kernel that is not"
            " locked down)"
        )
    said = [line.strip() for line in error.log.splitlines() if line.strip()]
    return f"the kernel program does not run here: {error.strerror}" + (f" ({said[-1][:200]})" if said else "")


#: Counters beyond struct tcp_mib that bear on resets: the kernel's enumerator and its name in /proc/net/netstat.
EXT_NAMES = {
    "LINUX_MIB_EMBRYONICRSTS": "EmbryonicRsts",
    "LINUX_MIB_SYNCOOKIESSENT": "SyncookiesSent",
    "LINUX_MIB_SYNCOOKIESRECV": "SyncookiesRecv",
    "LINUX_MIB_SYNCOOKIESFAILED": "SyncookiesFailed",
    "LINUX_MIB_LISTENOVERFLOWS": "ListenOverflows",
    "LINUX_MIB_LISTENDROPS": "ListenDrops",
    "LINUX_MIB_TIMEWAITED": "TW",
    "LINUX_MIB_TIMEWAITRECYCLED": "TWRecycled",
    "LINUX_MIB_PAWSESTABREJECTED": "PAWSEstab",
    "LINUX_MIB_TCPABORTONDATA": "TCPAbortOnData",
    "LINUX_MIB_TCPABORTONCLOSE": "TCPAbortOnClose",
    "LINUX_MIB_TCPABORTONMEMORY": "TCPAbortOnMemory",
    "LINUX_MIB_TCPABORTONTIMEOUT": "TCPAbortOnTimeout",
    "LINUX_MIB_TCPABORTONLINGER": "TCPAbortOnLinger",
    "LINUX_MIB_TCPABORTFAILED": "TCPAbortFailed",
    "LINUX_MIB_TCPMEMORYPRESSURES": "TCPMemoryPressures",
    "LINUX_MIB_TCPREQQFULLDOCOOKIES": "TCPReqQFullDoCookies",
    "LINUX_MIB_TCPREQQFULLDROP": "TCPReqQFullDrop",
    "LINUX_MIB_TCPCHALLENGEACK": "TCPChallengeACK",
    "LINUX_MIB_TCPSYNCHALLENGE": "TCPSYNChallenge",
    "LINUX_MIB_TCPACKSKIPPEDCHALLENGE": "TCPACKSkippedChallenge",
    "LINUX_MIB_TCPSYNRETRANS": "TCPSynRetrans",
    "LINUX_MIB_TCPKEEPALIVE": "TCPKeepAlive",
    "LINUX_MIB_TCPTIMEOUTS": "TCPTimeouts",
    "LINUX_MIB_TCPBACKLOGDROP": "TCPBacklogDrop",
    "LINUX_MIB_TCPRCVQDROP": "TCPRcvQDrop",
}
