"""The reader's side of a BPF ring buffer: what it reads, what it leaves, and what it gives back to the kernel."""

import mmap
import os
from pathlib import Path

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, Bench, FakeRing, close, received, reset
from tests.core.layout import ExitEvent, ResetEvent
from whyreset.core import lives
from whyreset.core.ring import Ring
from whyreset.model import ProcessEnd

#: Young records stay in the ring for so long.
HOLD = 2 * MILLISECOND


def exits(*pids: int) -> list[ExitEvent]:
    """Records that only differ in their pid."""
    return [ExitEvent(kind=2, pid=pid, time_ns=NOW) for pid in pids]


def pids(fake: FakeRing, limit: int = 1000) -> list[int]:
    """The pids of what is read from a ring of lives."""
    return [each.pid for each in lives.drain(fake.ring, limit) if isinstance(each, ProcessEnd)]


def test_nothing_is_read_from_an_empty_ring() -> None:
    """A ring that was never written gives nothing and moves nothing."""
    fake = FakeRing()
    assert pids(fake) == []
    assert (fake.consumer, fake.ring.pending) == (0, 0)


def test_records_come_in_their_order_and_their_room_is_given_back() -> None:
    """All that was written is read once, and afterwards the consumer stands where the producer stands."""
    fake = FakeRing()
    for record in exits(1, 2, 3):
        fake.write(record)
    assert fake.ring.pending == fake.producer
    assert pids(fake) == [1, 2, 3]
    assert pids(fake) == []
    assert (fake.consumer, fake.ring.pending) == (fake.producer, 0)


def test_a_busy_record_stops_the_reader() -> None:
    """A record that is still being written hides those behind it until it is there."""
    fake = FakeRing()
    first, second, third = exits(1, 2, 3)
    fake.write(first)
    position = fake.write(second, busy=True)
    fake.write(third)
    assert pids(fake) == [1]
    assert fake.consumer == position
    assert pids(fake) == []
    fake.submit(position)
    assert pids(fake) == [2, 3]


def test_discarded_records_are_skipped() -> None:
    """What the kernel program took back is not read, whatever its length."""
    fake = FakeRing()
    fake.write(b"x" * 3, discarded=True)
    fake.write(exits(1)[0], discarded=True)
    fake.write(exits(2)[0])
    assert pids(fake) == [2]


def test_a_limit_leaves_the_rest_in_the_ring() -> None:
    """No more than asked for is read; the next visit goes on there."""
    fake = FakeRing()
    for record in exits(1, 2, 3):
        fake.write(record)
    assert pids(fake, 2) == [1, 2]
    assert pids(fake, 2) == [3]


@pytest.mark.parametrize("position", [0, (1 << 32) - 64, (1 << 40) + 8])
def test_positions_wrap_around_the_ring_and_grow_beyond_32_bits(position: int) -> None:
    """Records that cross the ring's end, and positions that pass 2**32, are read as any others."""
    fake = FakeRing(size=4096, position=position)
    read = []
    for start in range(0, 1000, 50):
        for record in exits(*range(start, start + 50)):
            fake.write(record)
        read += pids(fake)
    assert read == list(range(1000))
    assert fake.consumer == fake.producer == position + 1000 * (8 + 32)


def test_a_length_beyond_what_was_written_is_misread_and_ends_there() -> None:
    """No header makes the reader take more than the kernel wrote, or give back more."""
    bench = Bench()
    bench.resets.write(reset(trigger="S"))
    position = bench.resets.write(reset(trigger="S"))
    bench.resets.put(position, (0x3FFFFFFF).to_bytes(4, "little"))
    assert bench.drain() == 1
    assert bench.recorder.misread == 1
    assert bench.resets.consumer == bench.resets.producer
    bench.resets.write(reset(trigger="S"))
    assert bench.drain() == 1


def test_a_record_cut_by_the_producer_is_misread() -> None:
    """A header that promises a whole record where only its beginning was written gives no record."""
    bench = Bench()
    position = bench.resets.write(reset(trigger="S"))
    bench.resets.put_positions(0, position + 64)
    assert bench.drain() == 0
    assert bench.recorder.misread == 1
    assert bench.resets.consumer == position + 64


@pytest.mark.parametrize(
    ("consumer", "producer"), [(0, (1 << 16) + 8), (0, (1 << 64) - 8), (800, 0), ((1 << 64) - 8, 1 << 63)]
)
def test_a_producer_that_cannot_be_is_not_believed(consumer: int, producer: int) -> None:
    """Positions further apart than the ring is long are read as nothing, and at once."""
    fake = FakeRing(size=1 << 16)
    fake.put_positions(consumer, producer)
    assert pids(fake) == []
    assert fake.ring.pending == 0
    assert fake.consumer == consumer


def test_records_of_another_length_are_counted_and_passed_over() -> None:
    """What is as long as no known record is counted as misread, in either ring, and what follows is read."""
    bench = Bench()
    bench.resets.write(b"")
    bench.resets.write(bytes(reset(trigger="S")) + b"\0")
    bench.closes.write(bytes(close())[:-1])
    bench.write(reset(trigger="S"), close())
    assert bench.drain() == 1
    assert bench.recorder.misread == 3
    assert bench.memory.held == 1


def test_a_record_of_neither_direction_is_misread() -> None:
    """A reset that is neither sent nor received is no reset."""
    bench = Bench()
    bench.write(reset(direction=1), reset(direction=2), ResetEvent(direction=3, time_ns=NOW))
    assert bench.drain() == 2
    assert bench.recorder.misread == 1


def test_records_of_unknown_length_do_not_stop_the_lives() -> None:
    """A ring of lives gives what it knows, also behind what it does not know."""
    fake = FakeRing()
    fake.write(b"12345")
    fake.write(exits(1)[0])
    assert pids(fake) == [1]


def test_young_records_wait_for_the_next_visit() -> None:
    """What is younger than the hold stays in the ring, exactly from that age on it is taken."""
    bench = Bench()
    bench.write(reset(time_ns=NOW - HOLD, trigger="S"), reset(time_ns=NOW - HOLD + 1, trigger="S"))
    assert bench.drain(NOW) == 1
    assert bench.resets.consumer < bench.resets.producer
    assert bench.drain(NOW) == 0
    assert bench.drain(NOW + 1) == 1
    assert bench.resets.consumer == bench.resets.producer


def test_a_young_received_record_holds_back_what_lies_behind_it() -> None:
    """The ring is given back in order, so that an older record behind a younger one waits with it."""
    bench = Bench()
    bench.write(received(time_ns=NOW), reset(time_ns=NOW - HOLD, trigger="S"))
    assert bench.drain(NOW) == 0
    assert bench.drain(NOW + HOLD + MILLISECOND) == 2


def test_everything_takes_the_young_too() -> None:
    """The last visit leaves nothing."""
    bench = Bench()
    bench.write(reset(time_ns=NOW + MILLISECOND, trigger="S"), received(time_ns=NOW + MILLISECOND))
    assert bench.drain(NOW, everything=True) == 2
    assert bench.resets.consumer == bench.resets.producer


def test_a_clock_that_has_just_begun_does_not_wrap() -> None:
    """In the first two milliseconds after boot nothing is old enough by accident of arithmetic."""
    bench = Bench()
    bench.write(reset(time_ns=3 * MILLISECOND, trigger="S"))
    assert bench.drain(MILLISECOND) == 0
    assert bench.drain(5 * MILLISECOND) == 1


def test_a_busy_record_stops_resets_and_closes_alike() -> None:
    """Resets and closes behind one that is still being written are read when that is there."""
    bench = Bench()
    bench.resets.write(reset(trigger="S"))
    late_reset = bench.resets.write(reset(trigger="S"), busy=True)
    late_close = bench.closes.write(close(), busy=True)
    bench.write(received(), close(local_port=1))
    assert bench.drain() == 1
    assert bench.memory.held == 0
    bench.resets.submit(late_reset)
    bench.closes.submit(late_close)
    assert bench.drain() == 2
    assert bench.memory.held == 2


def test_a_full_ring_is_read_whole() -> None:
    """Records that fill the ring to its last byte are all read."""
    fake = FakeRing(size=4096)
    for pid in range(102):
        fake.write(exits(pid)[0])
    fake.write(b"\0" * 8)
    assert fake.producer == fake.size
    assert pids(fake) == list(range(102))


@pytest.mark.parametrize("size", [0, 4095, 12288])
def test_a_ring_has_a_power_of_two_of_bytes(size: int) -> None:
    """Another size is refused before anything is mapped."""
    with pytest.raises(ValueError, match="power of two"):
        Ring(0, size)


def test_what_cannot_be_mapped_is_refused() -> None:
    """A descriptor that is no ring's gives an OSError."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="cannot map"):
            Ring(reading, mmap.PAGESIZE)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_ring_is_mapped_once_and_a_page() -> None:
    """What is mapped counts as resident memory, the whole of it at once."""
    fake = FakeRing(1 << 16)
    spans = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if ":ring" in line]
    sizes = sorted(int(end, 16) - int(start, 16) for start, end in spans)
    whole = 2 * mmap.PAGESIZE + 2 * fake.size  # as the kernel has it, for the test to write
    assert sizes == sorted([mmap.PAGESIZE, 2 * mmap.PAGESIZE + fake.size, whole])


def mapped() -> int:
    """How many mappings of rings this process has."""
    return Path("/proc/self/maps").read_text().count("memfd:ring")


def test_a_ring_unmaps_itself() -> None:
    """The mappings go with the object."""
    before = mapped()
    fake = FakeRing()
    during = mapped()
    del fake
    assert during > before == mapped()
