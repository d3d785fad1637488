"""Where the fuzzer begins: a capture of each kind, small ones of real traffic, and words of the formats."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from tests.core.packets import ETHERNET, RAW, block, enhanced, ethernet, interface, ipv4, option, pcap, section, tcp
from tests.core.talk import Talk
from tests.core.test_fragments import CASES
from tests.core.wrappings import every
from tests.fuzz.target import HEAD

CAPTURES = Path(__file__).parents[1] / "captures"
MOST_BYTES = 6000


def write(folder: Path) -> None:
    """One file for each seed, by its digest: those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = (bytes([255, 0xFF]), bytes([6, 1]), bytes([0, 2]))
    for number, capture in enumerate(captures()):
        data = heads[number % len(heads)][:HEAD] + capture
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def captures() -> list[bytes]:
    """The captures themselves."""
    reset = ethernet(ipv4(tcp()))
    found = [pcap([packet], link) for link, packet, _ in every().values()]
    found += [pcap(packets, RAW) for packets, _ in CASES.values()]
    found += [
        pcap([reset], order=order, magic=magic) for order in "<>" for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
    ]
    talk = (
        Talk().handshake().client("PA", payload=b"x").server("R").server("PA", payload=b"y").client("R").server("R", 1)
    )
    found += [talk.capture, talk.client("S", 9).server("RA", 0, 10).capture]
    for order in "<>":
        begin = section(order) + interface(ETHERNET, option(2, b"eth0", order) + option(9, b"\x09", order), order)
        commented = enhanced(reset, 5, options=option(1, b"a comment", order), order=order)
        simple = block(3, struct.pack(order + "I", len(reset)) + reset, order)
        found.append(begin + commented + simple + block(0xBAD, bytes(8), order) + begin + enhanced(reset, order=order))
    found += [data for path in sorted(CAPTURES.rglob("*.pcap")) if len(data := path.read_bytes()) <= MOST_BYTES]
    return found


DICTIONARY = (
    *(b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\x34\xcd\xb2\xa1", b"\x0a\x0d\x0d\x0a"),
    *(
        b"\x4d\x3c\x2b\x1a",
        b"\x06\0\0\0",
        b"\x01\0\0\0",
        b"\xad\x0b\0\0",
        b"\x81\0",
        b"\x88\x47",
        b"\x88\x64",
        b"\x86\xdd",
    ),
    *(
        b"\x08\0",
        b"\x12\xb5",
        b"\x17\xc1",
        b"\x08\x68",
        b"\x0d\xd8",
        b"\x06\xa5",
        b"\x65\x58",
        b"\x88\xbe",
        b"\x22\xeb",
    ),
    *(b"\xaa\xaa\x03\0\0\0\x08\0", b"\x45\0", b"\x20\0\x40\x06", b"\x50\x04", b"\x50\x14", b"\x50\x02", b"\x50\x12"),
)


def write_dictionary(path: Path) -> None:
    """In libFuzzer's form."""
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in DICTIONARY))
