class Sink:
    """Takes packets, one after the other, in compiled code: a subclass has `take(frame)` and `settle()` (taps.pxd)."""

class Listing(Sink):
    """Keeps the first packets as values: for tests and for looking, one Python object a packet.

    Args:
        most: so many are kept.
    """

    #: (nanoseconds since the epoch, interface index, sll_pkttype, link type, original length, bytes, VLAN tag or None).
    frames: list[tuple[int, int, int, int, int, bytes, int | None]]
    def __init__(self, most: int = ...) -> None: ...

class Tap:
    """The mapped ring of a packet socket (TPACKET_V3).

    Args:
        fd: the socket.
        block_bytes, blocks: as the ring was made.
    Raises:
        OSError: it cannot be mapped.
    """

    #: Packets that were handed on.
    packets: int
    #: Packets that a block announced and that were not understood.
    misread: int
    def __init__(self, fd: int, block_bytes: int, blocks: int) -> None: ...
    def drain(self, sinks: list[Sink]) -> int:
        """Hands every packet of the blocks that are ready to each sink, and gives the blocks back. Returns how many."""
