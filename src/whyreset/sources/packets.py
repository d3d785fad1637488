"""Packets of all interfaces of one network namespace: a packet socket (packet(7)) with a mapped ring.

Its filter (`socket_filter`) runs in the kernel. Interfaces may come, go and change their names; none is ever put into
promiscuous mode. Packets go from the ring to compiled code (`core.taps.Sink`); Python sees none of them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Collection, Sequence

from msgspec import Struct

from whyreset.core.taps import Sink, Tap
from whyreset.model import Missing
from whyreset.sources import diag, socket_filter
from whyreset.sources.base import SourceError

#: How many interfaces' names are kept.
_NAMES_MAX = 4096
_NAMES_EVERY_NS = 1_000_000_000

# include/uapi/linux/if_packet.h, if_ether.h, asm-generic/socket.h, sockios.h
_SOL_PACKET, _ETH_P_ALL = 263, 0x0003
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION, _TPACKET_V3 = 5, 6, 10, 2
_SO_ATTACH_FILTER, _SO_NETNS_COOKIE, _SIOCGIFNAME = 26, 71, 0x8910
_FRAME_BYTES = 2048  # without meaning for TPACKET_V3, but it must divide the block's size
_libc = ctypes.CDLL(None, use_errno=True)
_LOST = "resets that the TCP stack did not send, and where on the wire the others were"


class Wanted(Struct, frozen=True, kw_only=True):
    """What passes the filter beside SYN, FIN and RST."""

    #: Every segment from or to one of these.
    ports: tuple[int, ...] = ()
    hosts: tuple[socket_filter.Address, ...] = ()
    #: Every segment of one of these connections.
    connections: tuple[socket_filter.Connection, ...] = ()
    #: Every segment.
    everything: bool = False


#: Nothing more.
ENDS = Wanted()


class Packets:
    """The packets of one network namespace.

    Args:
        path: of the namespace («/proc/911/ns/net»); "" for our own.
        snap_bytes: so much of each packet is kept.
        block_bytes, blocks: of the ring; a block is a multiple of the page size.
        wait_ms: after so long a block is handed over that is not full.
        wanted: what passes beside SYN, FIN and RST.
    """

    name = "packets"

    def __init__(
        self,
        *,
        path: str = "",
        snap_bytes: int = 256,
        block_bytes: int = 1 << 17,
        blocks: int = 32,
        wait_ms: int = 10,
        wanted: Wanted = ENDS,
    ) -> None:
        self._path = path
        self._snap_bytes = snap_bytes
        self._block_bytes = block_bytes
        self._blocks = blocks
        self._wait_ms = wait_ms
        self._wanted = wanted
        self._socket: socket.socket | None = None
        self._tap: Tap | None = None
        self._names: dict[int, str] = {}
        self._named_ns = 0
        #: Packets that passed the filter but found no room in the ring.
        self.dropped = 0
        #: The namespace's inode number and cookie (see `diag.here`).
        self.netns, self.cookie = 0, 0

    def can_run(self) -> Missing | None:
        try:
            self._open().close()
        except SourceError as error:
            return Missing(source=self.name, why=str(error), lost=_LOST)
        return None

    def start(self) -> None:
        self._socket = opened = self._open()
        try:
            self._listen(opened)
        except OSError as error:
            self.close()
            raise SourceError(f"cannot read packets: {os.strerror(error.errno or 0)}") from error

    def want(self, wanted: Wanted) -> None:
        """Arms and disarms: from now on this passes beside SYN, FIN and RST. Nothing is missed by the change."""
        self._wanted = wanted
        if self._socket is not None:
            self._attach(self._socket)

    def drain(self, sinks: Collection[Sink]) -> int:
        """Hands what has come to each sink; returns how many packets that were."""
        return self._tap.drain(list(sinks)) if self._tap is not None else 0

    def count_dropped(self) -> int:
        """Packets lost since the last call, for want of room in the ring."""
        if self._socket is None:
            return 0
        # reading it sets it to 0
        _, dropped, _ = struct.unpack("=III", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
        self.dropped += dropped
        return int(dropped)

    def interface(self, index: int, now_ns: int) -> str:
        """An interface's name as it is now (kept for a second); "" where it is gone."""
        if now_ns - self._named_ns > _NAMES_EVERY_NS or len(self._names) >= _NAMES_MAX:
            self._names.clear()
            self._named_ns = now_ns
        if index not in self._names:
            self._names[index] = self._ask_name(index)
        return self._names[index]

    def fileno(self) -> int:
        """Readable as long as a block waits to be drained."""
        return self._socket.fileno() if self._socket is not None else -1

    @property
    def inode(self) -> int:
        """The number of the socket's file."""
        return os.fstat(self._socket.fileno()).st_ino if self._socket is not None else 0

    def losses(self) -> dict[str, tuple[int, str]]:
        """What was lost so far, by name: how much, and what that means for the user."""
        return {
            "packets-lost": (
                self.dropped,
                "packets that were not read in time: what was on the wire in those seconds is known only in part",
            ),
            "packets-misread": (self._tap.misread if self._tap else 0, "packets that were not understood"),
        }

    def close(self) -> None:
        self._tap = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        """A packet socket in the namespace, which sees nothing yet."""
        if not hasattr(socket, "AF_PACKET"):
            raise SourceError("this Python knows no packet sockets")
        try:
            if not self._path:
                return self._open_here()
            with diag.inside(self._path):
                return self._open_here()
        except PermissionError as error:
            raise SourceError("packets may not be read without CAP_NET_RAW: run it as root, or grant that") from error
        except FileNotFoundError as error:
            raise SourceError(f"there is no network namespace at {self._path}") from error
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                raise SourceError("this kernel has no packet sockets (CONFIG_PACKET, module af_packet)") from error
            raise SourceError(f"cannot open a packet socket: {os.strerror(error.errno or 0)}") from error

    def _open_here(self) -> socket.socket:
        self.netns, self.cookie = diag.here()
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)

    def _listen(self, opened: socket.socket) -> None:
        """Filter and ring first, then it is bound: the first packet that comes in is one that was asked for."""
        self._attach(opened)
        opened.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        # struct tpacket_req3: the ring, the time for a block, and no room or features of our own
        frames = self._block_bytes // _FRAME_BYTES * self._blocks
        ring = struct.pack("=7I", self._block_bytes, self._blocks, _FRAME_BYTES, frames, self._wait_ms, 0, 0)
        opened.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
        self._tap = Tap(opened.fileno(), self._block_bytes, self._blocks)
        # struct sockaddr_ll with interface 0, which Python's bind cannot say: all of them, also those to come
        everywhere = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0)
        if _libc.bind(opened.fileno(), everywhere, len(everywhere)):
            raise OSError(ctypes.get_errno(), "bind")

    def _attach(self, opened: socket.socket) -> None:
        wanted = self._wanted
        instructions: Sequence[tuple[int, int, int, int]] = socket_filter.build(
            snap_bytes=self._snap_bytes,
            ports=wanted.ports,
            hosts=wanted.hosts,
            connections=wanted.connections,
            everything=wanted.everything,
        )
        program = ctypes.create_string_buffer(socket_filter.pack(instructions))
        # struct sock_fprog
        opened.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HP", len(instructions), ctypes.addressof(program)),
        )

    def _ask_name(self, index: int) -> str:
        if self._socket is None:
            return ""
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFNAME, struct.pack("16si20x", b"", index))
        except OSError:
            return ""
        return answer[:16].partition(b"\0")[0].decode("utf-8", "backslashreplace")
