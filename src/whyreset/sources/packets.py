"""Packets of all interfaces of one network namespace: a packet socket (packet(7)) with a mapped ring.

Its filter (`socket_filter`) runs in the kernel. Interfaces may come, go and change their names; none is ever put into
promiscuous mode. Packets go from the ring to compiled code (`core.taps.Sink`); Python sees none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from whyreset.core.taps import Sink, Tap
from whyreset.model import Missing
from whyreset.sources.base import SourceError
from whyreset.sources.packet_socket import ENDS, RESETS, Opened, PacketSocket, Shape, Wanted

__all__ = ["ENDS", "RESETS", "Packets", "Wanted"]

#: How many interfaces' names are kept.
_NAMES_MAX = 4096
_NAMES_EVERY_NS = 1_000_000_000
_LOST = "resets that the TCP stack did not send, and where on the wire the others were"


class Packets:
    """The packets of one network namespace.

    Args:
        path: of the namespace («/proc/911/ns/net»); "" for our own.
        snap_bytes: so much of each packet is kept.
        block_bytes, blocks: of the ring; a block is a multiple of the page size.
        wait_ms: after so long a block is handed over that is not full.
        wanted: what passes.
        opener: opens the socket; raises SourceError.
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
        opener: Callable[[Shape], Opened] = PacketSocket,
    ) -> None:
        self._shape = Shape(
            path=path,
            snap_bytes=snap_bytes,
            block_bytes=block_bytes,
            blocks=blocks,
            wait_ms=wait_ms,
            wanted=wanted,
        )
        self._opener = opener
        self._socket: Opened | None = None
        self._tap: Tap | None = None
        self._names: dict[int, str] = {}
        self._named_ns = 0
        #: Packets that passed the filter but found no room in the ring.
        self.dropped = 0
        #: The namespace's inode number and cookie (see `diag.here`).
        self.netns, self.cookie = 0, 0

    def can_run(self) -> Missing | None:
        try:
            self._opener(self._shape).close()
        except SourceError as error:
            return Missing(source=self.name, why=str(error), lost=_LOST)
        return None

    def start(self) -> None:
        self._socket = opened = self._opener(self._shape)
        self.netns, self.cookie = opened.netns, opened.cookie
        try:
            self._tap = Tap(opened.fileno(), self._shape.block_bytes, self._shape.blocks)
        except OSError as error:
            self.close()
            raise SourceError(f"cannot read packets: {error}") from error
        opened.mapped()

    def want(self, wanted: Wanted) -> None:
        """Arms and disarms: from now on this passes. Nothing is missed by the change."""
        if self._socket is not None:
            self._socket.want(wanted)

    def drain(self, sinks: Collection[Sink]) -> int:
        """Hands what has come to each sink; returns how many packets that were."""
        return self._tap.drain(list(sinks)) if self._tap is not None else 0

    def count_dropped(self) -> int:
        """Packets lost since the last call, for want of room in the ring."""
        if self._socket is None:
            return 0
        dropped = self._socket.dropped()
        self.dropped += dropped
        return dropped

    def interface(self, index: int, now_ns: int) -> str:
        """An interface's name as it is now (kept for a second); "" where it is gone."""
        if now_ns - self._named_ns > _NAMES_EVERY_NS or len(self._names) >= _NAMES_MAX:
            self._names.clear()
            self._named_ns = now_ns
        if index not in self._names:
            self._names[index] = self._socket.interface(index) if self._socket is not None else ""
        return self._names[index]

    @property
    def inode(self) -> int:
        """The number of the socket's file."""
        return self._socket.inode if self._socket is not None else 0

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
