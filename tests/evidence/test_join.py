"""The join: each packet leaves with its explanation, in order, in time, within bounds."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tests.core.packets import NOW, SECOND
from tests.evidence.frames import IN, frame
from tests.outputs import values
from whyreset.evidence import join
from whyreset.evidence.frames import COPIED, Frame
from whyreset.evidence.join import Explained, Join
from whyreset.model import Cause, Reset, Segment

NETNS = 4026531840
SYN = Segment(flags="S", seq=7, ack=0, length=0)


def reset(number: int = 1, **fields: Any) -> Reset:
    """What the pipeline says of the reset that `rst` is."""
    sample = {"local": "10.0.0.1", "local_port": 80, "remote": "10.0.0.2", "remote_port": 1234, "netns": NETNS}
    sample = {**sample, "trigger": SYN, **fields.pop("sample", {})}
    settings = {"number": number, "time_ns": NOW, "last_ns": NOW, "port": 80, **fields}
    return values.reset(sample=sample, **settings)


def rst(flags: str = "RA", **more: Any) -> Frame:
    """The reset that answers `syn`."""
    return frame(flags, **{"sport": 80, "dport": 1234, "seq": 0, "ack": 8, **more})


def syn(**more: Any) -> Frame:
    """A SYN for a closed port."""
    return frame("S", sport=1234, dport=80, seq=7, direction=IN, src="10.0.0.2", dst="10.0.0.1", **more)


def all_of(joined: Join, now_ns: int = NOW, **more: Any) -> list[Explained]:
    """What is ready."""
    return list(joined.ready(now_ns, **more))


def test_a_reset_waits_for_its_explanation() -> None:
    """It leaves as soon as that is there, and its trigger before it, marked."""
    joined = Join({0: NETNS})
    joined.add([syn(), rst()], NOW)
    assert all_of(joined) == []
    joined.tell([reset()], NOW)
    trigger, found = all_of(joined, NOW + 1)
    assert found.reset == reset()
    assert trigger.provoked == reset()
    assert (joined.explained, joined.unexplained, joined.waiting) == (1, 0, 0)


def test_the_explanation_may_come_first() -> None:
    """The kernel's ring may be read before the packet's."""
    joined = Join({0: NETNS})
    joined.tell([reset()], NOW)
    joined.add([rst()], NOW)
    (found,) = all_of(joined)
    assert found.reset == reset()


def test_nothing_waits_for_longer_than_its_patience() -> None:
    """After two seconds a reset leaves as it is; another packet after half a second."""
    joined = Join({0: NETNS})
    joined.add([syn()], NOW)
    assert all_of(joined, NOW + join.SHORT_PATIENCE_NS - 1) == []
    assert len(all_of(joined, NOW + join.SHORT_PATIENCE_NS)) == 1
    joined.add([rst()], NOW)
    assert all_of(joined, NOW + join.PATIENCE_NS - 1) == []
    (found,) = all_of(joined, NOW + join.PATIENCE_NS)
    assert (found.reset, joined.unexplained) == (None, 1)


def test_order_is_kept() -> None:
    """A packet that is ready waits for those before it."""
    joined = Join({0: NETNS})
    joined.add([rst(sport=81), rst()], NOW)
    joined.tell([reset()], NOW)
    assert all_of(joined) == []
    assert [each.reset is None for each in all_of(joined, NOW + join.PATIENCE_NS)] == [True, False]


def test_of_several_resets_between_the_same_ends_the_fitting_one_is_taken() -> None:
    """By its sequence number first, then by its time."""
    joined = Join({0: NETNS})
    late = Segment(flags="PA", seq=7, ack=500, length=3)
    joined.tell([reset(1), reset(2, sample={"trigger": late})], NOW)
    joined.add([rst("R", seq=500), rst()], NOW)
    assert [each.reset.number for each in all_of(joined) if each.reset] == [2, 1]


def test_another_time_or_other_ends_are_another_reset() -> None:
    """Ports are used again: an explanation of a second ago says nothing of now."""
    joined = Join({0: NETNS})
    joined.tell([reset(time_ns=NOW - join.APART_NS, last_ns=NOW - join.APART_NS)], NOW)
    joined.tell([reset(2, sample={"remote_port": 99})], NOW)
    joined.add([rst()], NOW)
    assert [each.reset for each in all_of(joined, everything=True)] == [None]


def test_one_reset_seen_on_several_interfaces_is_explained_on_each() -> None:
    """Also on the host's side of a veth, in another namespace than the socket's."""
    joined = Join({0: NETNS, 1: 7})
    joined.add([rst(), rst(place=1, direction=IN)], NOW)
    joined.tell([reset()], NOW)
    assert [each.reset == reset() for each in all_of(joined)] == [True, True]


def test_packets_of_a_flood_share_what_was_counted_together() -> None:
    """Only where all of that port have one cause; and the packet is said to be one of many."""
    joined = Join({0: NETNS})
    joined.tell([reset(count=1000, sample={"remote_port": 5})], NOW)
    joined.add([rst()], NOW)
    (found,) = all_of(joined, everything=True)
    assert found.reset is not None
    assert found.among == 1000
    other = Cause(name="half-open", family="half-open", certainty="certain")
    joined.tell([reset(2, count=3, cause=other, sample={"remote_port": 5})], NOW)
    joined.add([rst()], NOW)
    (found,) = all_of(joined, everything=True)
    assert (found.reset, found.among) == (None, 0)


def test_what_waits_is_bounded() -> None:
    """Whatever comes, the oldest go, and that is counted; what was told is forgotten."""
    joined = Join({0: NETNS})
    one = rst()
    for _ in range(join.PACKETS_MAX // 4096 + 1):
        joined.add([one] * 4096, NOW)
        all_of(joined, NOW)
        assert joined.waiting <= join.PACKETS_MAX
    assert joined.hurried > 0
    joined.tell([reset(number) for number in range(2000)], NOW)
    joined.tell([], NOW + 10 * SECOND)
    all_of(joined, everything=True)
    assert not joined._known
    assert not joined._by_ends
    assert not joined._unexplained
    assert not joined._others


def copy(**more: Any) -> Frame:
    """What the kernel program copied of an ACK to the closed port, in the socket's namespace."""
    fields = {"sport": 1234, "dport": 80, "seq": 7, "ack": 99, "src": "10.0.0.2", "dst": "10.0.0.1", **more}
    return frame(fields.pop("flags", "A"), direction=COPIED, place=fields.pop("place", NETNS), **fields)


ACK = Segment(flags="A", seq=7, ack=99, length=0)


def test_a_copy_stands_for_what_no_interface_showed() -> None:
    """It is marked by its reset's cause; without that it waits no longer than others."""
    joined = Join({0: NETNS})
    joined.add([copy(), rst("R", seq=99)], NOW)
    joined.tell([reset(sample={"trigger": ACK})], NOW)
    assert all_of(joined) == []  # its packet may still come
    trigger, found = all_of(joined, NOW + join.COPY_PATIENCE_NS)
    assert (trigger.frame.is_copy, trigger.provoked, found.reset) == (True, found.reset, found.reset)
    joined.add([copy(seq=8)], NOW)
    (alone,) = all_of(joined, NOW + join.SHORT_PATIENCE_NS)
    assert alone.provoked is None


@pytest.mark.parametrize("late", [False, True], ids=["packet first", "copy first"])
def test_a_copy_of_what_an_interface_showed_is_left_out(late: bool) -> None:
    """Whichever comes first; the packet has what the copy was marked with."""
    joined = Join({0: NETNS})
    packet = frame("A", sport=1234, dport=80, seq=7, ack=99, direction=IN, src="10.0.0.2", dst="10.0.0.1")
    both = [copy(), packet] if late else [packet, copy()]
    joined.add(both[:1], NOW)
    joined.tell([reset(sample={"trigger": ACK})], NOW)
    joined.add([*both[1:], rst("R", seq=99)], NOW)
    found = all_of(joined, NOW + join.COPY_PATIENCE_NS)
    assert [each.frame.is_copy for each in found] == [False, False]
    assert found[0].provoked == found[1].reset != None  # noqa: E711


def test_a_copy_is_left_out_though_its_packet_has_left() -> None:
    """What left as the provoker of a reset is remembered for a while."""
    joined = Join({0: NETNS})
    joined.tell([reset()], NOW)
    joined.add([syn(), rst()], NOW)
    assert len(all_of(joined, NOW)) == 2
    joined.add([copy(flags="S", ack=0)], NOW)
    assert all_of(joined, everything=True) == []


def test_a_copy_from_a_namespace_that_is_not_read_belongs_to_a_reset_that_was_seen() -> None:
    """Else it is of somebody else's resets."""
    joined = Join({0: 7})
    joined.add([copy(), rst("R", seq=99, direction=IN)], NOW)
    joined.tell([reset(sample={"trigger": ACK})], NOW)
    assert [each.frame.is_copy for each in all_of(joined, everything=True)] == [True, False]
    joined.add([copy(seq=8)], NOW)
    joined.tell([reset(2, sample={"trigger": Segment(flags="A", seq=8, ack=99, length=0)})], NOW)
    assert all_of(joined, everything=True) == []


def test_a_translated_reset_has_the_explanation_of_the_one_that_came_in() -> None:
    """It leaves with another address; its way is told with it."""
    joined = Join({0: 7})
    joined.add([rst(direction=IN, interface=3), rst(src="192.0.2.9", sport=8080)], NOW)
    joined.tell([reset()], NOW)
    inner, outer = all_of(joined)
    assert inner.reset == outer.reset == reset()
    assert [(spot.way, spot.interface, spot.segment.sport) for spot in outer.path] == [("in", 3, 80), ("out", 2, 8080)]


def test_a_translated_receiver_is_found_as_well() -> None:
    """A reset for the host's address is the one that the container got."""
    joined = Join({0: 7})
    joined.add([rst(direction=IN, dst="192.0.2.9", dport=99), rst()], NOW)
    told = reset(
        facts={"direction": "received"},
        sample={"local": "10.0.0.2", "local_port": 1234, "remote": "10.0.0.1", "remote_port": 80},
    )
    joined.tell([told], NOW)
    assert [each.reset for each in all_of(joined)] == [told, told]


def test_what_left_as_it_came_is_nobodys_original() -> None:
    """A scanner's probes may all have the same numbers, and so the resets that answer them."""
    joined = Join({0: 7})
    joined.add([rst(direction=IN, interface=3), rst(), rst(sport=81)], NOW)
    joined.tell([reset()], NOW)
    assert [each.reset is None for each in all_of(joined, everything=True)] == [False, False, True]


def test_each_original_has_one_translation() -> None:
    """The second one that looks like it is another's."""
    joined = Join({0: 7})
    joined.add([rst(direction=IN, interface=3), rst(sport=81), rst(sport=82)], NOW)
    joined.tell([reset()], NOW)
    assert [each.reset is None for each in all_of(joined, everything=True)] == [False, False, True]


def test_a_receiver_is_heard_only_when_the_sender_says_nothing() -> None:
    """What left here is told by who made it, also if that takes longer: a firewall is asked first."""
    received = {"local": "10.0.0.2", "local_port": 1234, "remote": "10.0.0.1", "remote_port": 80, "netns": 5}
    heard = reset(facts={"direction": "received"}, sample={**received, "trigger": None})
    for told in ([], [reset(2)]):
        joined = Join({0: NETNS})
        joined.add([rst()], NOW)
        joined.tell([heard], NOW)
        assert all_of(joined, NOW + SECOND) == []
        joined.tell(told, NOW + SECOND)
        (found,) = all_of(joined, NOW + join.PATIENCE_NS)
        assert found.reset == (told[0] if told else heard)


def test_memory_under_a_flood_is_bounded() -> None:
    """Packets that wait, what was told, and what is remembered of ways: 24 MB at the most, whatever comes."""
    joined = Join({0: NETNS}, patience_ns=join.WIRE_PATIENCE_NS)
    tracemalloc.start()
    number = 0
    for tick in range(30):
        now = NOW + tick * SECOND // 10
        some = range(number, number + 2000)
        number += 2000
        joined.add((rst(dport=each % 60000, src=f"10.{each >> 16}.0.1", time_ns=now) for each in some), now)
        joined.tell((reset(each, sample={"remote_port": each % 60000, "remote": "10.9.9.9"}) for each in some), now)
        all_of(joined, now)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert joined.waiting > join.PACKETS_MAX // 2
    assert held < 24 << 20
