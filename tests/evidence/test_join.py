"""The join: each packet leaves with its explanation, in order, in time, within bounds."""

from __future__ import annotations

from typing import Any

from tests.core.packets import NOW, SECOND
from tests.evidence.frames import IN, frame
from tests.outputs import values
from whyreset.evidence import join
from whyreset.evidence.frames import Frame
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
