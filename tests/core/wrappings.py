"""A reset in every wrapping: link types, tags, tunnels; and what looks like one and holds none.

Each is (link type, packet, whether a reset is in it). What Wireshark takes for one decides; a test asks it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.core.packets import ETHERNET, IP, IPV6, RAW, TCP, UDP, VLAN, ethernet, ipv4, ipv6, tcp, udp

RESET4, RESET6 = ipv4(tcp()), ipv6(tcp())
Wrapped = tuple[int, bytes, bool]
PPP_IP, PPP_IPV6 = 0x21, 0x57
LABEL = struct.pack(">I", 100 << 12 | 0x140)


def _pack(layout: str, *values: int | bytes) -> bytes:
    return struct.pack(">" + layout, *values)


def llc(payload: bytes, kind: int = IP, organisation: bytes = bytes(3), control: bytes = b"\x03") -> bytes:
    """LLC and SNAP."""
    return b"\xaa\xaa" + control + organisation + _pack("H", kind) + payload


def pppoe(payload: bytes, length: int | None = None) -> bytes:
    """A PPPoE session's packet."""
    return _pack("BBHH", 0x11, 0, 1, len(payload) if length is None else length) + payload


def gre(payload: bytes, kind: int = IP, flags: int = 0, fields: bytes = b"") -> bytes:
    """Generic routing encapsulation."""
    return _pack("HH", flags, kind) + fields + payload


def vxlan(payload: bytes, network: int = 5, next_protocol: int = 0) -> bytes:
    """VXLAN, or its generic form with a next protocol."""
    return _pack("BHBI", 0x0C if next_protocol else 0x08, 0, next_protocol, network << 8) + payload


def geneve(payload: bytes, kind: int = 0x6558, options: bytes = b"") -> bytes:
    """Geneve."""
    return _pack("BBHI", len(options) // 4, 0, kind, 5 << 8) + options + payload


def gtp(payload: bytes, flags: int = 0x30, fields: bytes = b"", message: int = 255) -> bytes:
    """GTP version 1."""
    return _pack("BBHI", flags, message, len(fields) + len(payload), 77) + fields + payload


def erspan(payload: bytes, version: int, header: bytes) -> bytes:
    """ERSPAN's own header."""
    return _pack("HH", version << 12 | 5, 7) + header + payload


def extension(following: int, size: int = 8, body: bytes = b"\x01\x04") -> bytes:
    """An extension header of IPv6; its body is padding."""
    return bytes([following, size // 8 - 1]) + body.ljust(size - 2, b"\0")


def sll(payload: bytes, protocol: int = IP, hardware: int = 1) -> bytes:
    """Linux cooked capture."""
    return _pack("HHH8sH", 0, hardware, 6, bytes(8), protocol) + payload


def sll2(payload: bytes, protocol: int = IP, hardware: int = 1) -> bytes:
    """Linux cooked capture, version 2, on interface 3."""
    return _pack("HHIHBB8s", protocol, 0, 3, hardware, 0, 6, bytes(8)) + payload


def wifi(payload: bytes, control: int = 0x0008, fields: bytes = b"", sequence: int = 0x10) -> bytes:
    """An 802.11 frame."""
    return struct.pack("<HH", control, 0) + bytes(18) + struct.pack("<H", sequence) + fields + payload


def radiotap(payload: bytes, present: tuple[int, ...] = (0,), fields: bytes = b"") -> bytes:
    """Radiotap's header."""
    head = b"".join(struct.pack("<I", each) for each in present) + fields
    return struct.pack("<BBH", 0, 0, 4 + len(head)) + head + payload


def frames() -> Iterator[tuple[str, bytes, bool]]:
    """What may stand between Ethernet and IP."""
    for name, packet, kind, ppp in (("4", RESET4, IP, PPP_IP), ("6", RESET6, IPV6, PPP_IPV6)):
        tag = _pack("HH", 5, kind)
        yield f"plain {name}", ethernet(packet, kind), True
        yield f"padded {name}", ethernet(packet + bytes(9), kind), True
        for tagged in (VLAN, 0x88A8, 0x9100):
            yield f"tag {tagged:#x} {name}", ethernet(tag + packet, tagged), True
        yield f"QinQ {name}", ethernet(_pack("HH", 5, VLAN) + tag + packet, 0x88A8), True
        yield f"tag of another kind {name}", ethernet(tag + packet, 0x9200), False
        yield f"tag and length {name}", ethernet(_pack("HH", 5, 8 + len(packet)) + llc(packet, kind), VLAN), True
        yield f"MPLS {name}", ethernet(LABEL + packet, 0x8847), True
        yield f"MPLS twice {name}", ethernet(_pack("I", 9 << 12 | 64) + LABEL + packet, 0x8848), True
        yield f"MPLS alert {name}", ethernet(_pack("I", 14 << 12 | 0x140) + packet, 0x8847), False
        yield f"PPPoE {name}", ethernet(pppoe(_pack("H", ppp) + packet), 0x8864), True
        yield f"PPPoE, short protocol {name}", ethernet(pppoe(bytes([ppp]) + packet), 0x8864), True
        yield f"PPPoE that ends early {name}", ethernet(pppoe(_pack("H", ppp) + packet, 20), 0x8864), False
        yield f"PPPoE of MPLS {name}", ethernet(pppoe(_pack("H", 0x281) + LABEL + packet), 0x8864), True
        yield f"PPPoE of something else {name}", ethernet(pppoe(_pack("H", 0xC021) + packet), 0x8864), False
        yield f"SNAP {name}", ethernet(llc(packet, kind), 8 + len(packet)), True
        yield f"SNAP, numbered {name}", ethernet(llc(packet, kind, control=b"\0\0"), 9 + len(packet)), True
        yield f"SNAP that supervises {name}", ethernet(llc(packet, kind, control=b"\1\0"), 9 + len(packet)), False
        yield f"SNAP of Cisco {name}", ethernet(llc(packet, kind, b"\0\0\x0c"), 8 + len(packet)), False
        bridged = llc(bytes(2) + ethernet(packet, kind), 7, b"\0\x80\xc2")
        yield f"SNAP, bridged {name}", ethernet(bridged, len(bridged)), True
        checked = llc(bytes(2) + ethernet(packet, kind) + bytes(4), 1, b"\0\x80\xc2")
        yield f"SNAP, bridged with checksum {name}", ethernet(checked, len(checked)), True
        yield f"LLC of IP {name}", ethernet(b"\6\6\3" + packet, 3 + len(packet)), True
        yield f"LLC too short {name}", ethernet(llc(packet, kind), 20), False
        yield f"a length that is none {name}", ethernet(llc(packet, kind), 1501), False
        yield f"jumbo LLC {name}", ethernet(llc(packet, kind), 0x8870), True
        yield f"Cisco metadata {name}", ethernet(b"\1\1\0\1\0\5" + _pack("H", kind) + packet, 0x8909), True
        yield f"VN-tag {name}", ethernet(bytes(4) + _pack("H", kind) + packet, 0x8926), True
        yield f"E-tag {name}", ethernet(bytes(6) + _pack("H", kind) + packet, 0x893F), True
        yield f"backbone bridge {name}", ethernet(bytes(4) + ethernet(packet, kind), 0x88E7), True
        yield f"bridged {name}", ethernet(ethernet(packet, kind), 0x6558), True
        yield f"FabricPath {name}", ethernet(bytes(2) + ethernet(packet, kind), 0x8903), True
        yield f"TRILL {name}", ethernet(bytes(6) + ethernet(packet, kind), 0x22F3), True
        following = 1 if kind == IP else 2
        yield f"NSH {name}", ethernet(_pack("BBBBI", 0, 0x42, 2, following, 257) + packet, 0x894F), True
        fixed = _pack("BBBBI", 0x0F, 0xC6, 1, following, 257) + bytes(16)
        yield f"NSH with metadata {name}", ethernet(fixed + packet, 0x894F), True
        yield (
            f"NSH of Ethernet {name}",
            ethernet(_pack("BBBBI", 0, 0x42, 2, 3, 257) + ethernet(packet, kind), 0x894F),
            True,
        )
        signed = bytes(6) + _pack("H", kind) + packet + bytes(16)
        yield f"MACsec, signed {name}", ethernet(signed, 0x88E5), True
        yield f"MACsec, encrypted {name}", ethernet(b"\x0c" + signed[1:], 0x88E5), False
        inner = ethernet(packet, kind)
        isl = b"\1\0\x0c\0\0\0" + bytes(6) + _pack("H", len(inner) + 12) + b"\xaa\xaa\3\0\0\x0c" + bytes(6)
        yield f"ISL {name}", isl + inner, True
        yield f"nothing known {name}", ethernet(packet, 0x1234), False
    yield "IPv6 that says IPv4", ethernet(RESET6, IP), True
    yield "IPv4 that says IPv6", ethernet(RESET4, IPV6), False


def links() -> Iterator[tuple[str, int, bytes, bool]]:
    """Link types but Ethernet."""
    for name, packet, kind, ppp in (("4", RESET4, IP, PPP_IP), ("6", RESET6, IPV6, PPP_IPV6)):
        for link in (12, 14, RAW, 228 if kind == IP else 229, 106):
            yield f"raw {link} {name}", link, packet, True
        yield f"raw of PPP {name}", RAW, b"\xff\3" + _pack("H", ppp) + packet, True
        yield f"raw of ISDN {name}", RAW, bytes(10) + packet, True
        yield f"raw of Irix {name}", RAW, b"\7\xff\3" + _pack("H", ppp) + packet, True
        for family in (2,) if kind == IP else (2, 24, 28, 30):
            yield f"null {family} {name}", 0, struct.pack("<I", family) + packet, True
            yield f"null, other order, {family} {name}", 0, _pack("I", family) + packet, True
            yield f"loop {family} {name}", 108, _pack("I", family) + packet, True
            yield f"loop, other order, {family} {name}", 108, struct.pack("<I", family) + packet, False
        yield f"null of an EtherType {name}", 0, _pack("I", kind) + packet, True
        yield f"null of PPP {name}", 0, b"\xff\3" + _pack("H", ppp) + packet, True
        yield f"null of nothing known {name}", 0, _pack("I", 99) + packet, False
        for link in (9, 50):
            yield f"PPP {link} {name}", link, _pack("H", ppp) + packet, True
            yield f"PPP, serial, {link} {name}", link, b"\xff\3" + _pack("H", ppp) + packet, True
            yield f"PPP, Cisco, {link} {name}", link, b"\x0f\0" + _pack("H", kind) + packet, True
        yield f"PPPoE {name}", 51, pppoe(_pack("H", ppp) + packet), True
        yield f"ATM {name}", 100, llc(packet, kind), True
        yield f"Cisco HDLC {name}", 104, b"\x0f\0" + _pack("H", kind) + packet, True
        yield f"enc {name}", 109, struct.pack("<III", 2 if kind == IP else 24, 0, 0) + packet, True
        yield f"pflog {name}", 117, bytes([61, 2 if kind == IP else 24]) + bytes(62) + packet, True
        yield f"nflog {name}", 239, b"\2\0\0\0" + struct.pack("<HH", 4 + len(packet), 9) + packet, True
        head = struct.pack("<HH", 8, 1) + _pack("HH", kind, 0)
        yield (
            f"nflog with its kind {name}",
            239,
            bytes(4) + head + struct.pack("<HH", 4 + len(packet), 9) + packet,
            True,
        )
        for relay, body in (
            ("IP", (b"\3\xcc" if kind == IP else b"\3\x8e") + packet),
            ("Cisco", _pack("H", kind) + packet),
        ):
            yield f"frame relay, {relay} {name}", 107, b"\x18\x41" + body, True
        yield f"frame relay, SNAP {name}", 107, b"\x18\x41\3\0\x80" + bytes(3) + _pack("H", kind) + packet, True
        for layout, link, wrap in (("SLL", 113, sll), ("SLL2", 276, sll2)):
            yield f"{layout} {name}", link, wrap(packet, kind), True
            yield f"{layout}, tagged {name}", link, wrap(_pack("HH", 5, kind) + packet, VLAN), True
            yield f"{layout}, LLC {name}", link, wrap(llc(packet, kind), 4), True
            yield f"{layout}, Ethernet {name}", link, wrap(ethernet(packet, kind), 3), True
            yield f"{layout}, radio {name}", link, wrap(radiotap(wifi(llc(packet, kind))), 4, 803), True
            yield f"{layout}, netlink {name}", link, wrap(packet, kind, 824), False
        for control in (0x50, 0x57):
            yield f"FDDI {control:#x} {name}", 10, bytes([control]) + bytes(12) + llc(packet, kind), True
        yield f"FDDI, management {name}", 10, b"\x41" + bytes(12) + llc(packet, kind), False
        yield from (("802.11 " + what + name, 105, frame, found) for what, frame, found in airs(llc(packet, kind)))
        yield f"radiotap {name}", 127, radiotap(wifi(llc(packet, kind))), True
        yield f"radiotap with checksum {name}", 127, radiotap(wifi(llc(packet, kind)) + bytes(4), (2,), b"\x10"), True
        quality = wifi(bytes(2) + llc(packet, kind), 0x88, bytes(2))
        yield f"radiotap, padded {name}", 127, radiotap(quality, (2,), b"\x20"), True
        yield f"radiotap, more words {name}", 127, radiotap(quality, (0x80000003, 0), bytes(12) + b"\x20"), True
        yield f"AVS {name}", 163, _pack("II", 0x80211001, 64) + bytes(56) + wifi(llc(packet, kind)), True
        yield f"Prism {name}", 119, struct.pack("<II", 0x41, 144) + bytes(136) + wifi(llc(packet, kind)), True
        yield f"PPI {name}", 192, struct.pack("<BBHI", 0, 0, 8, 105) + wifi(llc(packet, kind)), True
    yield "no such link", 9999, RESET4, False


def airs(body: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """802.11 frames."""
    for name, control, address in (
        ("", 0, b""),
        ("to", 0x100, b""),
        ("from", 0x200, b""),
        ("between", 0x300, bytes(6)),
    ):
        yield f"data {name} ", wifi(body, 0x08 | control, address), True
        yield f"with quality {name} ", wifi(body, 0x88 | control, address + bytes(2)), True
        yield f"with throughput {name} ", wifi(body, 0x8088 | control, address + bytes(6)), True
        aggregate = bytes(12) + _pack("H", len(body)) + body
        yield f"aggregated {name} ", wifi(aggregate, 0x88 | control, address + b"\x80\0"), True
        yield f"encrypted {name} ", wifi(body, 0x4008 | control, address), False
    yield "mesh ", wifi(bytes(6) + body, 0x288, b"\0\1"), True
    yield "null function ", wifi(body, 0x48), False
    yield "management ", wifi(body, 0x80), False
    yield "first of several pieces ", wifi(body, 0x408), False


def tunnels() -> Iterator[tuple[str, int, bytes, bool]]:
    """What IP carries: name, protocol, payload."""
    inner, inner6, framed = RESET4, RESET6, ethernet(RESET4)
    yield "IP", 4, inner, True
    yield "IPv6", 41, inner6, True
    yield "IPv6 that is IPv4", 41, inner, False
    yield "Ethernet", 97, b"\x30\0" + framed, True
    yield "MPLS", 137, LABEL + inner, True
    yield "authentication", 51, _pack("BBHII", TCP, 4, 0, 1, 1) + bytes(12) + tcp(), True
    yield "encryption", 50, tcp(), False
    yield "SCTP", 132, tcp(), False
    yield "ICMP", 1, _pack("BBHI", 3, 0, 0, 0) + inner, False
    yield "ICMPv6", 58, _pack("BBHI", 1, 0, 0, 0) + inner6, False
    for name, flags, fields in (
        ("", 0, b""),
        ("checked ", 0x8000, bytes(4)),
        ("keyed ", 0x2000, bytes(4)),
        ("numbered ", 0x1000, bytes(4)),
        ("all ", 0xB000, bytes(12)),
        ("routed ", 0x4000, bytes(4) + _pack("HBB", IP, 0, 4) + bytes(8)),
    ):
        yield f"GRE {name}IP", 47, gre(inner, IP, flags, fields), True
        yield f"GRE {name}IPv6", 47, gre(inner6, IPV6, flags, fields), True
        yield f"GRE {name}Ethernet", 47, gre(framed, 0x6558, flags, fields), True
        yield f"GRE {name}MPLS", 47, gre(LABEL + inner, 0x8847, flags, fields), True
        yield f"GRE {name}PPP", 47, gre(b"\xff\3\0\x21" + inner, 0x880B, flags, fields), True
        yield f"GRE {name}frame relay", 47, gre(b"\x18\x41\3\xcc" + inner, 0x6559, flags, fields), True
        yield f"GRE {name}tagged", 47, gre(_pack("HH", 5, IP) + inner, VLAN, flags, fields), False
    yield "GRE redirected", 47, gre(bytes(4) + inner, 0x883E), True
    yield "GRE redirected, older", 47, gre(inner, 0x883E), True
    yield "PPTP", 47, gre(b"\xff\3\0\x21" + inner, 0x880B, 0x3081, _pack("HHII", 44, 7, 1, 1)), True
    yield "ERSPAN 1", 47, gre(framed, 0x88BE), True
    yield "ERSPAN 2", 47, gre(erspan(framed, 1, bytes(4)), 0x88BE, 0x1000, bytes(4)), True
    yield "ERSPAN 3", 47, gre(erspan(framed, 2, bytes(8)), 0x22EB, 0x1000, bytes(4)), True
    platform = erspan(b"\x04" + bytes(7) + framed, 2, bytes(7) + b"\1")
    yield "ERSPAN 3 with a platform's header", 47, gre(platform, 0x22EB, 0x1000, bytes(4)), True
    yield "ERSPAN of no version", 47, gre(erspan(framed, 0, bytes(4)), 0x88BE, 0x1000, bytes(4)), False
    yield from ((name, UDP, udp(*ports, body), found) for name, ports, body, found in carried(inner, inner6, framed))
    yield "VXLAN, longer than it says", UDP, udp(50000, 4789, vxlan(framed), 40), False
    yield "VXLAN, shorter than it says", UDP, udp(50000, 4789, vxlan(framed), 500), True
    yield "UDP of no length", UDP, udp(50000, 4789, vxlan(framed), 7), False
    yield "UDP-Lite", 136, udp(50000, 4789, vxlan(framed)), True


def carried(inner: bytes, inner6: bytes, framed: bytes) -> Iterator[tuple[str, tuple[int, int], bytes, bool]]:
    """What UDP carries."""
    yield "VXLAN", (50000, 4789), vxlan(framed), True
    yield "VXLAN back", (4789, 50000), vxlan(framed), True
    yield "VXLAN of a scanner", (50000, 4788), vxlan(framed), False
    for number, body in ((1, inner), (2, inner6), (3, framed), (5, LABEL + inner)):
        yield f"VXLAN, generic {number}", (50000, 4790), vxlan(body, next_protocol=number), True
    service = _pack("BBBBI", 0, 0x42, 2, 1, 257) + inner
    yield "VXLAN, generic 4", (50000, 4790), vxlan(service, next_protocol=4), True
    yield "Geneve", (50000, 6081), geneve(framed), True
    yield "Geneve of IP", (50000, 6081), geneve(inner, IP), True
    yield "Geneve with options", (50000, 6081), geneve(framed, options=_pack("HBBI", 1, 2, 1, 9)), True
    for port in (2123, 2152, 3386):
        yield f"GTP {port}", (port, port), gtp(inner), True
    yield "GTP of IPv6", (2152, 2152), gtp(inner6), True
    yield "GTP of Ethernet", (2152, 2152), gtp(framed), True
    yield "GTP, numbered", (2152, 2152), gtp(inner, 0x32, bytes(4)), True
    yield "GTP, extended", (2152, 2152), gtp(inner, 0x34, b"\0\0\0\x85\1\0\0\x85\2" + bytes(7)), True
    yield "GTP, extended by nothing", (2152, 2152), gtp(inner, 0x34, b"\0\0\0\x85" + bytes(4)), False
    yield "GTP, an error", (2152, 2152), gtp(inner, message=26), False
    yield "GTP version 0", (3386, 3386), _pack("BBHHHI8s", 0x1E, 255, len(inner), 0, 0, 0, bytes(8)) + inner, True
    teredo = ipv6(tcp(), src="2001:0:1234::1")
    yield "Teredo", (3544, 50000), teredo, True
    yield "Teredo with origin", (50000, 3544), bytes(8) + teredo, True
    yield "Teredo, authenticated", (50000, 3544), b"\0\1\3\4" + bytes(16) + bytes(8) + teredo, True
    yield "Teredo of IPv4", (50000, 3544), inner, False
    ppp = b"\xff\3\0\x21" + inner
    yield "L2TP", (1701, 1701), _pack("HHH", 2, 5, 6) + ppp, True
    yield "L2TP with all fields", (1701, 50000), _pack("HHHHHHHH", 0x4A02, 56, 5, 6, 0, 0, 2, 0) + ppp, True
    yield "L2TP, control", (1701, 1701), _pack("HHH", 0x8002, 5, 6) + ppp, False
    yield "MPLS in UDP", (50000, 6635), LABEL + inner, True
    yield "LISP", (50000, 4341), bytes(8) + inner, True
    yield "TZSP", (50000, 37008), b"\1\0\0\1\x0a\1\5\0\1" + framed, True
    yield "UDP of IP", (50000, 50001), inner, False


def ends() -> Iterator[tuple[str, bytes, bool]]:
    """IP and TCP themselves, good and bad."""
    for offset in range(8):
        yield f"TCP header of {offset} words", ipv4(tcp(offset=offset)), offset >= 5
    for size in range(12, 21):
        yield f"{size} bytes of TCP", ipv4(tcp()[:size]), size >= 16
    yield "IPv4 with options", ipv4(tcp(), options=b"\7\7\4" + bytes(5)), True
    yield "IPv4 of length 0", ipv4(tcp(), total=0), True
    yield "IPv4 too short for its header", ipv4(tcp(), total=19), False
    yield "IPv4 with a header too short", b"\x44" + RESET4[1:], False
    yield "IPv4 of version 5", b"\x55" + RESET4[1:], False
    for size in (15, 16, 20, 65535):
        yield f"IPv6 of length {size}", ipv6(tcp(), length=size), size >= 16
    yield "IPv6 of length 0", ipv6(tcp(), length=0), False
    for kind in (0, 43, 60):
        yield f"IPv6 extension {kind}", ipv6(extension(TCP) + tcp(), kind), True
        yield f"IPv6 long extension {kind}", ipv6(extension(TCP, 16, b"\1\x0c") + tcp(), kind), True
    yield "IPv6 SHIM6", ipv6(extension(TCP) + tcp(), 140), True
    yield "IPv6 mobility", ipv6(extension(TCP) + tcp(), 135), False
    yield "IPv6 no next header", ipv6(extension(TCP) + tcp(), 59), False
    many = b"".join(extension(60) for _ in range(40))
    yield "IPv6 with many extensions", ipv6(many + extension(TCP) + tcp(), 60), True
    yield "IPv6 in one piece", ipv6(_pack("BBHI", TCP, 0, 0, 1) + tcp(), 44), True
    yield "IPv6 in one piece, extended", ipv6(_pack("BBHI", 60, 0, 0, 1) + extension(TCP) + tcp(), 44), True
    packet = RESET4
    for depth in range(1, 60):
        packet = ipv4(packet, 4)
        if depth in (1, 10, 59):
            yield f"IP in IP {depth} times", packet, True


def every() -> dict[str, Wrapped]:
    """All of them, by name."""
    found: dict[str, Wrapped] = {}
    for name, packet, has in frames():
        found[f"Ethernet: {name}"] = (ETHERNET, packet, has)
    for name, link, packet, has in links():
        found[f"link: {name}"] = (link, packet, has)
    for name, protocol, payload, has in tunnels():
        found[f"in IPv4: {name}"] = (RAW, ipv4(payload, protocol), has)
        found[f"in IPv6: {name}"] = (RAW, ipv6(payload, protocol), has)
    for name, packet, has in ends():
        found[f"IP: {name}"] = (RAW, packet, has)
    return found
