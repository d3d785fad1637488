"""The ring of packets: bounded, in order, and no more of each packet than is wanted."""

from __future__ import annotations

import tracemalloc
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.packets import NOW, ethernet, ipv4, ipv6, tcp, udp
from whyreset.core.tape import Tape

ENTRY = 40
ETHERNET, IPV4, IPV6, NO_LINK = 1, 228, 229, 0xFFFF
SECRET = b"precious secret " * 20


def put(
    tape: Tape, data: bytes, *, time_ns: int = NOW, link: int = ETHERNET, length: int | None = None, tag: int = 0
) -> None:
    """A packet."""
    tape.put(time_ns, 3, 7, 4, link, len(data) if length is None else length, data, tag)


def kept(data: bytes, *, snap: int = 0, link: int = ETHERNET, tag: int = 0) -> bytes:
    """What is kept of a packet."""
    tape = Tape(1 << 16, snap)
    put(tape, data, link=link, tag=tag)
    ((*_, bytes_kept),) = tape.take(10)
    return bytes_kept


def test_a_packet_comes_back_as_it_was() -> None:
    """With its time, place, interface, direction, link type and length."""
    data = ethernet(ipv4(tcp("S")))
    tape = Tape(4096)
    put(tape, data, length=1500)
    assert tape.count == 1
    assert tape.take(10) == [(NOW, 3, 7, 4, ETHERNET, 1500, data)]
    assert (tape.count, tape.take(10)) == (0, [])


HEADERS = {
    "Ethernet, IPv4": (ethernet(ipv4(tcp("PA"))), ETHERNET),
    "options of both": (ethernet(ipv4(tcp("PA", options=b"\1" * 12), options=b"\1" * 8)), ETHERNET),
    "Ethernet, IPv6": (ethernet(ipv6(tcp("PA")), 0x86DD), ETHERNET),
    "two VLAN tags": (ethernet(b"\0\1\x81\0\0\2\x08\0" + ipv4(tcp("PA")), 0x88A8), ETHERNET),
    "IPv4 alone": (ipv4(tcp("PA")), IPV4),
    "IPv6 alone": (ipv6(tcp("PA")), IPV6),
}


@pytest.mark.parametrize(("headers", "link"), HEADERS.values(), ids=HEADERS)
def test_payload_is_left_out(headers: bytes, link: int) -> None:
    """Exactly the headers are kept, whatever stands before TCP."""
    assert kept(headers + SECRET, link=link) == headers


def test_what_a_reset_says_is_kept() -> None:
    """RFC 9293 section 3.5.3: a reset's payload says why; not more than 128 bytes beyond its options."""
    data = ethernet(ipv4(tcp("R", payload=b"go away")))
    assert kept(data) == data
    assert len(kept(data + SECRET)) <= 14 + 20 + 60 + 128


def test_of_other_packets_some_is_kept() -> None:
    """Enough for a tunnel's headers."""
    data = ethernet(ipv4(udp(1, 4789, b"x" * 500), 17))
    assert kept(data) == data[:128]


def test_a_length_that_was_asked_for_is_kept() -> None:
    """Payload too, and no more than the packet has."""
    data = ethernet(ipv4(tcp("PA", payload=SECRET)))
    assert kept(data, snap=100) == data[:100]
    assert kept(data, snap=100_000) == data


def test_a_tag_that_the_device_took_off_is_put_back() -> None:
    """Where it was on the wire."""
    data = ethernet(ipv4(tcp("S")))
    assert kept(data, tag=0x2007) == data[:12] + b"\x81\0\x20\x07" + data[12:]


def test_devices_that_nobody_can_read_are_counted() -> None:
    """Their packets are not kept."""
    tape = Tape(4096)
    put(tape, b"x" * 60, link=NO_LINK)
    assert (tape.count, tape.unreadable) == (0, 1)


@given(
    size=st.integers(4096, 9000),
    lengths=st.lists(st.integers(0, 4000), max_size=200),
    takes=st.lists(st.integers(0, 9), max_size=200),
)
def test_the_oldest_give_way_and_are_counted(size: int, lengths: list[int], takes: list[int]) -> None:
    """It is a queue that forgets at its old end, and nothing is lost without being counted."""
    tape = Tape(size, 1 << 16)
    expected: deque[bytes] = deque()
    taken = 0
    for number, length in enumerate(lengths):
        data = bytes((number % 256,)) * length
        put(tape, data, time_ns=number)
        expected.append(data)
        while len(expected) > tape.count:
            expected.popleft()
        for *_, found in tape.take(takes[number] if number < len(takes) else 0):
            assert found == expected.popleft()
            taken += 1
        assert sum(ENTRY + len(each) for each in expected) <= size
        assert tape.count + tape.overwritten + taken == number + 1
    assert [each[-1] for each in tape.read(0, 1 << 20)[0]] == list(expected)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([ETHERNET, IPV4, IPV6]), st.integers(0, 0xFFFF))
def test_any_bytes_are_kept_in_part(data: bytes, link: int, tag: int) -> None:
    """Headers that lie are not believed beyond what is there."""
    found = kept(data, link=link, tag=tag)
    assert len(found) <= len(data) + 4


def test_it_is_read_in_pieces_while_it_goes_on() -> None:
    """All stay; what was overwritten since the last piece is left out, and what came after the end is not missed."""
    tape = Tape(4096, 1 << 16)
    for at in range(4):
        put(tape, b"x" * 900, time_ns=at)
    found, place = tape.read(0, 2)
    assert [each[0] for each in found] == [0, 1]
    end = tape.end
    for at in range(4, 7):
        put(tape, b"x" * 900, time_ns=at)
    found, place = tape.read(place, 10)
    assert [each[0] for each in found] == [3, 4, 5, 6]
    assert (place, place > end) == (tape.end, True)
    assert tape.read(place, 10) == ([], place)
    assert [each[0] for each in tape.read(0, 10, 5)[0]] == [5, 6]
    assert tape.count == 4


def test_memory_is_what_was_asked_for() -> None:
    """However many packets come."""
    tape = Tape(1 << 20, 1 << 16)
    data = b"x" * 1000
    tracemalloc.start()
    for at in range(20_000):
        put(tape, data, time_ns=at)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 18
    assert tape.count <= (1 << 20) // (ENTRY + 1000)
    assert tape.count + tape.overwritten == 20_000


def test_too_small_a_ring_is_refused() -> None:
    """It could hold no packet."""
    with pytest.raises(ValueError, match="4096"):
        Tape(100)


def test_when_a_packet_was_seen_is_noted() -> None:
    """By a clock that never steps; then that is what is asked for, whatever time of day the packet has."""
    tape = Tape(4096)
    for seen in (5, 6, 7):
        tape.seen_ns = seen
        put(tape, ethernet(ipv4(tcp("S"))), time_ns=NOW - seen)
    assert [each[-1] for each in tape.read_seen(0, 10, 6)[0]] == [6, 7]
    assert [each[-1] for each in tape.take_seen(10)] == [5, 6, 7]
