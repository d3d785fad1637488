"""Packets and capture files made by hand: headers of every kind, and what reads them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from whyreset.core.segments import Analyzer
from whyreset.observation import Observation, Observations

SECOND = 1_000_000_000
#: When the tests happen.
NOW = 1_700_000_000 * SECOND
ETHERNET, RAW = 1, 101
IP, IPV6, VLAN = 0x0800, 0x86DD, 0x8100
TCP, UDP = 6, 17
_LETTERS = "FSRPAUEC"
_MACS = b"\2\0\0\0\0\2" + b"\2\0\0\0\0\1"


def tcp(
    flags: str = "R",
    *,
    sport: int = 1234,
    dport: int = 80,
    seq: int = 100,
    ack: int = 0,
    window: int = 512,
    options: bytes = b"",
    payload: bytes = b"",
    offset: int | None = None,
) -> bytes:
    """A TCP segment; `flags` are letters of FSRPAUEC."""
    bits = sum(1 << _LETTERS.index(letter) for letter in flags)
    words = 5 + len(options) // 4 if offset is None else offset
    header = struct.pack(
        ">HHIIHHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 12 | bits, window, 0, 0
    )
    return header + options + payload


def udp(sport: int, dport: int, payload: bytes, length: int | None = None) -> bytes:
    """A UDP datagram; `length` is what its header says."""
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(
    payload: bytes,
    protocol: int = TCP,
    *,
    src: str = "10.0.0.1",
    dst: str = "10.0.0.2",
    ttl: int = 64,
    number: int = 1,
    fragment: int = 0,
    options: bytes = b"",
    total: int | None = None,
) -> bytes:
    """An IPv4 packet; `fragment` is the field with its flags, `total` what the header says."""
    length = 20 + len(options) + len(payload) if total is None else total
    ends = socket.inet_aton(src) + socket.inet_aton(dst)
    version = 0x45 + len(options) // 4
    return struct.pack(">BBHHHBBH", version, 0, length, number, fragment, ttl, protocol, 0) + ends + options + payload


def ipv6(
    payload: bytes,
    protocol: int = TCP,
    *,
    src: str = "2001:db8::1",
    dst: str = "2001:db8::2",
    ttl: int = 64,
    length: int | None = None,
) -> bytes:
    """An IPv6 packet; `length` is what the header says."""
    ends = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    return struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, protocol, ttl) + ends + payload


def ethernet(payload: bytes, kind: int = IP) -> bytes:
    """An Ethernet frame; `kind` is an EtherType or a length."""
    return _MACS + struct.pack(">H", kind) + payload


def pcap(
    packets: Iterable[bytes | tuple[bytes, int]],
    link: int = ETHERNET,
    *,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    every_ns: int = SECOND // 1000,
    start_ns: int = NOW,
) -> bytes:
    """A pcap file. A packet with a number was longer on the wire. `every_ns`: time between packets."""
    unit = 1 if magic == 0xA1B23C4D else 1000
    out = [struct.pack(order + "IHHiIII", magic, *version, 0, 0, 262144, link)]
    for count, each in enumerate(packets):
        data, real = each if isinstance(each, tuple) else (each, len(each))
        seconds, rest = divmod(start_ns + count * every_ns, SECOND)
        out.append(struct.pack(order + "IIII", seconds, rest // unit, len(data), real))
        if magic == 0xA1B2CD34:
            out.append(struct.pack(order + "IHBB", 7, 0, 0, 0))
        out.append(data)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of a pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """An option of a block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", version: tuple[int, int] = (1, 0)) -> bytes:
    """A section header block."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1), order)


def interface(link: int = ETHERNET, options: bytes = b"", order: str = "<", snap: int = 0) -> bytes:
    """An interface description block."""
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(data: bytes, ticks: int = 0, number: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    """An enhanced packet block."""
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def analyze(data: bytes, blocks: Sequence[int] = (), **settings: Any) -> Analyzer:
    """A file read to its end; in blocks that end at these offsets, or in one."""
    analyzer = Analyzer(**settings)
    start = 0
    for end in (*sorted(blocks), len(data)):
        analyzer.feed(data[start:end])
        start = end
    analyzer.end()
    analyzer.finish()
    return analyzer


def groups(data: bytes, blocks: Sequence[int] = ()) -> list[Observations]:
    """The resets of a file, like ones together."""
    return analyze(data, blocks).take()


def resets(data: bytes, blocks: Sequence[int] = ()) -> list[Observation]:
    """The resets of a file, each by itself."""
    return [each.sample for each in analyze(data, blocks, each=True).take()]


def frames(data: bytes) -> list[int]:
    """In which frames resets are."""
    return [each.frame for each in resets(data)]
