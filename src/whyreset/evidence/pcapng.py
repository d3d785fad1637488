"""pcapng as bytes: values in, blocks out, one whole block a call.

Sources: draft-ietf-opsawg-pcapng; for processes Apple's blocks, which have been in use for longest of those that
Wireshark knows (its wiretap/pcapng-darwin-custom.c). What Wireshark 4.0 does not know it passes over in silence.
Numbers are little-endian. Text is cut at a whole character, and is expected to be printable already.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal

Way = Literal["", "in", "out"]

#: What is kept of a text. The core reads no more of a comment.
TEXT_MAX = 4096
#: The option of a packet that holds the recorder's note: one of those that the format leaves to local use. A note
#: begins with its mark, since others may use the same number.
NOTE = 0xF257
NOTE_MARK = b"whyreset/1 "
#: A longer note is not written, and not read.
NOTE_MAX = 2048
_NANOSECONDS = 9
_LONGEST = 0xFFFF

_SECTION, _INTERFACE, _STATISTICS, _PACKET, _PROCESS = 0x0A0D0D0A, 1, 5, 6, 0x80000001
_COMMENT = 1
_FLAGS = {"in": 1, "out": 2}


def section(*, application: str, system: str = "", comment: str = "") -> bytes:
    """The beginning of a file. Its length is left open, so that it may grow.

    Args:
        application: who writes it.
        system: the kernel that it is written under.
        comment: for people.
    """
    options = [(3, _text(system)), (4, _text(application)), (_COMMENT, _text(comment))]
    return _block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), options)


def interface(*, name: str, link_type: int, snap: int, description: str = "", comment: str = "") -> bytes:
    """An interface. Packets name it by its number: the first of a file is 0.

    Args:
        name: as the kernel has it.
        link_type: LINKTYPE_* of its packets.
        snap: bytes that are kept of a packet at most; 0 for all.
        description: where it is.
        comment: for people.
    """
    options = [(2, _text(name)), (3, _text(description)), (9, bytes((_NANOSECONDS,))), (_COMMENT, _text(comment))]
    return _block(_INTERFACE, struct.pack("<HHI", link_type, 0, snap), options)


def packet(
    *,
    interface: int,
    time_ns: int,
    data: bytes,
    length: int,
    way: Way = "",
    comments: Iterable[str] = (),
    process: int | None = None,
    note: bytes = b"",
) -> bytes:
    """A packet with what is known about it.

    Args:
        interface: its number.
        time_ns: since the epoch.
        data: what is kept of it.
        length: bytes that it had.
        way: whether it came in or went out there.
        comments: for people; Wireshark shows each.
        process: number of the process that it is of, by the order of the process blocks; the first is 0.
        note: for this program, as `notes.encode` makes it.
    """
    head = struct.pack(
        "<IIIII", interface, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, len(data), max(length, len(data))
    )
    options = [(_COMMENT, _text(comment)) for comment in comments]
    if way:
        options.append((2, struct.pack("<I", _FLAGS[way])))
    if process is not None:
        options.append((0x8001, struct.pack("<I", process)))
    if note and len(note) <= NOTE_MAX:
        options.append((NOTE, note))
    return _block(_PACKET, head + _padded(data), options)


def process(*, pid: int, name: str) -> bytes:
    """A process that packets may name."""
    return _block(_PROCESS, struct.pack("<I", pid), [(2, _text(name))])


def statistics(
    *, interface: int, time_ns: int, began_ns: int, received: int, dropped: int | None, comment: str = ""
) -> bytes:
    """What an interface had at the end.

    Args:
        interface: its number.
        time_ns: now, since the epoch.
        began_ns: when it began.
        received: packets that passed the filter.
        dropped: packets that passed it, and were lost for want of room; None where that is not known.
        comment: for people.
    """
    options = [
        (2, _time(began_ns)),
        (3, _time(time_ns)),
        (4, struct.pack("<Q", received)),
        (5, struct.pack("<Q", dropped) if dropped is not None else b""),
        (_COMMENT, _text(comment)),
    ]
    return _block(_STATISTICS, struct.pack("<I", interface) + _time(time_ns), options)


def _block(kind: int, body: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    told = b"".join(_option(code, value) for code, value in options if value)
    if told:
        body += told + bytes(4)
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _option(code: int, value: bytes) -> bytes:
    value = value[:_LONGEST]
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _time(time_ns: int) -> bytes:
    return struct.pack("<II", time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF)


def _text(text: str) -> bytes:
    """As UTF-8, cut at a whole character; what it cannot hold becomes a question mark."""
    return text.encode(errors="replace")[:TEXT_MAX].decode(errors="ignore").encode()
