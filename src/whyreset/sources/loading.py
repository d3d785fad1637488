"""What of the kernel program needs rights: loading and attaching it, and what may only be asked of whoever loaded it.

Reading what it tells needs none: descriptors of its maps are enough for that (since Linux 5.19, also where
unprivileged eBPF is switched off). So the two may be two processes; `program.py` is the other half.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from whyreset.core import btf
from whyreset.model import Missing
from whyreset.sources import tiers
from whyreset.sources.base import SourceError
from whyreset.sources.libbpf import BpfError, Library, Object

_BTF = Path("/sys/kernel/btf/vmlinux")
_OBJECT = Path(__file__).with_name("whyreset.bpf.o")
#: Loaded on every kernel; tiers.py says which else.
_PROGRAMS = ("set_state", "process_exec", "process_exit", "receive_reset", "held_sockets")
_REASON = "SK_RST_REASON_"
#: Maps that user space reads.
MAPS = ("resets", "closes", "lives", "triggers", "walked", "namespaces", "tallies", "losses")
#: Size of a ring that nobody reads: as small as there can be one.
_UNREAD_BYTES = mmap.PAGESIZE


class Loading(Struct, frozen=True, kw_only=True):
    """What is to be loaded."""

    #: Also watch reads from accepted connections; costs some nanoseconds for each.
    exact_owners: bool = False
    #: Size of the ring of resets, a power of two; None for the built-in one.
    ring_bytes: int | None = None
    #: The tier to use, though the kernel may have a better one; "" for the best.
    tier: str = ""
    #: Also copy a sample of the segments that provoke resets, into the ring `triggers`.
    triggers: bool = False


ALL = Loading()


class Told(Struct, frozen=True, kw_only=True):
    """What is known of the program that was loaded."""

    tier: tiers.Tier
    #: Names by number; those of reasons are empty at a tier without them.
    reasons: tuple[str, ...]
    states: tuple[str, ...]
    #: Numbers of the kernel's TCP counters, and names of the extended ones in the order of a row.
    tcp_counters: dict[str, int]
    ext_names: tuple[str, ...]
    #: Entries of each map; of a ring its bytes.
    entries: dict[str, int]


class Loaded(Protocol):
    """The program in the kernel, and who holds it there."""

    @property
    def told(self) -> Told:
        """What is known of it."""

    def map_fd(self, name: str) -> int:
        """One of MAPS; it stays open until `close`."""

    def count(self, *, extended: bool) -> None:
        """Has the counters of all namespaces written into the map for them."""

    def open_walk(self) -> int:
        """A descriptor whose reading walks over all open files of all processes; the reader closes it."""

    def close(self) -> None:
        """Detaches and unloads; harmless when called twice."""


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


def dense(values: Mapping[str, int], prefix: str) -> tuple[str, ...]:
    """Names by number, without their prefix; gaps are empty."""
    small = {number: name.removeprefix(prefix) for name, number in values.items() if 0 <= number < 256}
    return tuple(small.get(number, "") for number in range(max(small, default=-1) + 1))


class LoadedHere:
    """The program, loaded and attached by this process.

    Raises:
        SourceError: with a sentence that says what is missing.
    """

    def __init__(self, wanted: Loading) -> None:
        if missing := can_run():
            raise SourceError(missing.why)
        self._library = Library()
        kernel = kernel_here(self._library)
        tier = tiers.choose(kernel, wanted.tier)
        ext_counters = kernel.enums.get("LINUX_MIB_LISTENOVERFLOWS", {})
        read = [name for name in EXT_NAMES if name in ext_counters]
        chosen = tiers.programs(kernel, tier) | ({"reader"} if wanted.exact_owners else set())
        settings = (
            *(tier.number, "check_request" in chosen, wanted.triggers),
            *(len(read), *(ext_counters[name] for name in read)),
        )
        sizes = {"resets": wanted.ring_bytes} if wanted.ring_bytes else {}
        if not wanted.triggers:
            sizes["triggers"] = _UNREAD_BYTES
        self._object: Object | None = None
        try:
            self._object = Object(
                _OBJECT.read_bytes(),
                library=self._library,
                optional=frozenset({"walk_namespaces", *chosen}),
                sizes=sizes,
                constants=struct.pack(f"={len(settings)}I", *settings),
            )
            for name in (*_PROGRAMS, *sorted(chosen)):
                self._object.attach(name)
        except BpfError as error:
            self.close()
            raise SourceError(_explain(error)) from error
        # a tier without reasons reads none where a richer kernel stands in for it, either
        named = tier.number < tiers.FUNCTIONS.number
        self.told = Told(
            tier=tier,
            reasons=dense(kernel.enums["SK_RST_REASON_NO_SOCKET"], _REASON) if named else (),
            states=dense(kernel.enums.get("TCP_ESTABLISHED", {}), "TCP_"),
            tcp_counters=dict(kernel.enums.get("TCP_MIB_OUTRSTS", {})),
            ext_names=tuple(EXT_NAMES[name] for name in read),
            entries={name: self._object.map_entries(name) for name in MAPS},
        )
        # libbpf's copy of the kernel's BTF (some 10 MB) was freed, but only this gives the room back
        ctypes.CDLL(None).malloc_trim(0)

    @property
    def object(self) -> Object:
        """What libbpf holds."""
        if self._object is None:
            raise SourceError("the kernel program is not loaded")
        return self._object

    def map_fd(self, name: str) -> int:
        return self.object.map_fd(name)

    def count(self, *, extended: bool) -> None:
        self.object.run("walk_namespaces", self._library.possible_cpus(), int(extended))

    def open_walk(self) -> int:
        return self.object.open_iterator("held_sockets")

    def close(self) -> None:
        if self._object is not None:
            self._object.close()
            self._object = None


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


#: Counters beyond struct tcp_mib that bear on resets, no more than EXT_COUNTERS of bpf/events.h: the kernel's
#: enumerator and its name in /proc/net/netstat.
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
