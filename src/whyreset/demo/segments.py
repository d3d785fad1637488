"""Raw TCP segments, IPv4 and IPv6, as an attacker, a scanner or a peer that lost its memory would send them."""

from __future__ import annotations

import socket
import struct

from msgspec import Struct

FLAG_BITS = {letter: 1 << bit for bit, letter in enumerate("FSRPAUEC")}


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Segment(Struct, frozen=True):
    """One segment; `flags` are letters of FSRPAUEC in any order, numbers wrap at 32 bits, `options` are padded to 4."""

    src: str
    sport: int
    dst: str
    dport: int
    flags: str
    seq: int = 0
    ack: int = 0
    payload: bytes = b""
    window: int = 1024
    options: bytes = b""
    ttl: int = 64

    @property
    def family(self) -> socket.AddressFamily:
        """The address family, told from the source address."""
        return socket.AF_INET6 if ":" in self.src else socket.AF_INET

    def tcp(self) -> bytes:
        """The TCP header and payload, with their checksum."""
        options = self.options + b"\0" * (-len(self.options) % 4)
        bits = sum(FLAG_BITS[letter] for letter in set(self.flags))
        numbers = (self.seq & 0xFFFFFFFF, self.ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4, bits, self.window)
        header = struct.pack("!HHIIBBH", self.sport, self.dport, *numbers)
        rest = struct.pack("!H", 0) + options + self.payload
        length = len(header) + 2 + len(rest)
        source, destination = (socket.inet_pton(self.family, address) for address in (self.src, self.dst))
        pseudo = source + destination + struct.pack("!II", length, socket.IPPROTO_TCP)
        return header + struct.pack("!H", checksum(pseudo + header + b"\0\0" + rest)) + rest

    def packet(self) -> bytes:
        """The whole IP packet."""
        tcp = self.tcp()
        source, destination = (socket.inet_pton(self.family, address) for address in (self.src, self.dst))
        if self.family == socket.AF_INET6:
            return struct.pack("!IHBB", 6 << 28, len(tcp), socket.IPPROTO_TCP, self.ttl) + source + destination + tcp
        fields = (0x45, 0, 20 + len(tcp), 0, 0, self.ttl, socket.IPPROTO_TCP)  # the kernel fills in id and checksum
        return struct.pack("!BBHHHBBH", *fields, 0) + source + destination + tcp


def send(*segments: Segment) -> None:
    """Sends segments as they stand, whatever their source, from this thread's namespace."""
    for family in {segment.family for segment in segments}:
        # this protocol brings its own IP header
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for segment in segments:
                if segment.family == family:
                    raw.sendto(segment.packet(), (segment.dst, 0))
