"""The memory of closed connections: bounded, and it forgets what closed first."""

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench, close, reset
from whyreset.core.memory import Memory

WAYS = 8


def remembered(bench: Bench, ports: list[int]) -> set[int]:
    """Which peers' ports the memory knows a connection of."""
    known = set()
    for port in ports:
        group = bench.group(reset(trigger="A", remote_port=port))
        if group.facts.ended:
            known.add(port)
    return known


@pytest.mark.parametrize(("asked", "given"), [(0, 8), (1, 8), (8, 8), (9, 16), (1001, 1008), (49152, 49152)])
def test_room_is_made_of_whole_buckets(asked: int, given: int) -> None:
    """What is asked for is rounded up."""
    assert Memory(asked).capacity == given


def test_a_fresh_memory_holds_nothing() -> None:
    """It knows no connection, not even one of all zeros."""
    bench = Bench()
    assert (bench.memory.held, bench.memory.forgotten) == (0, 0)
    group = bench.group(
        reset(trigger="A", local="0.0.0.0", remote="0.0.0.0", local_port=0, remote_port=0, netns_cookie=0)
    )
    assert group.facts.ended == ""


def test_all_that_fits_is_remembered() -> None:
    """Far below its capacity a memory forgets nothing, or nearly so, and what it forgot it counted."""
    bench = Bench(capacity=8192)
    ports = list(range(1, 501))
    bench.closes.write_all([close(remote_port=port) for port in ports])
    bench.drain()
    assert bench.memory.held == 500
    assert bench.memory.forgotten == 0
    assert remembered(bench, ports) == set(ports)


@pytest.mark.parametrize("capacity", [8 * 3, 8 * 100, 8 * 128])
def test_all_room_is_used(capacity: int) -> None:
    """However many buckets there are, a crowd of connections fills each of them."""
    bench = Bench(capacity=capacity, size=1 << 23)
    bench.closes.write_all([close(remote_port=port) for port in range(1, 20 * capacity)])
    bench.drain()
    assert bench.memory.held == capacity


def test_the_same_four_tuple_takes_no_more_room() -> None:
    """A connection that is opened and closed again and again is one entry."""
    bench = Bench(capacity=8)
    for number in range(100):
        bench.write(close(time_ns=NOW - 100 * SECOND + number * SECOND, socket_cookie=number))
    bench.drain()
    assert (bench.memory.held, bench.memory.forgotten) == (1, 0)


def test_a_full_bucket_forgets_what_closed_first() -> None:
    """With one bucket, the ninth connection takes the place of the one that closed first, whenever that was written."""
    bench = Bench(capacity=WAYS)
    times = [5, 3, 8, 1, 7, 2, 6, 4]
    bench.closes.write_all([close(remote_port=each, time_ns=NOW - SECOND + each * MILLISECOND) for each in times])
    bench.drain()
    assert (bench.memory.held, bench.memory.forgotten) == (WAYS, 0)
    for count, newcomer in enumerate((9, 10, 11), 1):
        bench.write(close(remote_port=newcomer, time_ns=NOW - SECOND + newcomer * MILLISECOND))
        bench.drain()
        assert (bench.memory.held, bench.memory.forgotten) == (WAYS, count)
    assert remembered(bench, list(range(1, 12))) == {4, 5, 6, 7, 8, 9, 10, 11}


def test_the_memory_never_grows() -> None:
    """However many connections close, it holds no more than its capacity, and counts each one that it forgot."""
    bench = Bench(capacity=256, size=1 << 23)
    total = 20_000
    bench.closes.write_all([close(remote_port=number % 60_000, local_port=number // 60_000) for number in range(total)])
    bench.drain()
    assert bench.memory.held <= bench.memory.capacity == 256
    assert bench.memory.held + bench.memory.forgotten == total
    assert bench.memory.held > 250


def test_two_memories_do_not_put_connections_alike() -> None:
    """Places depend on a secret of each memory, so that a peer cannot aim at one bucket."""

    def forgotten(bench: Bench) -> set[int]:
        ports = list(range(1, 101))
        bench.closes.write_all([close(remote_port=port) for port in ports])
        bench.drain()
        return set(ports) - remembered(bench, ports)

    assert len({frozenset(forgotten(Bench(capacity=64))) for _ in range(8)}) > 1
