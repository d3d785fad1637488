"""Capture formats: every dialect is read, frames have Wireshark's numbers, and damage is told with its byte."""

import struct

import pytest

from tests.core.packets import (
    NOW,
    RAW,
    SECOND,
    analyze,
    block,
    enhanced,
    ethernet,
    frames,
    interface,
    ipv4,
    option,
    pcap,
    resets,
    section,
    tcp,
)
from whyreset.observation import Problem

RESET = ethernet(ipv4(tcp()))
OTHER = ethernet(ipv4(tcp("A")))
EACH_ORDER = pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])


@EACH_ORDER
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34], ids=["micro", "nano", "modified"])
def test_pcap_is_read_in_all_its_dialects(order: str, magic: int) -> None:
    """Both byte orders, microseconds and nanoseconds, and the longer records that some Linux kernels wrote."""
    found = resets(pcap([OTHER, RESET], order=order, magic=magic, every_ns=1500))
    assert [(each.frame, each.time_ns - NOW) for each in found] == [(2, 1500 if magic == 0xA1B23C4D else 1000)]
    assert found[0].interface == ("7" if magic == 0xA1B2CD34 else "")


def test_lengths_in_the_other_order_are_told() -> None:
    """Writers before version 2.4 exchanged the captured and the real length."""
    assert frames(pcap([(RESET[:50], len(RESET))], version=(2, 3))) == [1]
    data = bytearray(pcap([(RESET[:50], len(RESET))], version=(2, 3)))
    data[32:40] = data[36:40] + data[32:36]
    assert frames(bytes(data)) == [1]


@EACH_ORDER
def test_pcapng_is_read_in_both_orders(order: str) -> None:
    """Enhanced, simple and obsolete packet blocks; a simple one has no time, so it has the last one's."""
    old = struct.pack(order + "HHIIII", 0, 0, 0, 7, len(RESET), len(RESET)) + RESET
    simple = struct.pack(order + "I", len(RESET)) + RESET
    data = section(order) + interface(order=order) + enhanced(OTHER, order=order) + enhanced(RESET, 5, order=order)
    data += block(2, old, order) + block(3, simple, order)
    assert [(each.frame, each.time_ns) for each in resets(data)] == [(2, 5000), (3, 7000), (4, 7000)]


RESOLUTIONS = {
    "none said": (b"", 5, 5_000),
    "milliseconds": (option(9, b"\x03"), 5, 5_000_000),
    "nanoseconds": (option(9, b"\x09"), 5, 5),
    "seconds": (option(9, b"\x00"), 5, 5 * SECOND),
    "picoseconds": (option(9, b"\x0c"), 5_000_001, 5_000),
    "finer than anything": (option(9, b"\x7f"), 1 << 60, 0),
    "half seconds": (option(9, b"\x81"), 5, 2_500_000_000),
    "2**-32 seconds": (option(9, b"\xa0"), 5 << 32 | 1 << 31, 5_500_000_000),
    "2**-127 seconds": (option(9, b"\xff"), 1 << 60, 0),
    "an hour late": (option(14, struct.pack("<q", 3600)), 5, 3600 * SECOND + 5_000),
}


@pytest.mark.parametrize(("options", "ticks", "expected"), RESOLUTIONS.values(), ids=RESOLUTIONS)
def test_each_interface_has_its_clock(options: bytes, ticks: int, expected: int) -> None:
    """Resolution in powers of ten or two, and an offset."""
    found = resets(section() + interface(options=options) + enhanced(RESET, ticks))
    assert [each.time_ns for each in found] == [expected]


def test_sections_and_interfaces_are_told_apart() -> None:
    """Each section has interfaces of its own; names are theirs, or their numbers."""
    first = section() + interface(options=option(2, b"eth0")) + interface(RAW) + enhanced(RESET)
    first += enhanced(ipv4(tcp()), number=1)
    second = (
        section(">") + interface(RAW, option(2, "wlan\u00fc".encode(), ">"), ">") + enhanced(ipv4(tcp()), order=">")
    )
    assert [(each.frame, each.interface) for each in resets(first + second)] == [
        (1, "eth0"),
        (2, "1"),
        (3, "wlan\u00fc"),
    ]


def test_comments_come_with_their_packet() -> None:
    """The first comment of a packet, whatever it holds, at most 4096 bytes of it."""
    comments = option(1, b"first \xff") + option(2, b"\0\0\0\0") + option(1, b"second") + option(0, b"")
    data = section() + interface() + enhanced(RESET, options=comments) + enhanced(RESET, options=option(1, b"x" * 9999))
    assert [each.comment for each in resets(data)] == ["first \ufffd", "x" * 4096]


FRAMES_WITHOUT_PACKET = {
    "custom": block(0xBAD, bytes(12)),
    "custom, not to be copied": block(0x40000BAD, bytes(12)),
    "journal": block(9, b"__REALTIME_TIMESTAMP=1\nA=b\n"),
    "sysdig": block(0x204, struct.pack("<HQQIHI", 0, 1, 1, 26, 2, 0) + bytes(20)),
}


@pytest.mark.parametrize("other", FRAMES_WITHOUT_PACKET.values(), ids=FRAMES_WITHOUT_PACKET)
def test_what_wireshark_numbers_is_numbered(other: bytes) -> None:
    """Blocks that Wireshark shows as frames count as such."""
    assert frames(section() + interface() + enhanced(RESET) + other + enhanced(RESET)) == [1, 3]


@pytest.mark.parametrize("kind", [4, 5, 7, 10, 77, 0x8000_0000])
def test_other_blocks_are_passed_over(kind: int) -> None:
    """Names, statistics, secrets and what is yet to be invented; also blocks beyond what is kept of one."""
    for size in (0, 16, 3 << 20):
        data = section() + interface() + enhanced(RESET) + block(kind, bytes(size)) + enhanced(RESET)
        assert frames(data) == [1, 2]
        assert analyze(data).problem is None


def test_a_packet_behind_too_many_options_is_read() -> None:
    """A block may be larger than what is kept of it; its packet comes first."""
    data = section() + interface() + enhanced(RESET, options=option(2988, bytes(60_000)) * 40) + enhanced(RESET)
    assert frames(data) == [1, 2]


BEGIN = section() + interface() + enhanced(RESET)
HEADER = pcap([RESET])
DAMAGED = {
    "nothing": (b"", 0, "it is empty"),
    "a byte": (b"\x0a", 0, "this is no capture: it has only 1 bytes"),
    "text": (b"<html>" * 9, 0, "this is no capture: it begins with neither pcap's nor pcapng's mark"),
    "pcap of version 3": (pcap([], version=(3, 0)), 0, "version 3.0 of its format is not known"),
    "pcap cut in its header": (HEADER[:20], 0, "this is no capture: it has only 20 bytes"),
    "pcap cut in a record's header": (
        HEADER + bytes(7),
        len(HEADER) + 7,
        f"it ends in the midst of a packet, which begins at byte {len(HEADER)}",
    ),
    "pcap cut in a packet": (HEADER[:-3], len(HEADER) - 3, "it ends in the midst of a packet, which begins at byte 24"),
    "pcap with an absurd length": (
        HEADER + struct.pack("<IIII", 0, 0, 300_000, 300_000),
        len(HEADER),
        "a packet of 300000 bytes cannot be: the most is 262144",
    ),
    "pcapng of version 2": (section(version=(2, 0)), 0, "version 2.0 of its format is not known"),
    "pcapng cut": (
        BEGIN + BEGIN[:-3],
        2 * len(BEGIN) - 3,
        f"it ends in the midst of a packet, which begins at byte {len(BEGIN) + 48}",
    ),
    "block too short": (
        BEGIN + struct.pack("<III", 77, 8, 8),
        len(BEGIN),
        "a block of 8 bytes cannot be: the least is 12",
    ),
    "block too long": (
        BEGIN + struct.pack("<III", 77, 1 << 31, 0),
        len(BEGIN),
        "a block of 2147483648 bytes cannot be: the most is 134348832",
    ),
    "block with two lengths": (
        BEGIN + struct.pack("<IIII", 77, 16, 0, 20),
        len(BEGIN),
        "a block's two lengths differ: 16 at its beginning, 20 at its end",
    ),
    "section of no order": (
        BEGIN + struct.pack("<III", 0x0A0D0D0A, 28, 0x12345678),
        len(BEGIN),
        "a section's byte order mark is wrong: 0x12345678",
    ),
    "packet of no interface": (
        BEGIN + enhanced(RESET, number=3),
        len(BEGIN),
        "a packet names interface 3, but the section describes only 1",
    ),
    "packet too long for its block": (
        BEGIN + block(6, struct.pack("<IIIII", 0, 0, 0, 400, 400) + RESET),
        len(BEGIN),
        "a block of 88 bytes cannot hold a packet of 400",
    ),
    "packet block without a packet": (
        BEGIN + block(6, b""),
        len(BEGIN),
        "a block of 12 bytes cannot be: the least is 32",
    ),
    "interface without a link type": (
        BEGIN + block(1, b""),
        len(BEGIN),
        "a block of 12 bytes cannot be: the least is 20",
    ),
    "option beyond its block": (
        BEGIN + enhanced(RESET, options=struct.pack("<HH", 1, 5000)),
        len(BEGIN),
        "an option of 5000 bytes does not fit into its block",
    ),
    "too many interfaces": (
        BEGIN + interface() * 65536,
        len(BEGIN) + 65535 * len(interface()),
        "a section describes more than 65536 interfaces",
    ),
}


@pytest.mark.parametrize(("data", "byte", "text"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("step", [1 << 30, 7], ids=["at once", "in small blocks"])
def test_damage_is_told_with_its_byte(data: bytes, byte: int, text: str, step: int) -> None:
    """One sentence, whatever the blocks in which the bytes come; what came before is there."""
    analyzer = analyze(data, blocks=range(step, len(data), step), each=True)
    assert analyzer.problem == Problem(byte=byte, text=text)
    assert len(analyzer.take()) == (
        data.startswith(BEGIN[:20]) or (data[:16] == HEADER[:16] and len(data) > len(HEADER))
    )


def test_nothing_is_read_after_damage() -> None:
    """What comes behind is no part of the capture that anybody could vouch for."""
    analyzer = analyze(BEGIN + block(6, b"") + enhanced(RESET), each=True)
    assert not analyzer.feed(enhanced(RESET))
    assert analyzer.summary().resets == 1


def test_a_second_file_begins_anew() -> None:
    """Each file has its own format and numbers of frames; a damaged one does not hide the next."""
    analyzer = analyze(BEGIN + b"damage that goes on for a while", each=True)
    damage = analyzer.problem
    assert damage is not None
    analyzer.begin()
    analyzer.feed(pcap([OTHER, RESET], order=">"))
    analyzer.end()
    analyzer.finish()
    assert [(each.sample.file, each.sample.frame, each.sample.number) for each in analyzer.take()] == [
        (0, 1, 1),
        (1, 2, 2),
    ]
    assert analyzer.problem is None


def test_names_of_interfaces_are_bounded() -> None:
    """Those beyond the room have no name; the packets are read all the same."""
    data = section() + b"".join(interface(options=option(2, b"if%d" % number)) for number in range(5000))
    data += enhanced(RESET, number=4000) + enhanced(RESET, number=4999)
    assert [each.interface for each in resets(data)] == ["if4000", ""]
