"""Who contacted what first: synthetic records in, contacts out."""

import random
from typing import Any

import pytest

from tests.core.fake_ring import NOW, SECOND, Bench, close, reset
from tests.core.layout import CloseEvent, ResetEvent
from whyreset.core.contacts import Contacts
from whyreset.model import Contact

DAY = 86400 * SECOND


def probe(port: int, *, at: float = 0.0, remote: str = "198.51.100.7", trigger: str = "S", **fields: Any) -> ResetEvent:
    """A segment of no connection that was answered with a reset, so many seconds from NOW."""
    return reset(
        local_port=port, remote=remote, trigger=trigger, time_ns=NOW + round(at * SECOND), **{"state": "", **fields}
    )


def accepted(port: int, *, at: float = 0.0, remote: str = "198.51.100.7", **fields: Any) -> CloseEvent:
    """A connection to a port of ours has closed."""
    when = NOW + round(at * SECOND)
    return close(local_port=port, remote=remote, time_ns=when, opened_ns=when - SECOND, **fields)


def contacts(*records: ResetEvent | CloseEvent, most: int = 64) -> list[Contact]:
    """What is told after these records."""
    bench = Bench()
    bench.write(*records)
    bench.drain(NOW + 2 * DAY)
    return bench.recorder.contacts.take(most)


def contact(*records: ResetEvent | CloseEvent) -> Contact:
    """The only remote that is told."""
    [only] = contacts(*records)
    return only


def test_places_that_failed_are_kept_exactly_while_they_are_few() -> None:
    """Each address and port of this host counts once, whatever the number of tries."""
    found = contact(probe(80), probe(81, at=1), probe(80, at=1), probe(80, at=1, local="192.0.2.3"))
    assert [(each.address, each.port) for each in found.places] == [
        ("192.0.2.2", 80),
        ("192.0.2.2", 81),
        ("192.0.2.3", 80),
    ]
    assert (found.failed, found.exact, found.tries, found.addresses) == (3, True, 4, 2)
    assert (found.first_ns, found.last_ns, found.low, found.high) == (NOW, NOW + SECOND, 80, 81)
    assert (found.remote, found.netns, found.netns_cookie) == ("198.51.100.7", 4026532000, 77)


def test_many_places_are_counted_by_a_sketch() -> None:
    """Beyond sixteen their number is an estimate; the first ones stay."""
    found = contact(*(probe(port, at=port / 1000) for port in range(1, 1001)))
    assert not found.exact
    assert 700 < found.failed < 1300
    assert [each.port for each in found.places] == list(range(1, 17))
    assert (found.low, found.high, found.tries) == (1, 1000, 1000)


def test_who_came_once_to_one_port_is_not_worth_a_look() -> None:
    """One closed port is nobody's scan, however often it is tried."""
    assert not contacts(*(probe(9100, at=15 * number) for number in range(20)))


def test_coming_back_to_a_place_is_told() -> None:
    """Who wants what is there no more does so; a scanner has its answer."""
    found = contact(probe(80), probe(81, at=4.1), probe(80, at=15), probe(80, at=30))
    assert [each.again for each in found.places] == [2, 0]
    assert [each.first_s for each in found.places] == [NOW // SECOND, NOW // SECOND + 4]


SHAPES = {
    "connect": {"trigger": "S", "trigger_options": 20},
    "syn": {"trigger": "S", "trigger_options": 4},
    "fin": {"trigger": "F"},
    "null": {"trigger": ""},
    "xmas": {"trigger": "FPU"},
    "ack": {"trigger": "A"},
    "maimon": {"trigger": "FA"},
    "other": {"trigger": "SF"},
}


@pytest.mark.parametrize(("technique", "fields"), SHAPES.items(), ids=list(SHAPES))
def test_techniques_are_told_by_the_segments_flags(technique: str, fields: dict[str, Any]) -> None:
    """Also apart from what a stack sends, where options tell that."""
    assert contact(*(probe(port, **fields) for port in (80, 81))).techniques == (technique,)


NO_TRIES = {
    "an answer": {"trigger": "SA"},
    "data": {"trigger": "PA", "trigger_length": 5},
    "an ACK with timestamps": {"trigger": "A", "trigger_options": 12},
    "a SYN that a listener refused": {"trigger": "S", "state": "LISTEN", "reason": "INVALID_SYN"},
    "a connection's own": {"trigger": None, "state": "CLOSE", "reason": "TCP_ABORT_ON_CLOSE"},
    "a segment for TIME-WAIT": {"trigger": "A", "state": "TIME_WAIT", "reason": "TCP_TIMEWAIT_SOCKET"},
}


@pytest.mark.parametrize("fields", NO_TRIES.values(), ids=list(NO_TRIES))
def test_what_is_no_try_is_no_contact(fields: dict[str, Any]) -> None:
    """Segments of connections, real or believed, are nobody's first contacts."""
    assert not contacts(*(probe(port, **fields) for port in range(80, 90)))


def test_a_late_segment_of_a_remembered_connection_is_no_contact() -> None:
    """The memory of closed connections tells it from an ACK scan."""
    bench = Bench()
    for port in (80, 81):
        bench.write(
            close(local_port=port, rcv_nxt=100, snd_nxt=500, time_ns=NOW - SECOND, remote="198.51.100.7"),
            probe(port, trigger="A", reason="NO_SOCKET", trigger_seq=100, trigger_ack=500),
        )
    [first, second] = bench.groups()
    assert first.facts.ended == second.facts.ended == "orderly"
    assert not bench.recorder.contacts.take(64)


def test_an_accepted_connection_is_a_success_and_a_handshake() -> None:
    """It proves the address, and names the open port."""
    found = contact(probe(81), accepted(80), accepted(80), accepted(443), probe(82))
    assert (found.opened, found.accepted, found.handshake) == ((80, 443), 3, True)


def test_a_connection_that_this_host_opened_proves_the_address_only() -> None:
    """Its server answered; that is no contact of the server's with us."""
    found = contact(probe(81), accepted(50000, named=("ACTIVE_OPEN",)), probe(82))
    assert (found.opened, found.accepted, found.handshake) == ((), 0, True)


@pytest.mark.parametrize("state", ["SYN_SENT", "SYN_RECV"])
def test_an_unfinished_handshake_proves_nothing(state: str) -> None:
    """Whoever spoofs an address gets that far too."""
    assert not contact(probe(81), probe(82), accepted(80, state_before=state)).handshake


def test_ipv6_remotes_are_told_by_their_network() -> None:
    """One host may have all of a /64."""
    found = contact(*(probe(80 + n, remote=f"2001:db8:0:1::{n:x}", local="2001:db8::1") for n in range(1, 5)))
    assert (found.remote, found.failed) == ("2001:db8:0:1::/64", 4)


def test_namespaces_are_apart() -> None:
    """The same address in two namespaces is two remotes."""
    records = [probe(port, netns_cookie=cookie) for port in (80, 81) for cookie in (77, 78)]
    assert {each.netns_cookie for each in contacts(*records)} == {77, 78}


def test_only_what_changed_is_told_and_so_many_at_once() -> None:
    """Those with more places go first; the others wait for the next time."""
    bench = Bench()
    few = [probe(port, remote=f"192.0.2.{host}") for host in range(10, 40) for port in (80, 81)]
    many = [probe(port, remote="192.0.2.200") for port in range(1, 9)]
    bench.groups(*few, *many)
    table = bench.recorder.contacts
    first = table.take(8)
    assert first[0].remote == "192.0.2.200"
    assert (len(first), table.waiting) == (8, 23)
    assert len(table.take(64)) == 23
    assert not table.take(64)
    bench.groups(probe(82, at=5, remote="192.0.2.11"))
    assert [each.remote for each in table.take(64)] == ["192.0.2.11"]


def test_evidence_lives_for_a_day() -> None:
    """What was tried before the last day began is forgotten, but not that the address is real."""
    found = contact(accepted(80), probe(81), probe(82), probe(83, at=86500), probe(84, at=86600))
    assert [each.port for each in found.places] == [83, 84]
    assert (found.handshake, found.accepted) == (True, 0)


def flood(bench: Bench, sources: int, port: int | None, seed: int = 1, at: float = 0.0) -> None:
    """So many spoofed sources within a second each 100,000, one try each; without a port at any."""
    dice = random.Random(seed)
    record = probe(port or 80)
    for number in range(sources):
        record.remote[:4] = dice.randbytes(4)
        record.time_ns = NOW + round((at + number / 100_000) * SECOND)
        record.local_port = port or dice.randrange(1, 65536)
        bench.write(record)
        if number % 1000 == 0:
            bench.drain()


@pytest.mark.parametrize("port", [4444, None], ids=["one port", "any ports"])
def test_a_million_spoofed_sources_hide_no_scan(port: int | None) -> None:
    """Memory stays as it was, what is forgotten or passed over is counted, and a scan meanwhile is found."""
    bench = Bench()
    table = bench.recorder.contacts
    for part in range(10):
        flood(bench, 100_000, port, seed=part, at=part)
        bench.groups(*(probe(1000 + 4 * part + n, at=part + 0.1 * n, remote="198.51.100.7") for n in range(4)))
    assert table.held <= table.capacity
    assert table.forgotten + table.passed > 900_000
    scanner = next(each for each in table.take(4096) if each.remote == "198.51.100.7")
    assert scanner.failed > 30


def test_a_slow_scan_outlives_what_only_passes_by() -> None:
    """A port a minute, among as many other remotes as the table holds: each newcomer takes another's room.

    After its first port alone nothing tells the scanner from those: that one may be lost, and what follows is enough.
    """
    bench = Bench()
    for minute in range(6):
        bench.groups(probe(1000 + minute, at=60 * minute, remote="203.0.113.9"))
        flood(bench, 2000, None, seed=minute, at=60 * minute + 30)
    scanner = next(each for each in bench.recorder.contacts.take(4096) if each.remote == "203.0.113.9")
    assert scanner.failed >= 4


def test_nobody_can_fill_the_table_for_the_day() -> None:
    """A newcomer has room also where every other remote tried many places."""
    bench = Bench()
    table = Contacts(64)
    assert table.capacity == 64
    for host in range(2000):
        bench.groups(*(probe(port, remote=f"10.{host >> 8}.{host & 255}.1", at=host / 100) for port in range(20)))
    bench.recorder.contacts.take(4096)
    bench.groups(*(probe(port, remote="198.51.100.7", at=30) for port in range(4)))
    assert [each.failed for each in bench.recorder.contacts.take(64)] == [4]
