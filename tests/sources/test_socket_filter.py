"""The filter of packet sockets, asked by the kernel itself: frames cross a wire, and what passes is received."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.packets import IP, IPV6, TCP, UDP, VLAN, ethernet, ipv4, ipv6, tcp, udp
from tests.core.wrappings import extension, geneve, gre, vxlan
from tests.hosts import Pair
from whyreset.sources import socket_filter

SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
END = ethernet(ipv4(tcp("R", sport=9)))
INNER = ethernet(ipv4(tcp("R")))


class Wire:
    """Frames go in at one end; the filter stands at the other."""

    def __init__(self, pair: Pair) -> None:
        with pair.a.inside():
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sender.bind(("eth0", 0))
        with pair.b.inside():
            self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.receiver.settimeout(5)

    def passes(self, *frames: bytes, **wanted: Any) -> list[bool]:
        """Which of the frames pass a filter, as it was built."""
        instructions = socket_filter.build(snap_bytes=200, **wanted)
        code = ctypes.create_string_buffer(socket_filter.pack(instructions))
        program = struct.pack("HP", len(instructions), ctypes.addressof(code))
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        self.receiver.bind(("eth0", ETH_P_ALL))
        for frame in (*frames, END):
            self.sender.send(frame)
        seen = []
        while (data := self.receiver.recv(4096)) != END:
            seen.append(data)
        return [frame[:200] in seen or _untagged(frame)[:200] in seen for frame in frames]

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()


def _untagged(frame: bytes) -> bytes:
    """A frame without its outer VLAN tag, which a receiver finds in the metadata."""
    return frame[:12] + frame[16:]


@pytest.fixture
def wire(pair: Pair) -> Iterator[Wire]:
    """A wire between two fresh hosts."""
    made = Wire(pair)
    yield made
    made.close()


def test_begins_and_ends_of_connections_pass_and_the_rest_does_not(wire: Wire) -> None:
    """SYN, FIN and RST, alone and with others; nothing else of TCP, and nothing of other protocols."""
    flags = ("S", "SA", "F", "FA", "R", "RA", "A", "PA", "", "PAU")
    four = wire.passes(*(ethernet(ipv4(tcp(each))) for each in flags))
    six = wire.passes(*(ethernet(ipv6(tcp(each)), IPV6) for each in flags))
    assert four == six == [True] * 6 + [False] * 4
    others = [ethernet(ipv4(udp(1, 2, tcp("R")), UDP)), ethernet(ipv4(tcp("R"), 132)), ethernet(ipv4(tcp("R")), 0x0806)]
    assert wire.passes(*others) == [False] * 3


def test_where_only_resets_are_wanted_no_beginning_and_no_end_passes(wire: Wire) -> None:
    """In the plain form, and in the others."""
    flags = ("S", "SA", "F", "FA", "A", "R", "RA")
    for frames in (
        [ethernet(ipv4(tcp(each))) for each in flags],
        [ethernet(ipv6(tcp(each)), IPV6) for each in flags],
        [ethernet(ipv4(tcp(each), options=bytes(4))) for each in flags],
    ):
        assert wire.passes(*frames, resets_only=True) == [False] * 5 + [True] * 2


WRAPPED = {
    "a tag": ethernet(struct.pack(">HH", 5, IP) + ipv4(tcp()), VLAN),
    "two tags": ethernet(struct.pack(">HHHH", 5, VLAN, 6, IP) + ipv4(tcp()), 0x88A8),
    "three tags": ethernet(struct.pack(">HHHHHH", 5, VLAN, 6, VLAN, 7, IP) + ipv4(tcp()), 0x88A8),
    "IPv4 options": ethernet(ipv4(tcp(), options=b"\7\7\4" + bytes(5))),
    "first fragment": ethernet(ipv4(tcp(), fragment=0x2000)),
    "IPv6 extensions": ethernet(ipv6(extension(60, 16, b"\1\x0c") + extension(TCP) + tcp(), 0), IPV6),
    "IPv6 first fragment": ethernet(ipv6(struct.pack(">BBHI", TCP, 0, 1, 1) + tcp(), 44), IPV6),
    "IP in IP": ethernet(ipv4(ipv4(tcp()), 4)),
    "6in4": ethernet(ipv4(ipv6(tcp()), 41)),
    "4in6": ethernet(ipv6(ipv4(tcp()), 4), IPV6),
    "GRE": ethernet(ipv4(gre(ipv4(tcp())), 47)),
    "GRE with all fields": ethernet(ipv4(gre(ipv6(tcp()), IPV6, 0xB000, bytes(12)), 47)),
    "GRE with a key": ethernet(ipv4(gre(INNER, 0x6558, 0x2000, bytes(4)), 47)),
    "VXLAN": ethernet(ipv4(udp(50000, 4789, vxlan(INNER)), UDP)),
    "VXLAN, Linux' old port": ethernet(ipv6(udp(50000, 8472, vxlan(INNER)), UDP), IPV6),
    "Geneve with options": ethernet(ipv4(udp(50000, 6081, geneve(INNER, options=bytes(8))), UDP)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_reset_passes_in_its_wrapping(wire: Wire, name: str) -> None:
    """And the same wrapping around an ordinary segment does not."""
    frame = WRAPPED[name]
    at = frame.rindex(tcp())
    assert wire.passes(frame, frame[:at] + tcp("A") + frame[at + 20 :]) == [True, False]


def test_later_fragments_hold_no_header_and_do_not_pass(wire: Wire) -> None:
    """What looks like a reset there is payload."""
    four = ethernet(ipv4(tcp(), fragment=3))
    six = ethernet(ipv6(struct.pack(">BBHI", TCP, 0, 8, 1) + tcp(), 44), IPV6)
    assert wire.passes(four, six) == [False, False]


@pytest.mark.parametrize("size", [15, 20, 33, 34, 46])
def test_what_is_cut_short_does_not_pass(wire: Wire, size: int) -> None:
    """A read beyond the end refuses the packet."""
    assert wire.passes(ethernet(ipv4(tcp()))[:size]) == [False]


def test_armed_for_ports_every_segment_of_them_passes(wire: Wire) -> None:
    """From them and to them; those of other ports only where they begin or end a connection."""
    frames = [ethernet(ipv4(tcp("A", sport=a, dport=b))) for a, b in ((80, 9), (9, 443), (9, 9), (81, 444))]
    assert wire.passes(*frames, ports=(80, 443)) == [True, True, False, False]
    assert wire.passes(ethernet(ipv4(tcp("S", sport=9, dport=9))), ports=(80,)) == [True]
    assert wire.passes(*frames, ports=tuple(range(80, 80 + socket_filter.MOST_PORTS))) == [True, False, False, True]


def test_armed_for_hosts_every_segment_of_them_passes(wire: Wire) -> None:
    """IPv4 and IPv6, as source and as destination; an address that only begins alike is another one."""
    hosts = [ipaddress.ip_address(each) for each in ("10.0.0.2", "2001:db8::2")]
    four = [ethernet(ipv4(tcp("A"), src=a, dst=b)) for a, b in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.3"))]
    six = [ethernet(ipv6(tcp("A"), src=a, dst="2001:db8::9"), IPV6) for a in ("2001:db8::2", "2001:db8::3")]
    other = [ethernet(ipv4(tcp("A"), src="10.0.0.22", dst="10.0.0.3"))]
    assert wire.passes(*four, *six, *other, hosts=hosts) == [True, True, True, False, False]


def test_armed_for_connections_every_segment_of_them_passes(wire: Wire) -> None:
    """Both ways, IPv4 and IPv6, also in a tunnel; the same ports between others, and other ports of both, do not."""
    one, other = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2")
    six = [ipaddress.ip_address(f"2001:db8::{number}") for number in (1, 2)]
    connections = ((one, 1234, other, 80), (six[0], 80, six[1], 5555), (one, 1235, other, 80))
    there = [
        ethernet(ipv4(tcp("A", sport=1234, dport=80), src="10.0.0.1", dst="10.0.0.2")),
        ethernet(ipv4(tcp("A", sport=80, dport=1235), src="10.0.0.2", dst="10.0.0.1")),
        ethernet(ipv6(tcp("PA", sport=5555, dport=80), src="2001:db8::2", dst="2001:db8::1"), IPV6),
        ethernet(ipv4(ipv4(tcp("A", sport=1234, dport=80), src="10.0.0.1", dst="10.0.0.2"), 4, src="10.9.9.9")),
    ]
    others = [
        ethernet(ipv4(tcp("A", sport=1234, dport=80), src="10.0.0.1", dst="10.0.0.3")),
        ethernet(ipv4(tcp("A", sport=1236, dport=80), src="10.0.0.1", dst="10.0.0.2")),
        ethernet(ipv6(tcp("A", sport=1234, dport=80), src="2001:db8::1", dst="2001:db8::2"), IPV6),
    ]
    assert wire.passes(*there, *others, connections=connections) == [True] * 4 + [False] * 3
    assert wire.passes(*others, connections=connections, ports=(1236,)) == [False, True, False]


def test_armed_for_everything_all_of_tcp_passes_and_no_more(wire: Wire) -> None:
    """Other protocols stay outside."""
    frames = [ethernet(ipv4(tcp("A"))), ethernet(ipv6(tcp("A")), IPV6), ethernet(ipv4(udp(1, 2, b""), UDP))]
    assert wire.passes(*frames, everything=True) == [True, True, False]


def test_the_most_that_it_takes_is_taken_by_the_kernel_and_more_is_refused(wire: Wire) -> None:
    """The bound keeps it below the kernel's limit of 4,096 instructions."""
    hosts = [ipaddress.ip_address(f"2001:db8::{number:x}") for number in range(socket_filter.MOST_HOSTS)]
    ports = tuple(range(socket_filter.MOST_PORTS))
    connections = [(hosts[0], number, hosts[1], 80) for number in range(socket_filter.MOST_CONNECTIONS)]
    frame = ethernet(ipv6(tcp("A"), dst="2001:db8::1f"), IPV6)
    assert wire.passes(frame, ports=ports, hosts=hosts, connections=connections) == [True]
    with pytest.raises(ValueError, match="at most"):
        socket_filter.build(snap_bytes=1, ports=(*ports, 99))
    with pytest.raises(ValueError, match="at most"):
        socket_filter.build(snap_bytes=1, connections=(*connections, connections[0]))
