"""Datagrams in pieces: the reset is in the frame that completes its datagram, whatever the order."""

from __future__ import annotations

import itertools
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import needs
from tests.core.packets import IP, RAW, TCP, UDP, analyze, ethernet, ipv4, ipv6, pcap, resets, tcp, udp
from tests.core.wrappings import vxlan

RESET = tcp(payload=bytes(range(200)))
MORE = 0x2000
Packet = bytes | tuple[bytes, int]


def pieces4(data: bytes, *cuts: int, number: int = 1, protocol: int = TCP, src: str = "10.0.0.1") -> list[bytes]:
    """A datagram of IPv4, cut at these offsets."""
    edges = [0, *cuts, len(data)]
    return [
        ipv4(data[a:b], protocol, number=number, src=src, fragment=a // 8 | (MORE if b < len(data) else 0))
        for a, b in itertools.pairwise(edges)
    ]


def pieces6(data: bytes, *cuts: int, number: int = 1, protocol: int = TCP, src: str = "2001:db8::1") -> list[bytes]:
    """A datagram of IPv6, cut at these offsets."""
    edges = [0, *cuts, len(data)]
    return [
        ipv6(struct.pack(">BBHI", protocol, 0, a | (b < len(data)), number) + data[a:b], 44, src=src)
        for a, b in itertools.pairwise(edges)
    ]


def cut(packet: bytes, size: int) -> Packet:
    """A packet of which only the first bytes were captured."""
    return packet[:size], len(packet)


TWO, THREE = pieces4(RESET, 8), pieces4(RESET, 16, 64)
LATE_HEADER = pieces4(RESET, 24)
TUNNEL = udp(50000, 4789, vxlan(ethernet(ipv4(RESET))))

CASES: dict[str, tuple[list[Packet], list[int]]] = {
    "in order": ([*TWO], [2]),
    "in the other order": ([*TWO[::-1]], [2]),
    "three": ([THREE[2], THREE[0], THREE[1]], [3]),
    "one missing": ([THREE[0], THREE[2]], []),
    "first alone": ([LATE_HEADER[0]], []),
    "last alone": ([LATE_HEADER[1]], []),
    "twice": ([*TWO, *TWO], [2, 4]),
    "pieces twice": ([TWO[0], TWO[0], TWO[1], TWO[1]], [3]),
    "interleaved": ([TWO[0], *pieces4(RESET, 8, number=2), TWO[1]], [3, 4]),
    "first cut short": ([cut(LATE_HEADER[0], 42), LATE_HEADER[1]], [1]),
    "first cut within the header": ([cut(LATE_HEADER[0], 30), LATE_HEADER[1]], []),
    "last cut short": ([LATE_HEADER[0], cut(LATE_HEADER[1], 42)], []),
    "last empty": ([ipv4(RESET[:24], fragment=MORE), ipv4(b"", fragment=3)], []),
    "overlapping": ([ipv4(RESET[:24], fragment=MORE), ipv4(RESET[16:], fragment=2)], [2]),
    "of another protocol": ([TWO[0], pieces4(RESET, 8, protocol=UDP)[1]], []),
    "no fragment": ([ipv4(RESET, fragment=0x4000)], [1]),
    "within a tunnel": ([ipv4(each, 4) for each in TWO], [2]),
    "around a tunnel": ([*pieces4(TUNNEL, 48, protocol=UDP)], [2]),
    "around a tunnel, the first only": ([pieces4(TUNNEL, 120, protocol=UDP)[0]], []),
    "IPv6": ([*pieces6(RESET, 8)], [2]),
    "IPv6 in the other order": ([*pieces6(RESET, 8)[::-1]], [2]),
    "IPv6 of two datagrams": ([pieces6(RESET, 8)[0], pieces6(RESET, 8, number=2)[1]], []),
    "IPv6 with a header before": (
        [ipv6(struct.pack(">BB6x", 44, 0) + pieces6(RESET, 8)[0][40:], 60), pieces6(RESET, 8)[1]],
        [2],
    ),
    "IPv6 with a header within": ([*pieces6(struct.pack(">BBBB4x", TCP, 0, 1, 4) + RESET, 16, protocol=60)], [2]),
}


@pytest.mark.parametrize(("packets", "expected"), CASES.values(), ids=CASES)
def test_the_completing_frame_has_the_reset(packets: list[Packet], expected: list[int]) -> None:
    """And the reset is whole: ports, numbers, payload."""
    found = resets(pcap(packets, RAW))
    assert [each.frame for each in found] == expected
    for each in found:
        assert (each.sport, each.dport, each.seq, each.flags) == (1234, 80, 100, "R")


def test_the_payload_is_put_together() -> None:
    """What a reset says comes from all of its pieces."""
    (found,) = resets(pcap(pieces4(RESET, 40, 80), RAW))
    assert (found.payload, found.length) == (bytes(range(128)), 200)


def test_tags_keep_datagrams_apart() -> None:
    """The same addresses and number in two VLANs are two datagrams."""
    packets = [ethernet(struct.pack(">HH", vlan, IP) + each, 0x8100) for vlan, each in zip((5, 6), TWO, strict=True)]
    assert resets(pcap(packets)) == []
    packets.append(ethernet(struct.pack(">HH", 5, IP) + TWO[1], 0x8100))
    assert [each.frame for each in resets(pcap(packets))] == [3]


def test_tshark_agrees(tmp_path: Path) -> None:
    """An independent witness completes the same datagrams in the same frames, also of random pieces."""
    path = tmp_path / "pieces.pcap"
    rng = random.Random(5)
    packets: list[Packet] = []
    for number, (case, _) in enumerate(CASES.values()):
        source = bytes([10, 1, 0, number])
        for each in case:
            data, size = each if isinstance(each, tuple) else (each, len(each))
            moved = data[:12] + source + data[16:] if data[0] >> 4 == 4 else data[:8] + source + data[12:]
            packets.append((moved, size))
    for number in range(300):
        cutting: Callable[..., list[bytes]] = rng.choice([pieces4, pieces6])
        cuts = sorted(rng.sample(range(8, 216, 8), rng.randrange(4)))
        mine: list[Packet] = [*cutting(RESET, *cuts, number=number // 3)]
        if rng.random() < 0.3:
            mine.append(rng.choice(mine))
        if rng.random() < 0.2:
            mine.pop()
        rng.shuffle(mine)
        packets += mine
    path.write_bytes(pcap(packets, RAW))
    command = [needs.command("tshark"), "-n", "-r", str(path), "-T", "fields", "-e", "frame.number"]
    done = subprocess.run(
        [*command, "-Y", "tcp.flags.reset == 1"], check=True, capture_output=True, text=True, timeout=60
    )
    seen = [int(line) for line in done.stdout.split()]
    assert [each.frame for each in resets(path.read_bytes())] == seen
    assert len(seen) > 100


def test_incomplete_datagrams_are_bounded() -> None:
    """Whoever sends beginnings without end makes the oldest be forgotten, and nothing grow."""
    flood: list[Packet] = [pieces4(RESET, 8, number=number)[0] for number in range(2000)]
    last: list[Packet] = [pieces4(RESET, 8, number=number)[1] for number in (1999, 1700, 3)]
    analyzer = analyze(pcap([*flood, *last], RAW), each=True)
    assert [each.sample.frame for each in analyzer.take()] == [2001, 2002]
    assert analyzer.summary().skipped == {"fragment": 2001}
