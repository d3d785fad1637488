"""What connection tracking knows of translated addresses: ctnetlink (nfnetlink_conntrack.h), one connection at a time.

It forgets a connection at once that was refused, and one that was reset after seconds; without it (no module, no right,
address translation by other means) nothing is known.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

from whyreset.sources import diag

_NETLINK_NETFILTER = 12
_GET = 1 << 8 | 1  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET
_NEW = 1 << 8  # the answer: IPCTNL_MSG_CT_NEW
_REQUEST = 1
_NESTED = 0x8000
_MESSAGE = struct.Struct("=IHHIIBBH")  # nlmsghdr, nfgenmsg
_TYPE, _ATTRIBUTE = struct.Struct("=H"), struct.Struct("=HH")
_TUPLES = (1, 2)  # CTA_TUPLE_ORIG, CTA_TUPLE_REPLY
_IP, _PROTO = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_ADDRESSES = {False: (1, 2), True: (3, 4)}  # CTA_IP_V4_SRC, _DST, CTA_IP_V6_SRC, _DST
_NUM, _SRC_PORT, _DST_PORT = 1, 2, 3  # CTA_PROTO_*
_TCP = 6
_PATIENCE_SECONDS = 0.05
#: Ends of a segment: source and destination in 16 bytes each, IPv4 in the first four, and their ports as they are here.
ENDS = struct.Struct("=16s16sHH")


class Translations(Protocol):
    """Whoever knows them."""

    def before(self, v6: bool, ends: bytes) -> bytes | None:
        """The ends that a segment had before its addresses were translated; None where it is not known.

        Args:
            v6: whether addresses are IPv6.
            ends: those that it left with, as `ENDS` has them. They come back where nothing was translated.
        """

    def close(self) -> None:
        """Nothing is held then."""


class Conntrack:
    """Asks in one namespace.

    Args:
        path: of the namespace; "" for our own.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._usable = True

    def before(self, v6: bool, ends: bytes) -> bytes | None:
        if not self._usable:
            return None
        src, dst, sport, dport = ENDS.unpack(ends)
        size = 16 if v6 else 4
        # what comes back on this connection is what one of its tuples says
        asked = (dst[:size], src[:size], dport, sport)
        try:
            tuples = self._ask(v6, asked)
        except OSError:
            self._usable = False
            self.close()
            return None
        for mine, other in (tuples, tuples[::-1]) if len(tuples) == len(_TUPLES) else ():
            if mine == asked:
                return ENDS.pack(*other)
        return None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, v6: bool, asked: tuple[bytes, bytes, int, int]) -> list[tuple[bytes, bytes, int, int]]:
        """Both tuples of the connection that has this one; none where there is no such connection.

        Raises OSError where the kernel cannot be asked.
        """
        asking = self._socket or self._open()
        body = _attribute(_TUPLES[0] | _NESTED, _tuple(v6, asked))
        family = socket.AF_INET6 if v6 else socket.AF_INET
        asking.send(_MESSAGE.pack(_MESSAGE.size + len(body), _GET, _REQUEST, 0, 0, family, 0, 0) + body)
        answer = memoryview(asking.recv(1 << 14))
        if len(answer) < _MESSAGE.size or _TYPE.unpack_from(answer, 4)[0] != _NEW:
            return []
        found = dict(_attributes(answer[_MESSAGE.size :]))
        return [_read(v6, found[kind]) for kind in _TUPLES if kind in found]

    def _open(self) -> socket.socket:
        with ExitStack() as stack:
            if self._path:
                stack.enter_context(diag.inside(self._path))
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.settimeout(_PATIENCE_SECONDS)
        return self._socket


def _tuple(v6: bool, ends: tuple[bytes, bytes, int, int]) -> bytes:
    src, dst, sport, dport = ends
    src_kind, dst_kind = _ADDRESSES[v6]
    return _attribute(_IP | _NESTED, _attribute(src_kind, src) + _attribute(dst_kind, dst)) + _attribute(
        _PROTO | _NESTED,
        _attribute(_NUM, bytes([_TCP]))
        + _attribute(_SRC_PORT, sport.to_bytes(2, "big"))
        + _attribute(_DST_PORT, dport.to_bytes(2, "big")),
    )


def _read(v6: bool, data: memoryview) -> tuple[bytes, bytes, int, int]:
    parts = dict(_attributes(data))
    addresses, ports = dict(_attributes(parts.get(_IP, data[:0]))), dict(_attributes(parts.get(_PROTO, data[:0])))
    src, dst = (bytes(addresses.get(kind, b"")) for kind in _ADDRESSES[v6])
    sport, dport = (int.from_bytes(ports.get(kind, b"")[:2], "big") for kind in (_SRC_PORT, _DST_PORT))
    return src, dst, sport, dport


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= size <= len(data):
            return
        yield kind & ~_NESTED, data[_ATTRIBUTE.size : size]
        data = data[(size + 3) & ~3 :]
