"""Twins: one reset seen where it was sent and where it was received, when both ends are on this host."""

from typing import Any

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench, received, reset
from tests.core.layout import ResetEvent
from whyreset.model import Group

HERE: dict[str, Any] = {"local": "127.0.0.1", "local_port": 8080, "remote": "127.0.0.2", "remote_port": 50000}
THERE: dict[str, Any] = {"local": "127.0.0.2", "local_port": 50000, "remote": "127.0.0.1", "remote_port": 8080}


def sent(**fields: Any) -> ResetEvent:
    """The end that sends."""
    return reset(**{"trigger": "S", **HERE, **fields})


def came(**fields: Any) -> ResetEvent:
    """The end that receives."""
    return received(
        **{"time_ns": NOW + 10_000, "state": "SYN_SENT", "snd_nxt": 1, "netns_cookie": 99, **THERE, **fields}
    )


def twins(*records: ResetEvent) -> list[Group]:
    """The groups of these records."""
    return Bench().groups(*records)


def test_both_ends_refer_to_each_other() -> None:
    """Groups and samples name their counterpart by number."""
    there, here = reversed(twins(sent(), came()))
    assert (here.twin, there.twin) == (there.number, here.number)
    assert (here.samples[0].twin, there.samples[0].twin) == (there.samples[0].number, here.samples[0].number)


def test_the_order_in_the_ring_does_not_matter() -> None:
    """On another CPU the receiving end may be written first."""
    here, there = twins(came(), sent())
    assert (here.twin, there.twin) == (there.number, here.number)


def test_ipv6_has_twins_too() -> None:
    """Both families are joined alike."""
    ends = {"local": "::1", "remote": "::1"}
    here, there = twins(sent(**ends), came(**ends))
    assert (here.twin, there.twin) == (there.number, here.number)


def test_a_reset_has_one_twin() -> None:
    """A second reset received on the same four-tuple is not the same reset again."""
    here, first, second = twins(sent(), came(), came(state="ESTABLISHED"))
    assert (here.twin, first.twin, second.twin) == (first.number, here.number, None)


def test_like_resets_with_and_without_a_twin_are_two_groups() -> None:
    """What was explained at its sender is not mixed with what came from elsewhere."""
    groups = twins(sent(), came(), came(remote="192.0.2.1"))
    assert [(group.facts.direction, group.twin is None) for group in groups] == [
        ("sent", False),
        ("received", False),
        ("received", True),
    ]


@pytest.mark.parametrize("apart", [SECOND, -SECOND])
def test_twins_are_within_a_second(apart: int) -> None:
    """A second apart they may be the same reset, more than that they are two."""
    here, there = twins(sent(time_ns=NOW), came(time_ns=NOW + apart))
    assert here.twin == there.number
    here, there = twins(sent(time_ns=NOW), came(time_ns=NOW + apart + apart // SECOND))
    assert (here.twin, there.twin) == (None, None)


OTHERS: dict[str, dict[str, Any]] = {
    "sender's address": {"remote": "127.0.0.3"},
    "sender's port": {"remote_port": 8081},
    "receiver's address": {"local": "127.0.0.3"},
    "receiver's port": {"local_port": 50001},
    "same sides": HERE,
    "IPv6": {"local": "7f00:2::", "remote": "7f00:1::"},
}


@pytest.mark.parametrize("fields", OTHERS.values(), ids=list(OTHERS))
def test_another_four_tuple_is_no_twin(fields: dict[str, Any]) -> None:
    """Addresses, ports and sides must mirror each other."""
    here, there = twins(sent(), came(**fields))
    assert (here.twin, there.twin) == (None, None)


NUMBERS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "it acknowledges our SYN": ({"trigger": "S", "trigger_seq": 699}, {"snd_nxt": 700}, True),
    "it acknowledges another SYN": ({"trigger": "S", "trigger_seq": 1699}, {"snd_nxt": 700}, False),
    "its number is the next": ({"trigger": None, "snd_nxt": 500}, {"state": "ESTABLISHED", "rcv_nxt": 500}, True),
    "its number is that of our ACK": (
        {"trigger": "PA", "trigger_ack": 500},
        {"state": "ESTABLISHED", "rcv_nxt": 500},
        True,
    ),
    "one before the next, after FIN": (
        {"trigger": None, "snd_nxt": 0xFFFFFFFF},
        {"state": "CLOSE_WAIT", "rcv_nxt": 0},
        True,
    ),
    "a number that another namespace's may be": (
        {"trigger": None, "snd_nxt": 3000},
        {"state": "ESTABLISHED", "rcv_nxt": 500},
        False,
    ),
    "another connection's number": (
        {"trigger": None, "snd_nxt": 1 << 31},
        {"state": "ESTABLISHED", "rcv_nxt": 500},
        False,
    ),
    "a number of the past": ({"trigger": None, "snd_nxt": 400}, {"state": "ESTABLISHED", "rcv_nxt": 500}, False),
}


@pytest.mark.parametrize("apart", [10_000, 100 * MILLISECOND])
@pytest.mark.parametrize(("there", "here", "expected"), NUMBERS.values(), ids=list(NUMBERS))
def test_the_numbers_must_be_what_the_receiver_could_accept(
    there: dict[str, Any], here: dict[str, Any], expected: bool, apart: int
) -> None:
    """In another namespace the same four-tuple may be reset at the same time; in one visit, and in two."""
    bench = Bench()
    if apart < MILLISECOND:
        _, last = bench.groups(sent(**there), came(**here))
    else:
        bench.group(sent(**there))
        last = bench.group(came(time_ns=NOW + apart, **here))
    assert (last.twin is not None) == expected


def test_of_equal_four_tuples_each_finds_its_own() -> None:
    """Of two pairs of namespaces with the same addresses, the nearer in time is not always the twin."""
    one, other = {"snd_nxt": 1000}, {"snd_nxt": 4000}
    groups = twins(
        sent(trigger=None, netns_cookie=1, **one),
        sent(trigger=None, netns_cookie=2, time_ns=NOW + 5_000, **other),
        came(state="ESTABLISHED", netns_cookie=3, time_ns=NOW + 6_000, rcv_nxt=1000),
        came(state="ESTABLISHED", netns_cookie=4, time_ns=NOW + 7_000, rcv_nxt=4000),
    )
    found = {group.netns_cookie: group for group in groups}
    assert (found[1].twin, found[3].twin) == (found[3].number, found[1].number)
    assert (found[2].twin, found[4].twin) == (found[4].number, found[2].number)


def test_a_twin_is_found_in_the_next_flush() -> None:
    """Where a flush comes between them, the receiving end still refers to the sending one."""
    bench = Bench()
    here = bench.group(sent(local_port=8080))
    others = [reset(trigger="S", local_port=port) for port in range(1, 9)]
    there = bench.groups(*others, came())[-1]
    assert there.twin == here.number
    assert there.samples[0].twin == here.samples[0].number


def test_a_late_twin_leaves_the_groups_of_the_next_flush_alone() -> None:
    """What took the sending group's place in the table is not given its twin."""
    bench = Bench()
    bench.group(sent())
    stranger, there = bench.groups(reset(trigger="S", local_port=81), came())
    assert there.twin is not None
    assert stranger.twin is None
    assert stranger.samples[0].twin is None


def test_each_of_many_twins_is_found() -> None:
    """Hundreds of connections reset at once on loopback are all joined, in one group at each end."""
    ports = range(1, 301)
    records = [sent(remote_port=port) for port in ports]
    here, there = twins(*records, *[came(local_port=port, named=["ACTIVE_OPEN"]) for port in ports])
    assert (here.count, there.count) == (300, 300)
    assert (here.twin, there.twin) == (there.number, here.number)
    by_number = {each.number: each for each in (*here.samples, *there.samples)}
    assert len(by_number) == 6
    for sample in by_number.values():
        assert sample.twin is not None
        twin = by_number[sample.twin]
        assert (twin.local_port, twin.remote_port, twin.twin) == (sample.remote_port, sample.local_port, sample.number)


def test_a_twin_beyond_the_samples_is_still_named() -> None:
    """The receiving sample names its counterpart by number also where that was only counted."""
    bench = Bench(samples_per_group=1)
    here, there = bench.groups(sent(remote_port=1), sent(remote_port=2), came(local_port=2))
    assert (here.count, there.samples[0].twin) == (2, here.last_number)


def test_crowded_groups_take_no_twin() -> None:
    """Received resets that are put together for want of room come from many senders: none explains them all."""
    bench = Bench(group_limit=1)
    records = [reset(trigger="S", local_port=1), sent(), came(), came(remote="192.0.2.1", time_ns=NOW + MILLISECOND)]
    _, here, there = bench.groups(*records)
    assert here.facts.crowded
    assert there.facts.crowded
    assert there.count == 2
    assert (here.twin, there.twin) == (None, None)


def test_twins_are_found_in_a_flood() -> None:
    """Tens of thousands of resets to spoofed addresses in one visit do not hide those that this host received."""
    bench = Bench(size=1 << 24)
    flood = [
        reset(trigger="S", remote=f"198.18.{n >> 8 & 255}.{n & 255}", remote_port=n % 60000) for n in range(40_000)
    ]
    ports = range(1, 101)
    pairs = [sent(remote_port=port) for port in ports] + [
        came(local_port=port, named=["ACTIVE_OPEN"]) for port in ports
    ]
    bench.resets.write_all(flood[:20_000] + pairs[:100] + flood[20_000:] + pairs[100:])
    received_groups = [group for group in bench.groups() if group.facts.direction == "received"]
    assert sum(group.count for group in received_groups if group.twin is not None) == 100


@pytest.mark.parametrize("first_ns", range(-3, 20))
def test_a_receiver_traced_first_waits_for_its_sender(first_ns: int) -> None:
    """An active reset is traced after it was transmitted; wherever a visit ends, the two are joined."""
    bench = Bench()
    bench.write(came(time_ns=NOW, state="ESTABLISHED"), sent(time_ns=NOW + 10, trigger=None, state="CLOSE"))
    bench.drain(NOW + 2 * MILLISECOND + first_ns)
    groups = bench.recorder.flush() + bench.groups()
    here, there = groups if groups[0].facts.direction == "sent" else reversed(groups)
    assert there.twin == here.number


def test_a_receiver_waits_a_millisecond_longer_than_others() -> None:
    """Its sender may be traced after it, but not much: then it is taken, with or without a twin."""
    bench = Bench()
    bench.write(came(time_ns=NOW), sent(time_ns=NOW + 10, local_port=81))
    assert bench.drain(NOW + 3 * MILLISECOND - 1) == 0
    assert bench.drain(NOW + 3 * MILLISECOND) == 2
