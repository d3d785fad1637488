"""Link types, tags and tunnels: the reset in every wrapping is found, what merely looks like one is not."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from tests import needs
from tests.core.packets import ETHERNET, IP, RAW, analyze, ethernet, frames, ipv4, ipv6, pcap, resets, tcp, udp
from tests.core.wrappings import erspan, every, geneve, gre, gtp, llc, sll2, vxlan, wifi
from whyreset.observation import Tunnel

EVERY = every()
#: tshark refuses a file of it.
NO_LINK = 9999


@pytest.mark.parametrize(("link", "packet", "found"), EVERY.values(), ids=EVERY)
def test_the_reset_is_found(link: int, packet: bytes, found: bool) -> None:
    """In its wrapping, and nowhere else."""
    assert frames(pcap([packet], link)) == ([1] if found else [])


@pytest.mark.parametrize("link", sorted({link for link, _, _ in EVERY.values()} - {NO_LINK}))
def test_tshark_agrees(link: int, tmp_path: Path) -> None:
    """An independent witness sees the same resets in the same frames."""
    mine = [(name, packet, found) for name, (each, packet, found) in EVERY.items() if each == link]
    path = tmp_path / "every.pcap"
    path.write_bytes(pcap([packet for _, packet, _ in mine], link))
    command = [needs.command("tshark"), "-n", "-r", str(path), "-T", "fields", "-e", "frame.number"]
    command += ["-Y", "tcp.flags.reset == 1 && !icmp && !icmpv6"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    seen = {int(line) for line in done.stdout.split()}
    differ = [name for number, (name, _, found) in enumerate(mine, 1) if found != (number in seen)]
    assert differ == []


@pytest.mark.parametrize("name", [name for name, (_, _, found) in EVERY.items() if found])
def test_packets_cut_short_give_fewer_facts_not_wrong_ones(name: str) -> None:
    """Up to some length there is nothing to find, and from there on the reset with all of its numbers."""
    link, packet, _ = EVERY[name]
    whole = resets(pcap([packet], link))[0]
    cut = [(packet[:size], len(packet)) for size in range(len(packet))]
    analyzer = analyze(pcap(cut, link), each=True)
    found = [each.sample for each in analyzer.take()]
    assert [each.frame for each in found] == list(range(len(packet) + 1 - len(found), len(packet) + 1))
    for each in found:
        assert (each.src, each.dst, each.sport, each.dport, each.flags) == (whole.src, whole.dst, 1234, 80, "R")
        assert (each.seq, each.window, each.length, each.ttl, each.tunnels) == (100, 512, 0, 64, whole.tunnels)


def test_tunnels_are_named_from_the_outside_in() -> None:
    """With the ends and the number of each."""
    inner = ethernet(ipv4(tcp(), src="192.0.2.1", dst="192.0.2.2", ttl=9, number=77))
    packet = ipv6(gre(ipv4(udp(50000, 4789, vxlan(inner, 0xABCDEF)), 17), IP, 0x2000, b"\0\0\0\7"), 47)
    (found,) = resets(pcap([packet], RAW))
    assert found.tunnels == (
        Tunnel(kind="GRE", src="2001:db8::1", dst="2001:db8::2", id=7),
        Tunnel(kind="VXLAN", src="10.0.0.1", dst="10.0.0.2", id=0xABCDEF),
    )
    assert (found.src, found.dst, found.ttl, found.ip_id) == ("192.0.2.1", "192.0.2.2", 9, 77)


KINDS = {
    "GRE": (47, gre(ipv4(tcp())), None),
    "ERSPAN": (47, gre(erspan(ethernet(ipv4(tcp())), 1, bytes(4)), 0x88BE, 0x1000, bytes(4)), 7),
    "IPIP": (4, ipv4(tcp()), None),
    "6in4": (41, ipv6(tcp()), None),
    "Geneve": (17, udp(50000, 6081, geneve(ethernet(ipv4(tcp())))), 5),
    "GTP-U": (17, udp(2152, 2152, gtp(ipv4(tcp()))), 77),
    "Teredo": (17, udp(50000, 3544, ipv6(tcp())), None),
    "L2TP": (17, udp(1701, 1701, struct.pack(">HHH", 2, 5, 6) + b"\0\x21" + ipv4(tcp())), 5 << 16 | 6),
    "EtherIP": (97, b"\x30\0" + ethernet(ipv4(tcp())), None),
    "LISP": (17, udp(50000, 4341, bytes(8) + ipv4(tcp())), None),
    "TZSP": (17, udp(50000, 37008, b"\1\0\0\1\1" + ethernet(ipv4(tcp()))), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_tunnel_has_its_name(kind: str) -> None:
    """And its number, where it has one."""
    protocol, payload, number = KINDS[kind]
    (found,) = resets(pcap([ipv4(payload, protocol)], RAW))
    assert found.tunnels == (Tunnel(kind=kind, src="10.0.0.1", dst="10.0.0.2", id=number),)


def test_virtual_networks_keep_their_connections_apart() -> None:
    """The same addresses and ports in two of them are two connections; two tunnels of one network are one."""
    packets = [
        ipv4(udp(50000, 4789, vxlan(ethernet(ipv4(tcp(flags))), network)), 17, src=outer)
        for network, outer, flags in ((1, "10.1.0.1", "S"), (2, "10.1.0.1", "R"), (1, "10.1.0.2", "R"))
    ]
    assert [each.handshake for each in resets(pcap(packets, RAW))] == ["none", "syn"]


def test_frames_sent_together_are_all_looked_at() -> None:
    """An 802.11 frame may hold several; resets in any of them are found."""
    bodies = [llc(ipv4(udp(5, 6, b"x"), 17)), llc(ipv4(tcp())), llc(ipv4(tcp(sport=99)))]
    parts = b"".join(
        (bytes(12) + struct.pack(">H", len(body)) + body).ljust((14 + len(body) + 3) // 4 * 4, b"\0") for body in bodies
    )
    found = resets(pcap([wifi(parts, 0x88, b"\x80\0")], 105))
    assert [(each.frame, each.sport) for each in found] == [(1, 1234), (1, 99)]


def test_the_link_layer_tells_the_interface() -> None:
    """Linux's second cooked form has it with each packet."""
    assert [each.interface for each in resets(pcap([sll2(ipv4(tcp()))], 276))] == ["3"]


SKIPPED: dict[str, list[bytes | tuple[bytes, int]]] = {
    "cut": [(ethernet(ipv4(tcp()))[:40], 54)],
    "malformed": [ethernet(ipv4(tcp(), total=10)), ethernet(ipv4(tcp(offset=4)))],
    "fragment": [ethernet(ipv4(tcp(payload=b"more"), fragment=0x2000))],
    "encrypted": [ethernet(ipv4(tcp(), 50))],
    "too-deep": [ethernet(b"".join([b"\0\5\x81\0"] * 600), 0x8100)],
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_what_cannot_be_read_is_counted(reason: str) -> None:
    """Each packet that may have held TCP, by the reason why it was passed over; others are in none of them."""
    packets = [*SKIPPED[reason], ethernet(b"", 0x0806), ethernet(ipv4(b"", 132))]
    summary = analyze(pcap(packets)).summary()
    assert summary.skipped == {reason: len(SKIPPED[reason])}
    assert (summary.packets, summary.segments) == (len(packets), 0)


def test_unknown_link_types_are_counted() -> None:
    """All of their packets."""
    assert analyze(pcap([b"x", b"y"], NO_LINK)).summary().skipped == {"link-type": 2}


def test_a_packet_may_be_longer_than_it_was_on_the_wire() -> None:
    """Some writers say so; Wireshark believes the longer."""
    assert frames(pcap([(ethernet(ipv4(tcp())), 20)], ETHERNET)) == [1]
