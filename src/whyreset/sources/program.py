"""The kernel program, read: its rings, its exact tallies, its walk over all network namespaces.

Both the kernel source and the counter source stand on it. bpf/events.h defines what is read here; `loading.py` is the
half that needs rights, which may be another process's.
"""

from __future__ import annotations

import ctypes
import mmap
import select
import struct
import time
from collections.abc import Callable, Container

from whyreset.core import lives
from whyreset.core.memory import Memory
from whyreset.core.merge import Merge
from whyreset.core.records import Recorder
from whyreset.core.ring import Ring
from whyreset.model import Missing
from whyreset.sources import loading, tiers
from whyreset.sources.base import SourceError
from whyreset.sources.libbpf import Library, read_iterator, read_per_cpu
from whyreset.sources.loading import Loaded, LoadedHere, Loading

_TALLY_KEY = struct.Struct("=QII")
_TALLY = struct.Struct("=QQ")
#: Namespaces that the table is mapped for at first.
_ROWS = 128
_LOSSES = ("namespaces", "lives", "closes", "triggers")


class Program:
    """The one eBPF program.

    Args:
        wanted: what is to be loaded.
        load: loads it; raises SourceError.
    """

    def __init__(self, wanted: Loading = loading.ALL, load: Callable[[Loading], Loaded] = LoadedHere) -> None:
        self._wanted = wanted
        self._load = load
        self._held: Loaded | None = None
        self._poll: select.epoll | None = None
        #: What `wait` shall end on, while it has not.
        self._awaited: int | None = None

    @staticmethod
    def can_run() -> Missing | None:
        """None if it can be loaded here, as far as can be told without trying."""
        return loading.can_run()

    def load(self) -> None:
        """Loads and attaches everything.

        Raises:
            SourceError: with a sentence that says what is missing.
        """
        self._held = self._load(self._wanted)
        self._library = Library()
        told = self._held.told
        self.tier, self.reasons, self.states = told.tier, list(told.reasons), list(told.states)
        self.tcp_counters, self.ext_names = told.tcp_counters, list(told.ext_names)
        self._map_everything()

    def missing(self) -> list[Missing]:
        """What this kernel does not let us see, and why."""
        return tiers.missing(self.tier)

    def _map_everything(self) -> None:
        held = self._loaded
        self.resets, self.closes, self.lives, self.triggers = (
            Ring(held.map_fd(name), held.told.entries[name]) for name in ("resets", "closes", "lives", "triggers")
        )
        self._poll = select.epoll()
        for name in ("resets", "closes", "lives"):
            # edge-triggered: a ring that holds young records shall not wake us again
            self._poll.register(held.map_fd(name), select.EPOLLIN | select.EPOLLET)
        self._head = mmap.mmap(held.map_fd("walked"), mmap.PAGESIZE, prot=mmap.PROT_READ)
        self._map_rows(_ROWS)

    def _map_rows(self, rows: int) -> None:
        """Maps so many rows of the table of namespaces: what is mapped counts as resident memory."""
        size = _pages(lives.ROW_BYTES * min(rows, lives.ROWS_MAX))
        self._rows = mmap.mmap(self._loaded.map_fd("namespaces"), size, prot=mmap.PROT_READ)
        self._rows_mapped = rows

    @property
    def _loaded(self) -> Loaded:
        if self._held is None:
            raise SourceError("the kernel program is not loaded")
        return self._held

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

    def waiting(self) -> bool:
        """Whether resets or lives wait to be read. Closes do not count: they are only asked about resets."""
        return bool(self.resets.pending or self.lives.pending)

    def wait(self, seconds: float) -> bool:
        """Waits until a ring fills faster than expected, at most so long; True where what `wake_on` named ended it."""
        if self._poll is None:
            return False
        woken = any(number == self._awaited for number, _ in self._poll.poll(max(seconds, 0.0)))
        if woken:
            self._awaited = None
        return woken

    def wake_on(self, descriptor: int) -> None:
        """Lets `wait` end once when there is something to read; after it has, this has to be asked for again."""
        if self._poll is None or descriptor in (-1, self._awaited):
            return
        self._awaited = descriptor
        try:
            self._poll.modify(descriptor, select.EPOLLIN | select.EPOLLONESHOT)
        except FileNotFoundError:
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def open_walk(self) -> int:
        """A descriptor whose reading walks over all open files of all processes: for somebody else to read."""
        return self._loaded.open_walk()

    def held_sockets(self) -> bytes:
        """The walk over all open files of all processes; core.lives.held reads it."""
        return read_iterator(self._loaded.open_walk())

    def walk(
        self, *, extended: bool
    ) -> tuple[int, int, int, list[tuple[int, int, tuple[int, ...], tuple[int, ...] | None]]]:
        """Every namespace's counters: (jiffies, monotonic ns, namespaces found, rows); see core.lives.counters."""
        self._loaded.count(extended=extended)
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
        if self._held is not None:
            self._held.close()
            self._held = None


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
