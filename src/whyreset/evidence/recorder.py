"""The flight recorder: packets of the last while in bounded memory, and what the pipeline said meanwhile.

It only remembers. When it is asked, it gives the packets out in the order of their time, joined with their explanations
as `join` does, so that evidence begins before the alarm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from whyreset.core.tape import Channel, Tape
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import APART_NS, Explained, Join
from whyreset.model import Reset

#: Bytes of memory for packets, and explanations that are kept; one has some two thousand bytes.
SIZE, RESETS_MAX = 32 << 20, 8192
_STEP_NS = 100_000_000
_PIECE = 1000


class Recorder:
    """Remembers packets and explanations.

    Args:
        places: the inode numbers of the namespaces that packets come from, by the numbers that their channels have.
        size: bytes of memory for packets.
        snap: what is kept of a packet; 0 for its headers.
    """

    def __init__(self, places: dict[int, int], *, size: int = SIZE, snap: int = 0) -> None:
        self._places = places
        self._tape = Tape(size, snap)
        self._resets: deque[Reset] = deque(maxlen=RESETS_MAX)

    def channel(self, place: int) -> Channel:
        """What a source of packets hands them to."""
        return self._tape.channel(place)

    def see(self, resets: Iterable[Reset]) -> None:
        """What the pipeline said."""
        self._resets.extend(resets)

    @property
    def count(self) -> int:
        """Packets that are remembered."""
        return self._tape.count

    @property
    def overwritten(self) -> int:
        """Packets that were forgotten for newer ones."""
        return self._tape.overwritten

    def play(self, since_ns: int = 0, until_ns: int = 1 << 63) -> Iterator[Explained]:
        """The packets that are remembered, in the order of their time, with their explanations.

        It may be taken in pieces while more come; what is overwritten meanwhile is left out.

        Args:
            since_ns: none that are older.
            until_ns: none that are as young.
        """
        resets = deque(sorted(self._resets, key=lambda reset: reset.time_ns))
        joined = Join(self._places)
        for step, some in groupby(self._frames(since_ns, until_ns), key=lambda frame: frame.time_ns // _STEP_NS):
            now_ns = (step + 1) * _STEP_NS
            near = []
            while resets and resets[0].time_ns < now_ns + APART_NS:
                near.append(resets.popleft())
            joined.tell(near, now_ns)
            joined.add(some, now_ns)
            yield from joined.ready(now_ns)
        yield from joined.ready(0, everything=True)

    def _frames(self, since_ns: int, until_ns: int) -> Iterator[Frame]:
        """What is there now, in pieces: as values it takes more memory than the tape."""
        place, end = 0, self._tape.end
        while place < end:
            taken, place = self._tape.read(place, _PIECE, since_ns)
            # several sockets are read one after the other
            frames = sorted((Frame(*each) for each in taken), key=lambda frame: frame.time_ns)
            yield from (frame for frame in frames if frame.time_ns < until_ns)
