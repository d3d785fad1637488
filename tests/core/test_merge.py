"""One reset is one, wherever it shows; what no kernel told of went past the stack; and nothing grows without bound."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.core import fake_ring
from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench
from tests.core.taps import OUTGOING, TO_US, feed, reset
from whyreset.core.merge import Merge
from whyreset.core.sightings import Sightings
from whyreset.model import Group
from whyreset.sources.conntrack import ENDS

COOKIE, INODE = 77, 4026532000  # those of fake_ring's resets
LATER = NOW + 2 * SECOND
EPOCH = 1_000_000_000_000
SYN = {"trigger": "S", "trigger_seq": 41}


class Joined:
    """The wire of one namespace beside the kernel's records."""

    def __init__(self, **settings: Any) -> None:
        self.merge = Merge(**settings)
        self.wire = Sightings(self.merge, self.merge.ring(COOKIE, INODE, lambda index: f"eth{index}"))
        self.bench = Bench(merge=self.merge)

    def see(self, *packets: bytes, now_ns: int = NOW) -> None:
        """Packets of the wire."""
        self.merge.begin(now_ns)
        feed(self.wire, *packets)

    def told(self, **fields: Any) -> Group:
        """What the kernel tells of a reset."""
        self.merge.begin(NOW)
        return self.bench.group(fake_ring.reset(**{**SYN, **fields}))

    def past_stack(self, *, doubtful: bool = False, now_ns: int = LATER) -> list[Group]:
        """What is left when all that bears on it has come."""
        self.merge.judge(now_ns, EPOCH, doubtful)
        return self.merge.take()


@pytest.fixture
def joined() -> Joined:
    """A fresh one."""
    return Joined()


def test_what_the_kernel_tells_and_the_wire_shows_is_one(joined: Joined) -> None:
    """The group knows that it was on the wire, and its sample on which interface first."""
    joined.see(reset(ack=42))
    group = joined.told()
    assert (group.on_wire, group.samples[0].interface) == (1, "eth3")
    assert joined.past_stack() == []
    assert joined.merge.off_wire_of(COOKIE) == 0


def test_the_wire_may_show_it_later(joined: Joined) -> None:
    """Then the group does not know it any more, but nothing wrong is concluded; also after seconds in a queue."""
    assert joined.told().on_wire == 0
    joined.see(reset(ack=42), now_ns=NOW + 100 * MILLISECOND)
    assert joined.past_stack() == []
    assert joined.merge.off_wire_of(COOKIE) == 0


def test_what_only_the_wire_shows_went_past_the_stack(joined: Joined) -> None:
    """With its ends, interface and time."""
    joined.see(reset(seq=7, sport=4445))
    (group,) = joined.past_stack()
    assert (group.facts.past_stack, group.facts.direction, group.facts.reason) == (True, "sent", "")
    assert (group.count, group.port, group.netns, group.netns_cookie) == (1, 4445, INODE, COOKIE)
    (sample,) = group.samples
    assert (sample.local, sample.local_port, sample.remote, sample.remote_port) == (
        "192.0.2.2",
        4445,
        "192.0.2.1",
        50000,
    )
    assert sample.interface == "eth3"
    assert joined.past_stack() == []


def test_it_is_judged_only_when_all_that_bears_on_it_has_come(joined: Joined) -> None:
    """The kernel's counters are read once a second."""
    joined.see(reset(seq=7))
    assert joined.past_stack(now_ns=NOW + SECOND) == []
    assert len(joined.past_stack(now_ns=NOW + 1300 * MILLISECOND)) == 1


def test_at_the_end_all_is_judged_but_what_may_still_have_another_side(joined: Joined) -> None:
    """A block of packets, or the kernel's record, takes some milliseconds."""
    joined.see(reset(seq=7))
    joined.see(reset(seq=8, sport=1), now_ns=NOW + 450 * MILLISECOND)
    joined.merge.judge(NOW + 500 * MILLISECOND, EPOCH, False, True)
    assert [group.port for group in joined.merge.take()] == [8080]


def test_where_something_was_lost_nothing_is_concluded(joined: Joined) -> None:
    """It is counted as undecided instead, on both sides."""
    joined.see(reset(seq=7))
    joined.told(remote_port=1)
    assert joined.past_stack(doubtful=True) == []
    assert joined.merge.undecided == 2
    assert joined.merge.off_wire_of(COOKIE) == 0


def test_what_never_left_is_counted(joined: Joined) -> None:
    """Only where the namespace's packets are read."""
    joined.told()
    joined.told(netns_cookie=78, remote_port=1)
    joined.past_stack()
    assert joined.merge.off_wire_of(COOKIE) == 1
    assert joined.merge.off_wire_of(78) is None


def test_on_several_interfaces_it_is_one(joined: Joined) -> None:
    """Loopback shows it twice, a bridge three times."""
    joined.see(*(reset(seq=7, interface=number, direction=way) for number, way in ((1, 4), (1, 0), (2, 4), (3, 4))))
    (group,) = joined.past_stack()
    assert group.count == 1


def test_the_same_once_more_at_the_same_place_is_another(joined: Joined) -> None:
    """Two SYNs of the same number get two resets."""
    joined.see(reset(seq=7), reset(seq=7))
    (group,) = joined.past_stack()
    assert group.count == 2


def test_what_came_in_is_not_ours(joined: Joined) -> None:
    """A router forwards it, translated or not."""
    joined.see(
        reset(src="172.30.0.2", sport=80, ack=42, direction=TO_US),
        reset(src="172.30.0.2", sport=80, ack=42, interface=4, direction=TO_US),
        reset(ack=42, interface=5),
    )
    assert joined.past_stack() == []
    assert joined.merge.related == 1


@pytest.mark.parametrize("sender_first", [True, False])
def test_of_two_namespaces_the_one_that_it_left_sent_it(joined: Joined, sender_first: bool) -> None:
    """Whichever ring is read first: at the other end it came in."""
    other = Sightings(joined.merge, joined.merge.ring(78, 1, lambda index: f"veth{index}"))
    joined.merge.begin(NOW)
    for sends in (sender_first, not sender_first):
        sink = joined.wire if sends else other
        feed(sink, reset(seq=7, direction=OUTGOING if sends else TO_US))
    (group,) = joined.past_stack()
    assert (group.netns_cookie, group.count, group.samples[0].interface) == (COOKIE, 1, "eth3")


def test_a_container_that_only_the_kernel_saw_is_the_original_of_what_left_translated(joined: Joined) -> None:
    """The kernel tells of it in another namespace and with another address."""
    joined.told(local="172.30.0.2", local_port=80, netns_cookie=78)
    joined.see(reset(ack=42))
    assert joined.past_stack() == []


def test_a_scanners_equal_numbers_hide_nothing(joined: Joined) -> None:
    """nmap's probes all have one number: the stack's refusals are no originals of what a firewall refused."""
    for port in (1, 2, 3):
        joined.see(reset(sport=port, ack=42))
        joined.told(local_port=port)
    joined.see(reset(sport=8080, ack=42), reset(sport=8081, ack=42))
    assert sorted(group.port or 0 for group in joined.past_stack()) == [8080, 8081]


def test_one_original_has_one_translation(joined: Joined) -> None:
    """Of two that leave with its numbers only one may be it."""
    joined.see(reset(src="172.30.0.2", sport=80, ack=42, direction=TO_US))
    joined.see(reset(sport=8080, ack=42, interface=5), reset(sport=8081, ack=42, interface=5))
    assert len(joined.past_stack()) == 1


@pytest.mark.parametrize("ours_first", [True, False])
def test_of_two_with_the_originals_numbers_the_one_is_its_translation_that_a_router_aged(
    joined: Joined, ours_first: bool
) -> None:
    """A scanner's probes have one number: what a firewall here refuses is not the container's refusal."""
    joined.see(reset(src="172.30.0.2", sport=80, ack=42, direction=TO_US))
    pair = [reset(sport=8081, ack=42, interface=5, ttl=64), reset(sport=8080, ack=42, interface=5, ttl=63)]
    joined.see(*(pair if ours_first else pair[::-1]))
    (group,) = joined.past_stack()
    assert (group.port, joined.merge.related) == (8081, 1)


@pytest.mark.parametrize("shown_ns", [NOW, NOW + SECOND], ids=["at once", "judged later"])
def test_what_was_translated_in_its_own_namespace_has_left_it(joined: Joined, shown_ns: int) -> None:
    """A rule redirects the port: the kernel tells of one port, the wire shows another; it is one reset."""
    joined.told(local_port=80)
    joined.see(reset(sport=8080, ack=42), now_ns=shown_ns - MILLISECOND)
    assert joined.past_stack(now_ns=NOW + 1300 * MILLISECOND) == []
    assert joined.past_stack(now_ns=NOW + 3 * SECOND) == []
    assert joined.merge.off_wire_of(COOKIE) == 0
    assert joined.merge.related == 1


def tracking(asked: list[tuple[str, int]], *, before: tuple[str, int] | None) -> Joined:
    """Where connection tracking says that what leaves had these ends before."""

    def answer(v6: bool, ends: bytes) -> bytes | None:
        assert not v6
        src, dst, sport, dport = ENDS.unpack(ends)
        asked.append((socket.inet_ntoa(src[:4]), sport))
        return before and ENDS.pack(socket.inet_aton(before[0]).ljust(16, b"\0"), dst, before[1], dport)

    joined = Joined()
    joined.merge = Merge()
    number = joined.merge.ring(COOKIE, INODE, lambda index: f"eth{index}", answer)
    joined.wire, joined.bench = Sightings(joined.merge, number), Bench(merge=joined.merge)
    return joined


@pytest.mark.parametrize(
    ("before", "related"), [(("172.30.0.2", 80), 1), (("172.30.0.2", 81), 0), (("192.0.2.2", 8080), 0), (None, 0)]
)
def test_connection_tracking_knows_a_translation_whose_numbers_changed_too(
    before: tuple[str, int] | None, related: int
) -> None:
    """As behind a SYN proxy; where it names nobody who reset, it is past the stack."""
    asked: list[tuple[str, int]] = []
    joined = tracking(asked, before=before)
    joined.see(reset(src="172.30.0.2", sport=80, seq=5, direction=TO_US), reset(sport=8080, seq=500005, interface=5))
    assert len(joined.past_stack()) == 1 - related
    assert asked == [("192.0.2.2", 8080)]
    assert joined.merge.related == related


def test_connection_tracking_is_asked_only_so_often() -> None:
    """A flood past the stack costs no more than that."""
    asked: list[tuple[str, int]] = []
    joined = tracking(asked, before=None)
    joined.see(*(reset(sport=1 + n, seq=n) for n in range(200)))
    assert sum(group.count for group in joined.past_stack()) == 200
    assert len(asked) == 64


def test_a_reset_of_an_applications_own_accord_is_found_by_its_numbers_or_its_ends(joined: Joined) -> None:
    """The kernel's number need not be the packet's, where the peer's window had shrunk."""
    joined.see(reset(seq=1000, ack=2000), reset(sport=1, seq=999, ack=2000))
    active = {"trigger": None, "state": "CLOSE", "socket_cookie": 1, "snd_nxt": 1000, "rcv_nxt": 2000}
    assert joined.told(**active).on_wire == 1
    assert joined.told(**active, local_port=1).on_wire == 1
    assert joined.past_stack() == []


@pytest.mark.parametrize(
    ("trigger", "fields", "seq", "ack"),
    [
        ("S", {"trigger_seq": 41}, 0, 42),
        ("S", {"trigger_seq": 0xFFFFFFFF}, 0, 0),
        ("SF", {"trigger_seq": 41, "trigger_length": 10}, 0, 53),
        ("A", {"trigger_seq": 5, "trigger_ack": 41}, 41, None),
        ("PA", {"trigger_seq": 5, "trigger_ack": 41, "trigger_length": 10}, 41, None),
        ("F", {"trigger_seq": 41}, 0, 42),
    ],
)
def test_an_answer_has_the_numbers_that_the_standard_gives_it(
    joined: Joined, trigger: str, fields: dict[str, int], seq: int, ack: int | None
) -> None:
    """RFC 9293 section 3.5.2; another reset of the same ends is another one."""
    joined.see(reset(seq=seq, ack=ack), reset(seq=seq + 1, ack=ack))
    assert joined.told(**{"trigger_seq": 0, **fields, "trigger": trigger}).on_wire == 1
    assert len(joined.past_stack()) == 1


def test_ipv6_is_joined_as_well(joined: Joined) -> None:
    """All sixteen bytes count."""
    joined.see(reset("2001:db8::2", 80, "2001:db8::1", 90, ack=42), reset("2001:db8::3", 80, "2001:db8::1", 90, ack=42))
    assert joined.told(local="2001:db8::2", local_port=80, remote="2001:db8::1", remote_port=90).on_wire == 1
    (group,) = joined.past_stack()
    assert group.samples[0].local == "2001:db8::3"


def test_segments_that_are_no_resets_are_passed_over(joined: Joined) -> None:
    """SYN and FIN come through the same ring."""
    from tests.core.packets import ethernet, ipv4, tcp
    from tests.core.taps import packet

    joined.see(packet(ethernet(ipv4(tcp("S"))), direction=OUTGOING), packet(b"\0" * 60, direction=OUTGOING))
    assert joined.merge.remembered == 0


def test_a_flood_is_bounded_and_what_is_pushed_out_is_undecided() -> None:
    """Memory has a bound; groups have one; what no group tells apart is still counted."""
    joined = Joined(most=2048)
    joined.see(*(reset(sport=1 + n % 500, dport=1 + n, seq=n) for n in range(5000)))
    assert joined.merge.remembered == 2048
    assert joined.merge.undecided == 5000 - 2048
    groups = joined.past_stack()
    assert len(groups) <= 128
    assert sum(group.count for group in groups) == 2048


def test_what_was_judged_is_forgotten_after_ten_seconds(joined: Joined) -> None:
    """So long a packet may wait in a queue before it leaves."""
    joined.told()
    joined.past_stack()
    assert joined.merge.remembered == 1
    joined.merge.begin(NOW + 20 * SECOND)
    assert joined.merge.remembered == 0


def test_limits_are_checked() -> None:
    """A power of two, and sixteen namespaces."""
    for most in (0, 1000, 1025, 3000):
        with pytest.raises(ValueError, match="limits"):
            Merge(most=most)
    merge = Merge()
    for number in range(16):
        merge.ring(number + 1, 1, str)
    with pytest.raises(ValueError, match="limits"):
        merge.ring(99, 1, str)
