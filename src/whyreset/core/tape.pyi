from whyreset.core.taps import Sink

#: (nanoseconds since the epoch, place, interface index, sll_pkttype, link type, original length, bytes).
Taken = tuple[int, int, int, int, int, int, bytes]
#: The same with `seen_ns`.
Seen = tuple[int, int, int, int, int, int, bytes, int]

class Tape:
    """A ring of packets in memory: when it is full, the oldest are overwritten, and counted.

    Args:
        size: bytes of memory, for packets with 40 bytes for each.
        snap: so much is kept of each packet; 0 keeps its headers, and of a reset what it says.
    """

    #: Bytes of memory.
    size: int
    #: Packets that are here.
    count: int
    #: Packets that were overwritten before they were taken.
    overwritten: int
    #: Noted with each packet that comes from now on: the time on a clock that never steps; 0: nobody tells.
    seen_ns: int
    #: Packets of devices whose bytes nobody here can read; they are not kept.
    unreadable: int
    def __init__(self, size: int = ..., snap: int = ...) -> None: ...
    def channel(self, place: int) -> Channel:
        """What a source hands its packets to; `place` is a number of the caller's, and comes back with each."""
    def put(
        self,
        time_ns: int,
        place: int,
        ifindex: int,
        direction: int,
        link: int,
        length: int,
        data: bytes,
        tag: int = ...,
    ) -> None:
        """One packet; `tag` is of a VLAN that the device took off."""
    def take(self, most: int) -> list[Taken]:
        """The oldest, so many at most; they are here no more."""
    def take_seen(self, most: int) -> list[Seen]:
        """The same, with when they were seen."""
    @property
    def begin(self) -> int:
        """The place of the oldest."""
    @property
    def end(self) -> int:
        """The place after the newest."""
    def read(self, place: int, most: int, since_ns: int = ...) -> tuple[list[Taken], int]:
        """Packets from a place on, so many at most, and the place to go on from; they stay.

        None that were seen earlier are among them; where nobody told when that was, none that are older.

        Places are 0 for the oldest that is there, `end`, and what was told to go on from: nothing else.
        """
    def read_seen(self, place: int, most: int, since_ns: int = ...) -> tuple[list[Seen], int]:
        """The same, with when they were seen."""

class Channel(Sink):
    """Hands packets on to a tape."""

    place: int
