"""Any bytes: rings, files and maps of any contents never crash the core, and nothing of it grows without bound.

test_sanitized runs this file again on a core built with AddressSanitizer.
"""

import ctypes
import struct

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.fake_ring import BUSY, DISCARDED, NOW, SECOND, Bench, FakeRing
from tests.core.layout import (
    CloseEvent,
    ExitEvent,
    HeldSocket,
    ListenEvent,
    NetnsCounters,
    ProcessEvent,
    ResetEvent,
    Walk,
)
from whyreset.core import btf, lives
from whyreset.model import Group

SIZES = [ctypes.sizeof(each) for each in (ResetEvent, CloseEvent, ProcessEvent, ListenEvent, ExitEvent)]
#: Lengths as a header may hold them: those of records, and any other.
LENGTHS = st.one_of(st.sampled_from(SIZES), st.integers(0, 2048), st.integers(0, (1 << 30) - 1))
MARKS = st.sampled_from([0, 0, 0, 0, 0, DISCARDED, BUSY])
HEADERS = st.tuples(LENGTHS, MARKS).map(lambda each: struct.pack("<II", each[0] | each[1], 0))
CONTENTS = st.lists(st.tuples(HEADERS, st.binary(min_size=300, max_size=300)), max_size=12)
U64 = st.integers(0, (1 << 64) - 1)


def noise(contents: list[tuple[bytes, bytes]]) -> bytes:
    """Headers at places where a reader may look for them, and bytes between."""
    out = b""
    for header, data in contents:
        (length,) = struct.unpack("<I", header[:4])
        size = length & ~(BUSY | DISCARDED)
        out += header + (data * 8)[: (min(size, 1200) + 7) // 8 * 8]
    return out


def a_ring(contents: list[tuple[bytes, bytes]], start: int, written: int) -> FakeRing:
    """A ring with this in it, of which the kernel says that so much is written."""
    fake = FakeRing(size=4096, position=start)
    fake.put(start, noise(contents)[: fake.size])
    fake.put_positions(start, (start + written) % (1 << 64))
    return fake


@settings(deadline=None)
@given(contents=CONTENTS, start=st.integers(0, 1 << 34).map(lambda each: each * 8), written=st.integers(0, 4096))
def test_any_ring_of_lives_is_read(contents: list[tuple[bytes, bytes]], start: int, written: int) -> None:
    """Whatever headers say, reading stops at what was written, and what comes out can be written as JSON."""
    fake = a_ring(contents, start, written)
    events = lives.drain(fake.ring, 1000)
    assert len(events) <= written // 8
    assert start <= fake.consumer <= fake.producer
    for event in events:
        msgspec.json.encode(event)


@settings(max_examples=300, deadline=None)
@given(
    resets=CONTENTS,
    closes=CONTENTS,
    start=st.integers(0, 1 << 34).map(lambda each: each * 8),
    written=st.integers(0, 4096),
    now_ns=U64,
    everything=st.booleans(),
)
def test_any_rings_of_resets_and_closes_are_read(
    resets: list[tuple[bytes, bytes]],
    closes: list[tuple[bytes, bytes]],
    start: int,
    written: int,
    now_ns: int,
    everything: bool,
) -> None:
    """Whatever headers and records hold, each record is counted once, and what comes out can be written as JSON."""
    bench = Bench(size=4096, capacity=8, group_limit=2, sample_limit=4)
    bench.resets, bench.closes = a_ring(resets, start, written), a_ring(closes, start, written)
    recorder = type(bench.recorder)(bench.resets.ring, bench.closes.ring, bench.memory, ("A",), ("", "B"), 100)
    for _ in range(3):
        recorder.drain(now_ns, everything)
    groups = recorder.flush()
    assert sum(group.count for group in groups) == recorder.records - recorder.echoes_of_receive
    assert recorder.records + recorder.misread <= 2 * (written // 8 + 1)
    assert bench.memory.held <= bench.memory.capacity
    for fake in (bench.resets, bench.closes):
        assert start <= fake.consumer <= fake.producer
    for group in groups:
        assert group.first_ns <= group.last_ns
        msgspec.json.encode(group)


ANY_RESET = st.binary(min_size=ctypes.sizeof(ResetEvent), max_size=ctypes.sizeof(ResetEvent)).map(
    ResetEvent.from_buffer_copy
)
#: Resets of which some are alike, so that joins and twins happen.
SMALL = st.integers(0, 3)


@st.composite
def alike(draw: st.DrawFn) -> ResetEvent:
    """A reset of any bytes but with few different ports, sockets and moments."""
    record: ResetEvent = draw(ANY_RESET)
    record.direction = draw(st.sampled_from([1, 2]))
    record.family = draw(st.sampled_from([2, 10]))
    record.local_port, record.remote_port = draw(SMALL), draw(SMALL)
    record.socket_cookie, record.netns_cookie = draw(SMALL), draw(SMALL)
    record.time_ns = NOW + draw(SMALL) * SECOND // 2
    ctypes.memset(record.local, draw(SMALL), 16)
    ctypes.memset(record.remote, draw(SMALL), 16)
    return record


@st.composite
def any_close(draw: st.DrawFn) -> CloseEvent:
    """A close of any bytes but with few different ports and sockets."""
    size = ctypes.sizeof(CloseEvent)
    record = CloseEvent.from_buffer_copy(draw(st.binary(min_size=size, max_size=size)))
    record.local_port, record.remote_port = draw(SMALL), draw(SMALL)
    record.socket_cookie, record.netns_cookie = draw(SMALL), draw(SMALL)
    ctypes.memset(record.local, draw(SMALL), 16)
    ctypes.memset(record.remote, draw(SMALL), 16)
    return record


def as_json(group: Group) -> bytes:
    """A group as JSON: nothing in it may be beyond words."""
    return msgspec.json.encode(group)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.one_of(alike(), any_close()), max_size=30), max_size=4))
def test_records_of_any_bytes_are_grouped(batches: list[list[ResetEvent | CloseEvent]]) -> None:
    """No value of any field crashes or is lost: counts of all flushes sum to what was written."""
    bench = Bench(capacity=8, group_limit=3, sample_limit=5, samples_per_group=2)
    total = 0
    for batch in batches:
        groups = bench.groups(*batch)
        total += sum(group.count for group in groups)
        assert sum(len(group.samples) for group in groups) <= 5
        assert all(as_json(group) for group in groups)
        assert all(len(group.remotes.top) <= 16 for group in groups)
    written = sum(isinstance(record, ResetEvent) for batch in batches for record in batch)
    assert bench.recorder.records == written
    assert total == written - bench.recorder.echoes_of_receive
    assert bench.memory.held <= 8


@settings(deadline=None)
@given(st.binary(max_size=4 * ctypes.sizeof(HeldSocket)))
def test_any_bytes_of_held_sockets_are_read(data: bytes) -> None:
    """As many sockets as there are whole records, each of which can be written as JSON."""
    found = lives.held(data)
    assert len(found) == len(data) // ctypes.sizeof(HeldSocket)
    msgspec.json.encode(found)


@settings(deadline=None)
@given(
    rows=st.binary(max_size=3 * ctypes.sizeof(NetnsCounters)),
    head=st.binary(min_size=ctypes.sizeof(Walk), max_size=64),
    written=st.one_of(st.none(), st.integers(0, 5), st.integers(0, (1 << 32) - 1)),
    wanted=st.integers(-5, 100),
)
def test_any_bytes_of_counters_are_read(rows: bytes, head: bytes, written: int | None, wanted: int) -> None:
    """No more rows than are there are read, and no more counters than a row has."""
    if written is not None:
        offset = Walk.written.offset
        head = head[:offset] + written.to_bytes(4, "little") + head[offset + 4 :]
    _, _, _, found = lives.counters(rows, head, wanted)
    assert len(found) <= len(rows) // ctypes.sizeof(NetnsCounters)
    assert all(ext is None or len(ext) == max(0, min(wanted, 48)) for _, _, _, ext in found)


MAGIC = b"\x9f\xeb\x01\x00"
U32 = st.one_of(st.integers(0, 200), st.integers(0, (1 << 32) - 1))


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(MAGIC.__add__)))
def test_any_bytes_of_btf_give_names_or_a_value_error(blob: bytes) -> None:
    """What is no BTF is said to be none; what looks like BTF gives what it holds."""
    try:
        found = btf.enums(blob, ["A", ""])
    except ValueError:
        return
    assert set(found) <= {"A", ""}


@settings(deadline=None)
@given(places=st.tuples(U32, U32, U32, U32, U32), body=st.binary(max_size=400))
def test_any_btf_header_gives_names_or_a_value_error(places: tuple[int, int, int, int, int], body: bytes) -> None:
    """Sections may lie anywhere: nothing outside of the bytes is read."""
    try:
        found = btf.enums(MAGIC + struct.pack("<5I", *places) + body, ["A", "B"])
    except ValueError:
        return
    assert set(found) <= {"A", "B"}


def test_pages_of_noise_are_read_in_bounded_time() -> None:
    """The worst ring, one record for each eight bytes, is read once and given back."""
    bench = Bench(size=1 << 20)
    bench.resets.put_positions(0, bench.resets.size)
    assert bench.drain() == 0
    assert bench.recorder.misread == bench.resets.size // 8
    assert bench.resets.consumer == bench.resets.size
