"""The old pcap format as bytes, for programs that read nothing newer.

It holds packets alone: all that was known of them is lost, and where they were seen but for the interface's number. As
`tcpdump -i any` does, each packet gets the header of LINKTYPE_LINUX_SLL2, so that all interfaces fit into one file.
Times are in nanoseconds. Sources: draft-ietf-opsawg-pcap, tcpdump.org's page of LINKTYPE_LINUX_SLL2.
"""

from __future__ import annotations

import struct

from whyreset.evidence.frames import ETHERNET, IPV4, Frame

LINUX_SLL2 = 276
_SNAP = 1 << 18
_ARPHRD_ETHER, _ARPHRD_NONE = 1, 0xFFFE


def header() -> bytes:
    """The beginning of a file."""
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _SNAP, LINUX_SLL2)


def packet(frame: Frame) -> bytes:
    """One packet."""
    data = frame.data
    if frame.link_type == ETHERNET:
        kind, device, sender, taken = int.from_bytes(data[12:14]), _ARPHRD_ETHER, data[6:12], 14
    else:
        kind, device, sender, taken = 0x0800 if frame.link_type == IPV4 else 0x86DD, _ARPHRD_NONE, b"", 0
    head = struct.pack(
        ">HHiHBB8s", kind, 0, frame.interface, device, 0 if frame.is_copy else frame.direction, len(sender), sender
    )
    data = head + data[taken:]
    seconds, nanoseconds = divmod(frame.time_ns, 1_000_000_000)
    length = max(frame.length - taken + len(head), len(data))
    return struct.pack("<IIII", seconds & 0xFFFFFFFF, nanoseconds, len(data), length) + data
