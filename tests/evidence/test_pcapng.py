"""pcapng: any value becomes a block that Wireshark and this program's own reader take."""

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.core.packets import NOW, analyze
from tests.evidence import tshark
from tests.evidence.frames import frame
from whyreset.evidence import pcap, pcapng

RESET = frame("R").data
TEXT = st.text(max_size=40).map(lambda text: text.replace("\0", ""))


def capture(*packets: bytes) -> bytes:
    """A file with one interface."""
    head = pcapng.section(application="whyreset 1", system="Linux 6.1", comment="SYN, FIN and RST")
    return head + pcapng.interface(name="eth0", link_type=1, snap=0, description="in web") + b"".join(packets)


def packet(**more: object) -> bytes:
    """A reset in the only interface."""
    settings = {"interface": 0, "time_ns": NOW, "data": RESET, "length": len(RESET), **more}
    return pcapng.packet(**settings)  # type: ignore[arg-type]


def blocks(data: bytes) -> list[int]:
    """The kinds of a file's blocks; each has its length at both ends."""
    kinds = []
    while data:
        kind, size = struct.unpack_from("<II", data)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, size - 4) == (size,)
        kinds.append(kind)
        data = data[size:]
    return kinds


def test_wireshark_shows_all_of_it(tmp_path: Path) -> None:
    """Comment, interface, direction, time to the nanosecond; process and note disturb nobody."""
    path = tmp_path / "x.pcapng"
    named = pcapng.process(pid=911, name="nginx")
    both = packet(
        time_ns=NOW + 7, way="out", comments=("closed-port, certain", "second"), process=0, note=b"whyreset/1 {}"
    )
    end = pcapng.statistics(interface=0, time_ns=NOW + 9, began_ns=NOW, received=5, dropped=2)
    path.write_bytes(capture(named, both, packet(way="in"), end))
    names = ("frame.comment", "frame.interface_name", "frame.interface_description", "frame.packet_flags_direction")
    assert tshark.fields(path, "frame.time_epoch", *names) == [
        ["1700000000.000000007", "closed-port, certain|second", "eth0", "in web", "0x00000002"],
        ["1700000000.000000000", "", "eth0", "in web", "0x00000001"],
    ]
    told = tshark.capinfos(path)
    for part in ("whyreset 1", "Linux 6.1", "SYN, FIN and RST", "Name = eth0", "Number of stat entries = 1"):
        assert part in told, part


def test_a_file_that_grows_can_be_read_after_each_block() -> None:
    """There is nothing at its end that a reader would miss."""
    data = capture()
    for count in range(1, 5):
        data += packet(comments=("x" * count,))
        read = analyze(data)
        assert (read.problem, read.summary().packets) == (None, count)


@given(
    comment=TEXT, name=TEXT, data=st.binary(max_size=80), more=st.integers(0, 9000), at=st.integers(0, (1 << 63) - 1)
)
def test_any_values_make_whole_blocks(comment: str, name: str, data: bytes, more: int, at: int) -> None:
    """Whatever a process calls itself, and whatever a packet holds."""
    head = pcapng.section(application=name, comment=comment)
    head += pcapng.interface(name=name, link_type=1, snap=0, description=comment)
    whole = head + pcapng.process(pid=1, name=name)
    whole += packet(
        data=data, length=len(data) + more, comments=(comment,), process=0, time_ns=at, note=comment.encode()
    )
    whole += pcapng.statistics(interface=0, time_ns=at, began_ns=0, received=1, dropped=None, comment=comment)
    assert blocks(whole) == [0x0A0D0D0A, 1, 0x80000001, 6, 5]
    read = analyze(whole)
    assert (read.problem, read.summary().packets, read.summary().first_ns) == (None, 1, at)


def test_long_text_is_cut_at_a_character() -> None:
    """A comment is as long as the core reads it, and still UTF-8."""
    (found,) = analyze(capture(packet(comments=("ä" * 5000,))), each=True).take()
    assert found.sample.comment == "ä" * (pcapng.TEXT_MAX // 2)
    (found,) = analyze(capture(packet(comments=("x" + "ä" * 5000,))), each=True).take()
    assert found.sample.comment == "x" + "ä" * (pcapng.TEXT_MAX // 2 - 1)


def test_a_note_that_is_too_long_is_left_out() -> None:
    """It could not be read again."""
    assert packet(note=b"x" * (pcapng.NOTE_MAX + 1)) == packet()


def test_old_pcap_holds_packets_of_all_interfaces(tmp_path: Path) -> None:
    """Ethernet, VLAN and bare IP in one file, as tcpdump writes those of all interfaces."""
    plain = frame("R", time_ns=NOW + 5)
    bare = type(plain)(NOW, 0, 9, 0, 228, len(plain.data) - 14, plain.data[14:])
    tagged = type(plain)(NOW, 0, 3, 0, 1, 58, plain.data[:12] + b"\x81\0\0\x07" + plain.data[12:])
    data = pcap.header() + b"".join(map(pcap.packet, (plain, bare, tagged)))
    assert [each.sample.frame for each in analyze(data, each=True).take()] == [1, 2, 3]
    path = tmp_path / "x.pcap"
    path.write_bytes(data)
    assert tshark.fields(path, "sll.ifindex", "tcp.flags.reset", "vlan.id") == [
        ["2", "1", ""],
        ["9", "1", ""],
        ["3", "1", "7"],
    ]


def test_marks_are_the_core_s() -> None:
    """What the writer calls a note is what the core hands on."""
    note = pcapng.NOTE_MARK + b'{"x":1}'
    (found,) = analyze(capture(packet(note=note)), each=True).take()
    assert found.sample.note == note
    (found,) = analyze(capture(packet(note=b"somebody else's")), each=True).take()
    assert found.sample.note == b""
