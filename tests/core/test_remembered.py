"""The table of connections: it is bounded, forgets what is worth least, and says so."""

from __future__ import annotations

import subprocess
import sys

from tests.core.packets import NOW, RAW, SECOND, analyze, ipv4, pcap, tcp
from tests.core.talk import CLIENT, SERVER, C, S, Talk
from whyreset.observation import Conversations


def opened(count: int, every_ns: int = 1000, start_ns: int = NOW) -> bytes:
    """So many connections that are opened and stay open."""
    packets = []
    for number in range(count):
        client, server = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", "10.255.0.1"
        packets.append(ipv4(tcp("S", seq=CLIENT), src=client, dst=server))
        packets.append(ipv4(tcp("SA", sport=80, dport=1234, seq=SERVER, ack=C), src=server, dst=client))
        packets.append(ipv4(tcp("A", seq=C, ack=S), src=client, dst=server))
    return pcap(packets, RAW, every_ns=every_ns, start_ns=start_ns)


def then(first: bytes, second: bytes) -> bytes:
    """Two captures of one layout, one after the other."""
    return first + second[24:]


def reset_of(number: int, start_ns: int) -> bytes:
    """A reset of one of them."""
    packet = ipv4(
        tcp("RA", seq=C, ack=S), src=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", dst="10.255.0.1"
    )
    return pcap([packet], RAW, start_ns=start_ns)


def totals(data: bytes, capacity: int) -> Conversations:
    """The summary of a capture."""
    return analyze(data, capacity=capacity).summary()


def test_what_fits_is_all_remembered() -> None:
    """The table grows from small to its bound without forgetting an open connection."""
    found = totals(opened(50_000), capacity=1 << 18)
    assert (found.connections, found.complete) == (50_000, 50_000)
    assert (found.evicted_open, found.evicted_ended, found.evicted_unanswered) == (0, 0, 0)


def test_what_does_not_fit_is_forgotten_and_counted() -> None:
    """As many as there are too many."""
    found = totals(opened(20_000), capacity=4096)
    assert found.evicted_open == 20_000 - 4096


def test_a_reset_on_a_connection_that_was_forgotten_says_so() -> None:
    """The connection looks like a new one, but its state may have been lost."""
    data = opened(20_000)
    lost = analyze(then(data, reset_of(3, NOW + SECOND)), capacity=4096, each=True).take()
    assert [(each.sample.handshake, each.sample.traits.state_lost) for each in lost] == [("none", True)]
    kept = analyze(then(data, reset_of(3, NOW + SECOND)), each=True).take()
    assert [(each.sample.handshake, each.sample.traits.state_lost) for each in kept] == [("complete", False)]


def test_others_are_not_said_to_be_lost() -> None:
    """A reset of ends that were never seen is what it looks like."""
    found = analyze(then(opened(5000), reset_of(70_000, NOW + SECOND)), capacity=4096, each=True).take()
    assert [each.sample.traits.state_lost for each in found] == [False]


def test_a_scan_pushes_no_open_connection_out() -> None:
    """Attempts that nobody answers, or that are refused, go first."""
    scan = []
    for number in range(100_000):
        ends = (f"172.16.{number >> 8 & 255}.{number & 255}", f"172.17.{number >> 16}.1")
        scan.append(ipv4(tcp("S", seq=CLIENT, sport=number & 0xFFFF), src=ends[0], dst=ends[1]))
        if number % 2:
            back = tcp("RA", sport=80, dport=number & 0xFFFF, seq=0, ack=C)
            scan.append(ipv4(back, src=ends[1], dst=ends[0]))
    data = then(opened(2000), pcap(scan, RAW, every_ns=1000, start_ns=NOW + SECOND))
    found = totals(then(data, reset_of(7, NOW + 2 * SECOND)), capacity=8192)
    assert (found.connections, found.evicted_open) == (102_000, 0)
    assert found.evicted_unanswered > 40_000


def test_the_table_grows_only_for_what_is_worth_it() -> None:
    """Connections that ended a while ago make room for others: nothing is lost by that."""
    talk = Talk()
    for number in range(3000):
        talk.client("S", CLIENT, port=10_000 + number).server("SA", SERVER, C, port=10_000 + number)
        talk.client("FA", port=10_000 + number, after=1).server("FA", ack=C + 1, port=10_000 + number)
    found = talk.analyze(capacity=512).summary()
    assert (found.connections, found.evicted_open, found.evicted_ended) == (3000, 0, 0)


def test_memory_is_the_same_for_ten_times_as_much() -> None:
    """A million connections need what a hundred thousand need."""
    program = """
import resource, struct, sys
from whyreset.core.segments import Analyzer
analyzer = Analyzer(capacity=1 << 14)
analyzer.feed(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
head = bytes.fromhex("4500002800010000400600000a000000")
for at in range(int(sys.argv[1]) // 1000):
    out = []
    for each in range(at * 1000, at * 1000 + 1000):
        out.append(struct.pack("<IIII", 1 + at, each % 1000, 40, 40) + head + struct.pack(">I", each))
        out.append(struct.pack(">HHIIHHHH", each & 0xFFFF, 80, 1, 1, 0x5004, 1, 0, 0))
    analyzer.feed(b"".join(out))
    analyzer.take()
analyzer.finish()
analyzer.take()
print(analyzer.summary().resets, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    used = []
    for count in (100_000, 1_000_000):
        done = subprocess.run(
            [sys.executable, "-c", program, str(count)], check=True, capture_output=True, text=True, timeout=200
        )
        resets, peak = map(int, done.stdout.split())
        assert resets == count
        used.append(peak)
    assert used[1] < used[0] * 1.05
