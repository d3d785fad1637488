"""Blocks of packets as a packet socket's ring has them; a file stands for the ring."""

from __future__ import annotations

import socket
import struct
import tempfile

from tests.core.packets import IP, ethernet, ipv4, ipv6, tcp
from whyreset.core.taps import Sink, Tap

BLOCK = 1 << 16
TO_US, OUTGOING = 0, 4


def block(*packets: bytes, count: int | None = None, first: int = 48, size: int = BLOCK) -> bytes:
    """A block that is ready, with these packets one after the other."""
    head = struct.pack("=IIIIII", 1, 0, 1, len(packets) if count is None else count, first, size)
    return (head.ljust(48, b"\0") + b"".join(packets)).ljust(size, b"\0")


def packet(
    data: bytes,
    *,
    follows: int | None = None,
    mac: int = 80,
    net: int = 94,
    snap: int | None = None,
    interface: int = 3,
    direction: int = TO_US,
    time_ns: int = 5_000_000_007,
) -> bytes:
    """A packet's header, its address and its bytes."""
    size = (mac + len(data) + 15) & ~15
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    header = struct.pack(
        "=IIIIIIHHIIHH8x",
        *(size if follows is None else follows, seconds, nanoseconds, len(data) if snap is None else snap, len(data)),
        *(0, mac, net, 0, 0, 0, 0),
    )
    address = struct.pack("=HHiHBB8x", 17, socket.htons(IP), interface, 1, direction, 6)
    return (header + address).ljust(mac, b"\0") + data.ljust(size - mac, b"\0")


def feed(sink: Sink, *packets: bytes) -> None:
    """Hands packets to a sink, as many blocks as they need."""
    for start in range(0, len(packets), 256):
        with tempfile.TemporaryFile() as file:
            file.write(block(*packets[start : start + 256]))
            file.flush()
            Tap(file.fileno(), BLOCK, 1).drain([sink])


def reset(
    src: str = "192.0.2.2",
    sport: int = 8080,
    dst: str = "192.0.2.1",
    dport: int = 50000,
    *,
    seq: int = 0,
    ack: int | None = None,
    interface: int = 3,
    direction: int = OUTGOING,
    ttl: int = 64,
) -> bytes:
    """A reset on the wire."""
    segment = tcp("R" if ack is None else "RA", sport=sport, dport=dport, seq=seq, ack=ack or 0)
    if ":" in src:
        return packet(ethernet(ipv6(segment, src=src, dst=dst), 0x86DD), interface=interface, direction=direction)
    return packet(ethernet(ipv4(segment, src=src, dst=dst, ttl=ttl)), interface=interface, direction=direction)
