"""Like resets are counted together: none is lost by that, and what tells them apart stays while there is room."""

from __future__ import annotations

import pytest

from tests.core.packets import NOW, RAW, SECOND, analyze, groups, ipv4, pcap, tcp
from tests.core.talk import CLIENT, C, S, Talk
from whyreset.observation import Observations, Tally


def refused(count: int, scanners: int = 1, hosts: int = 1, ports: int = 65535) -> bytes:
    """A scan: SYN and reset, so many of them, over these many scanners, hosts and ports."""
    packets = []
    for number in range(count):
        ends = (
            f"10.0.{number % scanners >> 8}.{number % scanners & 255}",
            f"10.9.{number % hosts >> 8}.{number % hosts & 255}",
        )
        sport, dport = 40000 + number // ports % 20000, 1 + number % ports
        packets.append(ipv4(tcp("S", sport=sport, dport=dport, seq=CLIENT), src=ends[0], dst=ends[1]))
        packets.append(ipv4(tcp("RA", sport=dport, dport=sport, seq=0, ack=C), src=ends[1], dst=ends[0]))
    return pcap(packets, RAW, every_ns=10_000)


def told(found: list[Observations]) -> list[tuple[int, str, str, str]]:
    """Count, senders, receivers, ports: the one that there is, or how many."""
    return [(each.count, _only(each.senders), _only(each.receivers), _only(each.ports)) for each in found]


def _only(tally: Tally) -> str:
    return tally.top[0][0] if tally.distinct == 1 else str(tally.distinct)


def test_like_resets_are_one_group() -> None:
    """From the first to the last, with the first as a sample; other ports of the client do not matter."""
    talk = Talk()
    for number in range(5):
        talk.client("S", CLIENT, port=40000 + number, after=0.5).server("RA", 0, C, port=40000 + number)
    (found,) = talk.analyze().take()
    assert (found.count, found.sample.frame, found.last_ns - found.first_ns) == (5, 2, 4 * 501 * SECOND // 1000)
    assert found.first_ns == NOW + 501 * SECOND // 1000
    assert (found.senders.top, found.receivers.top, found.ports.top) == (
        (("10.0.0.2", 5),),
        (("10.0.0.1", 5),),
        (("80", 5),),
    )
    assert found.senders.exact


def test_what_differs_is_told_apart() -> None:
    """By sender, by receiver, by the service's port, by traits."""
    assert told(groups(refused(2, hosts=2, ports=1))) == [
        (1, "10.9.0.0", "10.0.0.0", "1"),
        (1, "10.9.0.1", "10.0.0.0", "1"),
    ]
    assert told(groups(refused(2, scanners=2, ports=1))) == [
        (1, "10.9.0.0", "10.0.0.0", "1"),
        (1, "10.9.0.0", "10.0.0.1", "1"),
    ]
    assert told(groups(refused(2))) == [(1, "10.9.0.0", "10.0.0.0", "1"), (1, "10.9.0.0", "10.0.0.0", "2")]
    talk = Talk().client("S", CLIENT).server("RA", 0, C).client("S", CLIENT, port=40001).server("R", S, port=40001)
    assert len(talk.analyze().take()) == 2


def test_a_scan_is_put_together_by_who_scans() -> None:
    """Beyond the room for single ports there is one group for each that gets resets, with how many ports and hosts."""
    found = groups(refused(20_000, scanners=3, hosts=200))
    assert sum(each.count for each in found) == 20_000
    crowds = [each for each in found if each.ports.distinct > 1]
    assert sorted(each.receivers.top[0][0] for each in crowds) == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    for each in crowds:
        assert each.receivers.distinct == 1
        assert not each.senders.exact
        assert each.senders.distinct == pytest.approx(200, rel=0.05)
        assert each.ports.distinct == each.count
    assert len(found) <= 512 + 3


def test_a_flood_of_many_is_put_together_by_its_victim() -> None:
    """Where there are too many receivers too, one group for each that sends."""
    found = groups(refused(20_000, scanners=20_000, ports=20_000))
    assert sum(each.count for each in found) == 20_000
    largest = max(found, key=lambda each: each.count)
    assert (largest.senders.top[0][0], largest.senders.distinct) == ("10.9.0.0", 1)
    assert largest.receivers.distinct == pytest.approx(largest.count, rel=0.06)


def test_groups_are_bounded() -> None:
    """Whatever comes between two calls, and a call empties them."""
    analyzer = analyze(refused(60_000, scanners=60_000, hosts=59_999, ports=59_998))
    found = analyzer.take()
    assert len(found) <= 512 + 128 + 128 + 256
    assert sum(each.count for each in found) == 60_000 == analyzer.summary().resets
    assert analyzer.take() == []


def test_each_reset_may_be_asked_for() -> None:
    """Then every group has one."""
    found = analyze(refused(3000), each=True).take()
    assert [each.count for each in found] == [1] * 3000
    assert [each.sample.frame for each in found] == [*range(2, 6002, 2)]


def test_what_few_have_goes_with_the_sample_only() -> None:
    """Payloads, comments and tunnels of those that are merely counted are not kept."""
    talk = Talk()
    for number in range(100):
        talk.client("S", CLIENT, port=40000 + number).server("R", 7, payload=b"%03d" % number, port=40000 + number)
    (found,) = talk.analyze().take()
    assert (found.count, found.sample.payload) == (100, b"000")


def test_more_resets_wait_than_there_is_room_for() -> None:
    """Those that wait longest are given out before their time, say so, and are counted."""
    analyzer = analyze(refused(40_000), each=True)
    found = analyzer.take()
    assert len(found) == 40_000
    assert analyzer.summary().hurried == 40_000 - 16_384
    assert not any(each.sample.later.complete for each in found)
