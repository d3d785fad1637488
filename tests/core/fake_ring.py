"""A BPF ring buffer without a kernel: a memory file laid out as the kernel maps one, and records to write into it."""

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterable
from typing import Any

from tests.core.layout import RECEIVED, SENT, CloseEvent, ResetEvent, flags
from whyreset.core.memory import Memory
from whyreset.core.merge import Merge
from whyreset.core.records import Recorder
from whyreset.core.ring import Ring
from whyreset.model import Group

BUSY, DISCARDED, HEADER_BYTES = 1 << 31, 1 << 30, 8
PAGE = mmap.PAGESIZE
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
#: When the tests happen, in nanoseconds of CLOCK_BOOTTIME.
NOW = 5_000 * SECOND

#: As a kernel numbers them; the tests depend on names, not on these numbers.
REASONS = (
    *("NOT_SPECIFIED", "NO_SOCKET", "TCP_INVALID_ACK_SEQUENCE", "TCP_RFC7323_PAWS", "TCP_TOO_OLD_ACK"),
    *("TCP_ACK_UNSENT_DATA", "TCP_FLAGS", "TCP_OLD_ACK", "TCP_ABORT_ON_DATA", "TCP_TIMEWAIT_SOCKET", "INVALID_SYN"),
    *("TCP_ABORT_ON_CLOSE", "TCP_ABORT_ON_LINGER", "TCP_ABORT_ON_MEMORY", "TCP_STATE", "TCP_KEEPALIVE_TIMEOUT"),
)
STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT"),
    *("LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
LETTERS = "FSRPAU"


class FakeRing:
    """What the kernel program would write into a ring of `size` bytes; `ring` is the reader's side.

    Args:
        size: a power of two, at least a page.
        position: where both sides stand at first, a multiple of 8.
    """

    def __init__(self, size: int = 1 << 16, position: int = 0) -> None:
        self.size = size
        descriptor = os.memfd_create("ring")
        try:
            os.ftruncate(descriptor, 2 * PAGE + 2 * size)
            self.pages = mmap.mmap(descriptor, 2 * PAGE + 2 * size)
            self.put_positions(position, position)
            self.ring = Ring(descriptor, size)
        finally:
            os.close(descriptor)

    @property
    def consumer(self) -> int:
        """How far the reader has given room back."""
        return int.from_bytes(self.pages[:8], "little")

    @property
    def producer(self) -> int:
        """How far the writer has reserved."""
        return int.from_bytes(self.pages[PAGE : PAGE + 8], "little")

    def put_positions(self, consumer: int, producer: int) -> None:
        """Set both sides' positions to anything."""
        self.pages[:8] = struct.pack("<Q", consumer)
        self.pages[PAGE : PAGE + 8] = struct.pack("<Q", producer)

    def put(self, position: int, data: bytes) -> None:
        """Bytes at a position, in both halves, also over the end of the ring."""
        offset = position & (self.size - 1)
        first = min(len(data), self.size - offset)
        for half in (2 * PAGE, 2 * PAGE + self.size):
            self.pages[half + offset : half + offset + first] = data[:first]
            self.pages[half : half + len(data) - first] = data[first:]

    def write(self, record: bytes | ctypes.Structure, *, busy: bool = False, discarded: bool = False) -> int:
        """One record behind the others; returns its position. OverflowError when the ring is full."""
        data = bytes(record)
        position = self.producer
        following = position + (HEADER_BYTES + len(data) + 7) // 8 * 8
        if following - self.consumer > self.size:
            raise OverflowError("the ring is full")
        self.put(position, struct.pack("<II", len(data) | busy * BUSY | discarded * DISCARDED, 0) + data)
        self.pages[PAGE : PAGE + 8] = struct.pack("<Q", following)
        return position

    def write_all(self, records: Iterable[ctypes.Structure]) -> None:
        """Many records at once."""
        parts = []
        for record in records:
            data = bytes(record)
            parts.append(struct.pack("<II", len(data), 0) + data + b"\0" * (-len(data) % 8))
        blob, position = b"".join(parts), self.producer
        if position + len(blob) - self.consumer > self.size:
            raise OverflowError("the ring is full")
        self.put(position, blob)
        self.pages[PAGE : PAGE + 8] = struct.pack("<Q", position + len(blob))

    def submit(self, position: int) -> None:
        """The busy record at this position is written."""
        offset = 2 * PAGE + (position & (self.size - 1))
        (header,) = struct.unpack("<I", self.pages[offset : offset + 4])
        self.put(position, struct.pack("<I", header & ~BUSY))


def address(text: str) -> tuple[int, bytes]:
    """Family and sixteen bytes of an address, as records hold it."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text).ljust(16, b"\0")


def fill(record: ctypes.Structure, fields: dict[str, Any]) -> None:
    """Set fields; bytes go into arrays, TypeError for a field that is not there."""
    known = {each[0] for each in record._fields_}
    for name, value in fields.items():
        if name not in known:
            raise TypeError(f"{type(record).__name__} has no field {name}")
        held = getattr(record, name)
        if isinstance(held, ctypes.Array):
            ctypes.memmove(held, bytes(value), min(len(value), ctypes.sizeof(held)))
        else:
            setattr(record, name, value)


def reset(
    *,
    direction: int = SENT,
    time_ns: int = NOW,
    local: str = "192.0.2.2",
    local_port: int = 8080,
    remote: str = "192.0.2.1",
    remote_port: int = 50000,
    reason: str = "NO_SOCKET",
    state: str = "",
    state_before: str = "",
    trigger: str | None = None,
    named: Iterable[str] = (),
    **fields: Any,
) -> ResetEvent:
    """A reset; `trigger` is the flags' letters of the segment that provoked it, `named` are flags of reset_flags."""
    family, local_bytes = address(local)
    _, remote_bytes = address(remote)
    bits = flags(*named)
    if trigger is not None:
        bits |= flags("HAS_TRIGGER")
        fields["trigger_flags"] = sum(1 << LETTERS.index(letter) for letter in trigger)
    if state:
        bits |= flags("HAS_SOCKET")
    record = ResetEvent(
        time_ns=time_ns,
        netns_cookie=77,
        netns_inode=4026532000,
        flags=bits,
        local_port=local_port,
        remote_port=remote_port,
        family=family,
        direction=direction,
        reason=REASONS.index(reason) if direction == SENT else 0,
        state=STATES.index(state),
        state_before=STATES.index(state_before),
    )
    fill(record, {"local": local_bytes, "remote": remote_bytes, **fields})
    return record


def received(**fields: Any) -> ResetEvent:
    """A reset that came in, at an established connection unless told otherwise."""
    return reset(direction=RECEIVED, **{"state": "ESTABLISHED", "socket_cookie": 1, **fields})


def close(
    *,
    time_ns: int = NOW - SECOND,
    local: str = "192.0.2.2",
    local_port: int = 8080,
    remote: str = "192.0.2.1",
    remote_port: int = 50000,
    state_before: str = "LAST_ACK",
    named: Iterable[str] = (),
    **fields: Any,
) -> CloseEvent:
    """A connection that is gone."""
    family, local_bytes = address(local)
    _, remote_bytes = address(remote)
    record = CloseEvent(
        time_ns=time_ns,
        netns_cookie=77,
        socket_cookie=1,
        flags=flags(*named),
        local_port=local_port,
        remote_port=remote_port,
        family=family,
        state_before=STATES.index(state_before),
    )
    fill(record, {"local": local_bytes, "remote": remote_bytes, **fields})
    return record


class Bench:
    """A recorder with two fake rings before it."""

    def __init__(
        self,
        *,
        size: int = 1 << 20,
        capacity: int = 1024,
        reasons: Iterable[str] = REASONS,
        states: Iterable[str] = STATES,
        hz: int = 250,
        group_limit: int = 64,
        sample_limit: int = 256,
        samples_per_group: int = 3,
        kind_limit: int = 0,
        samples_per_kind: int = 0,
        merge: Merge | None = None,
    ) -> None:
        self.resets = FakeRing(size)
        self.closes = FakeRing(size)
        self.memory = Memory(capacity)
        self.recorder = Recorder(
            self.resets.ring,
            self.closes.ring,
            self.memory,
            tuple(reasons),
            tuple(states),
            hz,
            group_limit=group_limit,
            sample_limit=sample_limit,
            samples_per_group=samples_per_group,
            kind_limit=kind_limit,
            samples_per_kind=samples_per_kind,
            merge=merge,
        )

    def write(self, *records: ResetEvent | CloseEvent) -> None:
        """Each record into its ring; what is written before is drained when there is no room."""
        for record in records:
            fake = self.resets if isinstance(record, ResetEvent) else self.closes
            try:
                fake.write(record)
            except OverflowError:
                self.drain()
                fake.write(record)

    def drain(self, now_ns: int = NOW + 3600 * SECOND, *, everything: bool = False) -> int:
        """Read the rings, by default long after all that was written."""
        return self.recorder.drain(now_ns, everything)

    def groups(self, *records: ResetEvent | CloseEvent) -> list[Group]:
        """The groups after writing these records."""
        self.write(*records)
        self.drain()
        return self.recorder.flush()

    def group(self, *records: ResetEvent | CloseEvent) -> Group:
        """The one group after writing these records."""
        [only] = self.groups(*records)
        return only
