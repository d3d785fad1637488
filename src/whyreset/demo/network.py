"""Interfaces, addresses and neighbours of a network namespace by ioctl and netlink: no `ip` and no `ss` is needed.

All functions act on the calling thread's namespace.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from contextlib import suppress

from whyreset.demo.namespaces import inside

INTERFACE = "eth0"
_NOWHERE = bytes.fromhex("0200000000ee")  # a hardware address that no interface has

# include/uapi/linux/sockios.h, if.h, if_arp.h
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCDARP, _SIOCSARP = 0x8914, 0x8916, 0x891C, 0x8953, 0x8955
_IFF_UP, _ATF_COM, _ATF_PERM, _ARPHRD_ETHER = 1, 2, 4, 1
# include/uapi/linux/netlink.h, rtnetlink.h, if_link.h, veth.h
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_NLMSG_ERROR, _RTM_NEWLINK = 2, 16
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
# include/uapi/linux/sock_diag.h, inet_diag.h
_SOCK_DESTROY = 21
_ANY_COOKIE = b"\xff" * 8


def add_wire(other: int) -> None:
    """Adds an interface that is joined by a wire (veth) to one of the same name in another namespace."""
    name = _attribute(_IFLA_IFNAME, INTERFACE.encode() + b"\0")
    peer = bytes(16) + name + _attribute(_IFLA_NET_NS_FD, struct.pack("I", other))
    kind = _attribute(_IFLA_INFO_KIND, b"veth") + _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, peer))
    _netlink(_NETLINK_ROUTE, _RTM_NEWLINK, _CREATE | _EXCL, bytes(16) + name + _attribute(_IFLA_LINKINFO, kind))


def take_up(*addresses: str) -> None:
    """Takes up loopback and the interface, the latter with IPv4 addresses of one network of 256."""
    _set_interface("lo", _SIOCSIFFLAGS, struct.pack("H", _IFF_UP))
    for number, address in enumerate(addresses):
        alias = f"{INTERFACE}:{number}" if number else INTERFACE
        _set_interface(alias, _SIOCSIFADDR, _ipv4(address))
        _set_interface(alias, _SIOCSIFNETMASK, _ipv4("255.255.255.0"))
    _set_interface(INTERFACE, _SIOCSIFFLAGS, struct.pack("H", _IFF_UP))


def await_way(sender: int, receiver: int, address: str) -> None:
    """Waits until datagrams pass from one namespace to an address of another: a wire that is up drops the first ones.

    Raises:
        TimeoutError: none passed within three seconds.
    """
    with inside(receiver):
        inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inside(sender):
        outbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inbox, outbox:
        inbox.bind((address, 0))
        inbox.settimeout(0.01)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with suppress(OSError):  # the way there may not be up yet
                outbox.sendto(b"up?", inbox.getsockname())
            with suppress(TimeoutError):
                inbox.recv(8)
                return
    raise TimeoutError(f"nothing passes to {address}")


def lead_astray(address: str) -> None:
    """Has what is sent to a neighbour reach nobody, and nobody told: as if it were out of reach."""
    _neighbour(
        _SIOCSARP,
        struct.pack(
            "=16sH14sI16s16s", _ipv4(address), _ARPHRD_ETHER, _NOWHERE, _ATF_COM | _ATF_PERM, b"", INTERFACE.encode()
        ),
    )


def lead_home(address: str) -> None:
    """Ends `lead_astray`; the neighbour is looked for anew."""
    _neighbour(_SIOCDARP, struct.pack("=16s20x16s16s", _ipv4(address), b"", INTERFACE.encode()))


def destroy(local: tuple[str, int], remote: tuple[str, int]) -> None:
    """Destroys an IPv4 connection as an administrator does by `ss -K`.

    Raises:
        OSError: EOPNOTSUPP where the kernel cannot (CONFIG_INET_DIAG_DESTROY), ENOENT where there is none.
    """
    ends = struct.pack("!HH", local[1], remote[1])
    ends += b"".join(socket.inet_aton(address).ljust(16, b"\0") for address, _ in (local, remote))
    # inet_diag_req_v2: family, protocol, extensions, padding, states; then inet_diag_sockid
    request = (
        struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + ends + bytes(4) + _ANY_COOKIE
    )
    _netlink(_NETLINK_SOCK_DIAG, _SOCK_DESTROY, 0, request)


def _ipv4(address: str) -> bytes:
    """A sockaddr_in."""
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _set_interface(name: str, request: int, value: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, struct.pack("16s24s", name.encode(), value))


def _neighbour(request: int, entry: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, entry)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _netlink(protocol: int, kind: int, flags: int, body: bytes) -> None:
    """Asks the kernel for one thing and waits for its word."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.settimeout(5)
        kernel.send(struct.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body)
        answer = kernel.recv(65536)
    _, told, _, _, _, result = struct.unpack_from("IHHIIi", answer)
    if told == _NLMSG_ERROR and result:
        raise OSError(-result, os.strerror(-result))
