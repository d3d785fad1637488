"""A packet as it was taken from an interface, and the TCP segment in it, as far as a note must name it.

Only plain TCP is found here, behind VLAN tags: what lies in tunnels is kept, and explained by whoever reads the file.
"""

from __future__ import annotations

import ipaddress
import struct

from msgspec import Struct

from whyreset.evidence.pcapng import Way

#: tcpdump.org's link types.
ETHERNET, IPV4, IPV6 = 1, 228, 229

_VLANS = (0x8100, 0x88A8)
_TCP = 6
_LETTERS = "FSRPAUEC"
_OUTGOING = 4  # sll_pkttype: include/uapi/linux/if_packet.h
#: No packet socket's: the kernel program copied the segment where it provoked a reset (core/taps.pxd).
COPIED = 255


class Frame(Struct, frozen=True):
    """One packet, where and when it was seen."""

    time_ns: int
    #: Number of the namespace that it was seen in: the caller's; of what was copied the inode number.
    place: int
    interface: int
    #: sll_pkttype, or COPIED.
    direction: int
    link_type: int
    #: Bytes that it had.
    length: int
    data: bytes
    #: When that was on a clock that never steps (as `Steady` tells), or when it was taken; 0: as `time_ns`.
    at_ns: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether the kernel program copied it: no interface showed it."""
        return self.direction == COPIED

    @property
    def way(self) -> Way:
        """Whether it went out there, or came in."""
        return "out" if self.direction == _OUTGOING else "in"


class Segment(Struct, frozen=True):
    """What names a TCP segment."""

    src: str
    sport: int
    dst: str
    dport: int
    seq: int
    ack: int
    #: Letters of FSRPAUEC.
    flags: str

    @property
    def ends(self) -> tuple[str, int, str, int]:
        """From where to where."""
        return self.src, self.sport, self.dst, self.dport


def segment_of(frame: Frame) -> Segment | None:
    """The TCP segment in a packet; None where there is none that can be read."""
    data, at = frame.data, 0
    if frame.link_type == ETHERNET:
        at = 14
        kind = int.from_bytes(data[12:14])
        while kind in _VLANS and at <= 18:
            kind = int.from_bytes(data[at + 2 : at + 4])
            at += 4
    else:
        kind = {IPV4: 0x0800, IPV6: 0x86DD}.get(frame.link_type, 0)
    if kind == 0x0800 and len(data) >= at + 20 and data[at + 9] == _TCP:
        if int.from_bytes(data[at + 6 : at + 8]) & 0x1FFF:
            return None
        addresses, size = data[at + 12 : at + 20], 4
        at += (data[at] & 0xF) * 4
    elif kind == 0x86DD and len(data) >= at + 40 and data[at + 6] == _TCP:
        addresses, size = data[at + 8 : at + 40], 16
        at += 40
    else:
        return None
    if len(data) < at + 14:
        return None
    sport, dport, seq, ack, _, flags = struct.unpack_from(">HHIIBB", data, at)
    return Segment(
        src=_address(addresses[:size]),
        sport=sport,
        dst=_address(addresses[size:]),
        dport=dport,
        seq=seq,
        ack=ack,
        flags="".join(letter for bit, letter in enumerate(_LETTERS) if flags >> bit & 1),
    )


def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
