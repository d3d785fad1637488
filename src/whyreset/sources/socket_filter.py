"""The filter of packet sockets: a classic BPF program (networking/filter.rst of the kernel's documentation).

What it passes of TCP: RST always, SYN and FIN unless only resets are wanted; while armed also every segment of some
ports, hosts or connections, or all. A connection is told by its ports and by the sum of its addresses, which is the
same both ways. It finds TCP in IPv4 and IPv6 behind up to two VLAN tags (an outer tag that lies in the metadata
is no part of the packet), behind the IPv6 extension headers that may stand before it, and behind one tunnel: IP in IP,
GRE, VXLAN, Geneve. Later fragments have no TCP header and do not pass. What the filter cannot read does not pass.

Every packet of the namespace costs what the filter takes, so what most packets are is told first (`_plain`): reads at
fixed places, which the kernel's compiler makes loads, while those from X on are calls.

`build` gives the instructions as the kernel takes them. A conditional jump of classic BPF reaches 255 instructions, so
that each test here steps over a long jump; the kernel's compiler makes one of the two.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from whyreset.sources.filter_code import Code

if TYPE_CHECKING:
    import ipaddress

#: The most ports and hosts that a filter tells apart: far below the kernel's limit of 4,096 instructions.
MOST_PORTS, MOST_HOSTS, MOST_CONNECTIONS = 64, 32, 64

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
#: Address and port of both ends, in any order.
Connection: TypeAlias = "tuple[Address, int, Address, int]"

# include/uapi/linux/bpf_common.h, filter.h
_LDB, _LDH, _LDW = 0x50, 0x48, 0x40  # LD | IND: from X on
_LDB_AT, _LDH_AT, _LDW_AT = 0x30, 0x28, 0x20  # LD | ABS
_LD_IMMEDIATE, _LDX_IMMEDIATE, _LD_MEMORY, _LDX_MEMORY, _ST = 0x00, 0x01, 0x60, 0x61, 0x02
_ADD, _ADD_X, _AND, _LSH, _RSH, _TAX, _TXA = 0x04, 0x0C, 0x54, 0x64, 0x74, 0x07, 0x87
_JSET, _RET = 0x45, 0x06
#: What the kernel knows beside the bytes: SKF_AD_OFF + SKF_AD_HATYPE; SKF_NET_OFF.
_HATYPE, _NETWORK_HEADER = 0xFFFFF000 + 28, 0xFFF00000

_ETHER, _LOOPBACK = 1, 772  # include/uapi/linux/if_arp.h
_VLANS = (0x8100, 0x88A8)
_TCP, _UDP, _IPIP, _SIX_IN_FOUR, _GRE = 6, 17, 4, 41, 47
_FRAGMENT, _EXTENSIONS = 44, (0, 43, 60)  # hop-by-hop, routing, destination options
_VXLAN_PORTS, _GENEVE_PORT, _ETHERNET_IN_GRE = (4789, 8472), 6081, 0x6558
_RST, _FIN_SYN_RST = 4, 7
#: Places in the filter's memory.
_IS_HOST, _NEXT, _FIRST, _SECOND, _FOLDED, _HERE = 0, 1, 2, 3, 4, 5
_MOST_EXTENSIONS = 2


def build(
    *,
    snap_bytes: int,
    ports: Sequence[int] = (),
    hosts: Sequence[Address] = (),
    connections: Sequence[Connection] = (),
    everything: bool = False,
    resets_only: bool = False,
) -> list[tuple[int, int, int, int]]:
    """The instructions as (code, jump if true, jump if false, value).

    Args:
        snap_bytes: so much is kept of each packet that passes.
        ports: every segment from or to one of them passes.
        hosts: every segment from or to one of them passes.
        connections: every segment of one of them passes.
        everything: every segment passes.
        resets_only: neither SYN nor FIN makes a segment pass.
    Raises:
        ValueError: there are more of them than MOST_PORTS, MOST_HOSTS and MOST_CONNECTIONS.
    """
    if len(ports) > MOST_PORTS or len(hosts) > MOST_HOSTS or len(connections) > MOST_CONNECTIONS:
        raise ValueError(
            f"a filter takes at most {MOST_PORTS} ports, {MOST_HOSTS} hosts and {MOST_CONNECTIONS} connections"
        )
    flags = _RST if resets_only else _FIN_SYN_RST
    code = Code()
    _link(code, flags, everything=everything, armed=bool(ports or hosts or connections))
    code.place("internet")
    inner, ethernet = code.name(), code.name()
    folding = bool(connections)
    _internet(code, hosts, folding, tunnels=(inner, ethernet))
    code.place(ethernet)  # X is at an Ethernet header
    _step_over_tags(code)
    code.place(inner)
    _internet(code, hosts, folding, tunnels=None)
    code.place("tcp")  # X is at its header
    code.add(_LDB, 13)
    code.when(flags, "pass", _JSET)
    if everything:
        code.jump("pass")
    if hosts:
        code.add(_LD_MEMORY, _IS_HOST)
        code.when(1, "pass")
    if ports:
        for offset in (0, 2):
            code.add(_LDH, offset)
            code.whenever(ports, "pass")
    _look_for_connections(code, connections)
    code.place("drop")
    code.add(_RET, 0)
    code.place("pass")
    code.add(_RET, snap_bytes)
    return code.assemble()


def pack(instructions: Iterable[tuple[int, int, int, int]]) -> bytes:
    """The instructions as an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)


def _link(code: Code, flags: int, *, everything: bool, armed: bool) -> None:
    """X: where the IP header begins. Only Ethernet has tags; elsewhere the kernel knows where the network header is."""
    framed, other = code.name(), code.name()
    code.add(_LDW_AT, _HATYPE)
    code.whenever((_ETHER, _LOOPBACK), framed)
    code.add(_LD_IMMEDIATE, 0)
    code.add(_ST, _IS_HOST)
    code.add(_LDX_IMMEDIATE, _NETWORK_HEADER)
    code.jump("internet")
    code.place(framed)
    _plain(code, flags, other, everything=everything, armed=armed)
    code.place(other)
    code.add(_LD_IMMEDIATE, 0)
    code.add(_ST, _IS_HOST)
    code.add(_LDX_IMMEDIATE, 0)
    _step_over_tags(code)


def _plain(code: Code, flags: int, other: str, *, everything: bool, armed: bool) -> None:
    """TCP, and UDP without a tunnel, in IP without options in Ethernet without tags; the rest goes to `other`."""
    six, udp, read = code.name(), code.name(), code.name()
    code.add(_LDH_AT, 12)
    code.when(0x86DD, six)
    code.unless(0x0800, other)
    code.add(_LDB_AT, 14)
    code.unless(0x45, other)
    code.add(_LDH_AT, 20)
    code.when(0x1FFF, "drop", _JSET)
    code.add(_LDB_AT, 23)
    code.when(_UDP, udp)
    code.unless(_TCP, other)
    code.add(_LDB_AT, 47)
    code.jump(read)
    code.place(six)
    code.add(_LDB_AT, 20)
    code.unless(_TCP, other)
    code.add(_LDB_AT, 67)
    code.place(read)
    code.when(flags, "pass", _JSET)
    code.jump("pass" if everything else other if armed else "drop")
    code.place(udp)
    code.add(_LDH_AT, 36)
    code.whenever((*_VXLAN_PORTS, _GENEVE_PORT), other)
    code.jump("drop")


def _step_over_tags(code: Code) -> None:
    """From an Ethernet header at X to what is behind it, if that is IP."""
    done = code.name()
    for _ in range(2):
        tagged = code.name()
        code.add(_LDH, 12)
        code.whenever(_VLANS, tagged)
        code.jump(done)
        code.place(tagged)
        _forward(code, 4)
    code.place(done)
    code.add(_LDH, 12)
    _forward_if_ip(code)


def _forward_if_ip(code: Code) -> None:
    is_ip = code.name()
    code.whenever((0x0800, 0x86DD), is_ip)
    code.jump("drop")
    code.place(is_ip)
    _forward(code, 14)


def _forward(code: Code, size: int) -> None:
    code.add(_TXA)
    code.add(_ADD, size)
    code.add(_TAX)


def _internet(code: Code, hosts: Sequence[Address], folding: bool, tunnels: tuple[str, str] | None) -> None:
    """From an IP header at X to «tcp», or into a tunnel: to the IP or the Ethernet header in it."""
    four, six, protocol = code.name(), code.name(), code.name()
    code.add(_LDB, 0)
    code.add(_RSH, 4)
    code.when(4, four)
    code.when(6, six)
    code.jump("drop")

    code.place(four)
    _look_for(code, [each for each in hosts if each.version == 4], (12, 16))
    if folding:
        _fold(code, (12, 16))
    code.add(_LDH, 6)
    code.when(0x1FFF, "drop", _JSET)
    code.add(_LDB, 9)
    code.add(_ST, _NEXT)
    code.add(_LDB, 0)
    code.add(_AND, 15)
    code.add(_LSH, 2)
    code.add(_ADD_X)
    code.add(_TAX)
    code.jump(protocol)

    code.place(six)
    _look_for(code, [each for each in hosts if each.version == 6], (8, 24))
    if folding:
        _fold(code, range(8, 40, 4))
    code.add(_LDB, 6)
    code.add(_ST, _NEXT)
    _forward(code, 40)
    for _ in range(_MOST_EXTENSIONS):
        _extension(code)

    code.place(protocol)
    code.add(_LD_MEMORY, _NEXT)
    code.when(_TCP, "tcp")
    if tunnels is None:
        code.jump("drop")
    else:
        _tunnel(code, *tunnels)


def _look_for(code: Code, hosts: Iterable[Address], offsets: tuple[int, int]) -> None:
    """Notes whether one of the addresses is one of the hosts."""
    for host in hosts:
        words = struct.unpack(f"!{len(host.packed) // 4}I", host.packed)
        for offset in offsets:
            other = code.name()
            for number, word in enumerate(words):
                code.add(_LDW, offset + 4 * number)
                code.unless(word, other)
            code.add(_LD_IMMEDIATE, 1)
            code.add(_ST, _IS_HOST)
            code.place(other)


def _fold(code: Code, offsets: Iterable[int]) -> None:
    """The sum of both addresses' words, which is the same in both directions."""
    code.add(_TXA)
    code.add(_ST, _HERE)
    for number, offset in enumerate(offsets):
        code.add(_LDW, offset)
        if number:
            code.add(_LDX_MEMORY, _FOLDED)
            code.add(_ADD_X)
        code.add(_ST, _FOLDED)
        code.add(_LDX_MEMORY, _HERE)


def _folded(connection: Connection) -> int:
    folded = 0
    for address in (connection[0], connection[2]):
        for word in struct.unpack(f"!{len(address.packed) // 4}I", address.packed):
            folded += word
    return folded & 0xFFFFFFFF


def _look_for_connections(code: Code, connections: Sequence[Connection]) -> None:
    """X is at a TCP header: to «pass» where it is of one of them."""
    pairs: dict[int, set[int]] = {}
    for one, sport, other, dport in connections:
        both = pairs.setdefault(_folded((one, sport, other, dport)), set())
        both |= {sport << 16 | dport, dport << 16 | sport}
    found = {folded: code.name() for folded in pairs}
    if not pairs:
        return
    code.add(_LD_MEMORY, _FOLDED)
    for folded, name in found.items():
        code.when(folded, name)
    code.jump("drop")
    for folded, name in found.items():
        code.place(name)
        code.add(_LDW, 0)
        code.whenever(sorted(pairs[folded]), "pass")
        code.jump("drop")


def _extension(code: Code) -> None:
    """Over one IPv6 extension header, if there is one."""
    fragment, other, after = code.name(), code.name(), code.name()
    code.add(_LD_MEMORY, _NEXT)
    code.when(_FRAGMENT, fragment)
    code.whenever(_EXTENSIONS, other)
    code.jump(after)
    code.place(fragment)
    code.add(_LDH, 2)
    code.when(0xFFF8, "drop", _JSET)
    code.add(_LDB, 0)
    code.add(_ST, _NEXT)
    _forward(code, 8)
    code.jump(after)
    code.place(other)
    code.add(_LDB, 0)
    code.add(_ST, _NEXT)
    code.add(_LDB, 1)
    code.add(_ADD, 1)
    code.add(_LSH, 3)
    code.add(_ADD_X)
    code.add(_TAX)
    code.place(after)


def _tunnel(code: Code, inner: str, ethernet: str) -> None:
    """Into what A names and X is at: goes to `inner` with X at an IP header, to `ethernet` with X at Ethernet's."""
    gre, udp, vxlan, geneve = code.name(), code.name(), code.name(), code.name()
    code.whenever((_IPIP, _SIX_IN_FOUR), inner)
    code.when(_GRE, gre)
    code.when(_UDP, udp)
    code.jump("drop")

    code.place(
        gre
    )  # RFC 2784, 2890: flags, protocol; then 4 bytes each for checksum, key, sequence number if so flagged
    code.add(_LDH, 2)
    code.add(_ST, _NEXT)
    for bit, shift, place in ((0x80, 5, _FIRST), (0x20, 3, _SECOND), (0x10, 2, 0)):
        code.add(_LDB, 0)
        code.add(_AND, bit)
        code.add(_RSH, shift)
        if place:
            code.add(_ST, place)
    code.add(_ADD, 4)
    code.add(_ADD_X)
    for place in (_FIRST, _SECOND):
        code.add(_LDX_MEMORY, place)
        code.add(_ADD_X)
    code.add(_TAX)
    code.add(_LD_MEMORY, _NEXT)
    code.when(_ETHERNET_IN_GRE, ethernet)
    code.whenever((0x0800, 0x86DD), inner)
    code.jump("drop")

    code.place(udp)
    code.add(_LDH, 2)
    code.whenever(_VXLAN_PORTS, vxlan)
    code.when(_GENEVE_PORT, geneve)
    code.jump("drop")
    code.place(vxlan)  # RFC 7348: UDP, then 8 bytes
    _forward(code, 16)
    code.jump(ethernet)
    code.place(geneve)  # RFC 8926: UDP, then 8 bytes and options, in words
    code.add(_LDB, 8)
    code.add(_AND, 0x3F)
    code.add(_LSH, 2)
    code.add(_ADD, 16)
    code.add(_ADD_X)
    code.add(_TAX)
    code.jump(ethernet)
