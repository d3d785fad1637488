"""Segments that the kernel program copied come onto the tape as it wrote them, and nothing else does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.fake_ring import NOW, SECOND, FakeRing
from tests.core.layout import TRIGGER_BYTES, TriggerEvent
from tests.core.packets import ipv4, ipv6, tcp
from whyreset.core.tape import Tape
from whyreset.core.triggers import Triggers

EPOCH = 1_700_000_000 * SECOND
COPIED, IPV4, IPV6 = 255, 228, 229
INODE = 4026531840


def event(data: bytes, **fields: int | bytes) -> TriggerEvent:
    """A record."""
    settings = {"time_ns": NOW, "netns_inode": INODE, "ifindex": 3, "length": len(data), "interface": b"eth0"}
    made = TriggerEvent(**{**settings, "captured": len(data[:TRIGGER_BYTES]), **fields})
    made.data[: len(data[:TRIGGER_BYTES])] = data[:TRIGGER_BYTES]
    return made


def test_a_segment_comes_as_it_was() -> None:
    """From its IP header on, with its namespace, its interface's name and its time of day; payload is cut off."""
    fake, tape = FakeRing(), Tape(4096)
    four, six = ipv4(tcp("PA", payload=b"secret" * 99)), ipv6(tcp("A"))
    fake.write_all([event(four), event(six, ifindex=4, interface=b"lo")])
    triggers = Triggers(fake.ring)
    assert triggers.drain(tape, EPOCH) == 2
    assert tape.take(9) == [
        (NOW + EPOCH, INODE, 3, COPIED, IPV4, len(four), four[:40]),
        (NOW + EPOCH, INODE, 4, COPIED, IPV6, len(six), six),
    ]
    assert triggers.names == {(INODE, 3): "eth0", (INODE, 4): "lo"}
    assert fake.consumer == fake.producer
    assert (triggers.drain(tape, EPOCH), triggers.misread) == (0, 0)


def test_without_a_tape_what_came_is_forgotten() -> None:
    """And the kernel has its room back."""
    fake = FakeRing()
    fake.write(event(ipv4(tcp("A"))))
    triggers = Triggers(fake.ring)
    assert triggers.drain(None, EPOCH) == 1
    assert fake.consumer == fake.producer
    assert triggers.names == {}


def test_names_are_bounded() -> None:
    """Whoever makes interfaces without end does not fill our memory."""
    fake, tape = FakeRing(1 << 20), Tape(1 << 20)
    triggers = Triggers(fake.ring)
    fake.write_all(event(ipv4(tcp("A")), ifindex=number) for number in range(3000))
    assert triggers.drain(tape, EPOCH) == 3000
    assert len(triggers.names) <= 1024
    assert (INODE, 2999) in triggers.names


@given(st.binary(max_size=200), st.integers(0, 1 << 32), st.integers(0, 1 << 32), st.booleans())
def test_any_record_is_read_or_counted(data: bytes, captured: int, length: int, whole: bool) -> None:
    """Lengths that lie are not believed."""
    fake, tape = FakeRing(), Tape(4096)
    record = bytes(event(data, captured=captured & 0xFFFFFFFF, length=length & 0xFFFFFFFF))
    fake.write(record if whole else record[: len(data)])
    triggers = Triggers(fake.ring)
    read = triggers.drain(tape, EPOCH)
    assert read + triggers.misread == 1
    for *_, found in tape.take(9):
        assert len(found) <= min(TRIGGER_BYTES, captured, length)
