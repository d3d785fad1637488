"""A packet socket (packet(7)) with a ring to be mapped: the half of reading packets that needs rights.

Whoever has the socket can also send by it whatever it likes, and change its filter. Whoever has mapped its ring can
only read what passes: so a reader without rights maps it, and lets go of the descriptor.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from whyreset.sources import diag, socket_filter
from whyreset.sources.base import SourceError

# include/uapi/linux/if_packet.h, if_ether.h, asm-generic/socket.h, sockios.h
_SOL_PACKET, _ETH_P_ALL = 263, 0x0003
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION, _TPACKET_V3 = 5, 6, 10, 2
_SO_ATTACH_FILTER, _SIOCGIFNAME = 26, 0x8910
_FRAME_BYTES = 2048  # without meaning for TPACKET_V3, but it must divide the block's size
_libc = ctypes.CDLL(None, use_errno=True)


class Wanted(Struct, frozen=True, kw_only=True):
    """What passes the filter beside RST: SYN, FIN, and what is named."""

    #: Every segment from or to one of these.
    ports: tuple[int, ...] = ()
    hosts: tuple[str, ...] = ()
    #: Every segment of one of these, as address and port of both ends.
    connections: tuple[tuple[str, int, str, int], ...] = ()
    #: Every segment.
    everything: bool = False
    #: Not even SYN and FIN.
    resets_only: bool = False


#: Nothing more.
ENDS = Wanted()
RESETS = Wanted(resets_only=True)


class Shape(Struct, frozen=True, kw_only=True):
    """What to read, and how."""

    #: Of the namespace («/proc/911/ns/net»); "" for our own.
    path: str = ""
    #: So much of each packet is kept.
    snap_bytes: int = 256
    #: Of the ring; a block is a multiple of the page size.
    block_bytes: int = 1 << 17
    blocks: int = 32
    #: After so long a block is handed over that is not full.
    wait_ms: int = 10
    wanted: Wanted = ENDS


class Opened(Protocol):
    """A packet socket, and who holds it."""

    #: The namespace's inode number and cookie (see `diag.here`), and the number of the socket's file.
    netns: int
    cookie: int
    inode: int

    def fileno(self) -> int:
        """To map its ring by."""

    def mapped(self) -> None:
        """The ring was mapped: from now on the reader needs no descriptor."""

    def want(self, wanted: Wanted) -> None:
        """From now on this passes. Nothing is missed by the change."""

    def dropped(self) -> int:
        """Packets lost since the last call, for want of room in the ring."""

    def interface(self, index: int) -> str:
        """An interface's name as it is now; "" where it is gone."""

    def close(self) -> None:
        """The kernel takes it away when nobody has its ring mapped any more; harmless when called twice."""


class PacketSocket:
    """A packet socket of this process.

    Raises:
        SourceError: it cannot be opened here, in words an operator can act on.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.netns = self.cookie = 0
        self._socket = self._open()
        self.inode = os.fstat(self._socket.fileno()).st_ino
        try:
            self._listen()
        except OSError as error:
            self.close()
            raise SourceError(f"cannot read packets: {os.strerror(error.errno or 0)}") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def mapped(self) -> None:
        """It stays open, for what only its holder can do."""

    def want(self, wanted: Wanted) -> None:
        instructions: Sequence[tuple[int, int, int, int]] = socket_filter.build(
            snap_bytes=self._shape.snap_bytes,
            ports=wanted.ports,
            hosts=[_address(each) for each in wanted.hosts],
            connections=[_connection(each) for each in wanted.connections],
            everything=wanted.everything,
            resets_only=wanted.resets_only,
        )
        program = ctypes.create_string_buffer(socket_filter.pack(instructions))
        # struct sock_fprog
        fprog = struct.pack("HP", len(instructions), ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)

    def dropped(self) -> int:
        # reading it sets it to 0
        return int(struct.unpack("=III", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))[1])

    def interface(self, index: int) -> str:
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFNAME, struct.pack("16si20x", b"", index))
        except OSError:
            return ""
        return answer[:16].partition(b"\0")[0].decode("utf-8", "backslashreplace")

    def close(self) -> None:
        self._socket.close()

    def _open(self) -> socket.socket:
        """A packet socket in the namespace, which sees nothing yet."""
        path = self._shape.path
        if not hasattr(socket, "AF_PACKET"):
            raise SourceError("this Python knows no packet sockets")
        try:
            if not path:
                return self._open_here()
            with diag.inside(path):
                return self._open_here()
        except PermissionError as error:
            raise SourceError("packets may not be read without CAP_NET_RAW: run it as root, or grant that") from error
        except FileNotFoundError as error:
            raise SourceError(f"there is no network namespace at {path}") from error
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                raise SourceError("this kernel has no packet sockets (CONFIG_PACKET, module af_packet)") from error
            raise SourceError(f"cannot open a packet socket: {os.strerror(error.errno or 0)}") from error

    def _open_here(self) -> socket.socket:
        self.netns, self.cookie = diag.here()
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)

    def _listen(self) -> None:
        """Filter and ring first, then it is bound: the first packet that comes in is one that was asked for."""
        shape = self._shape
        self.want(shape.wanted)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        # struct tpacket_req3: the ring, the time for a block, and no room or features of our own
        frames = shape.block_bytes // _FRAME_BYTES * shape.blocks
        ring = struct.pack("=7I", shape.block_bytes, shape.blocks, _FRAME_BYTES, frames, shape.wait_ms, 0, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
        # struct sockaddr_ll with interface 0, which Python's bind cannot say: all of them, also those to come
        everywhere = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0)
        if _libc.bind(self._socket.fileno(), everywhere, len(everywhere)):
            raise OSError(ctypes.get_errno(), "bind")


def _address(text: str) -> socket_filter.Address:
    import ipaddress  # rarely needed, and not small

    return ipaddress.ip_address(text)


def _connection(ends: tuple[str, int, str, int]) -> socket_filter.Connection:
    one, port, other, other_port = ends
    return _address(one), port & 0xFFFF, _address(other), other_port & 0xFFFF
