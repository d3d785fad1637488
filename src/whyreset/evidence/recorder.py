"""The flight recorder: packets of the last while in bounded memory, and what the pipeline said meanwhile.

It only remembers. When it is asked, it gives the packets out in the order in which they came, joined with their
explanations as `join` does, so that evidence begins before the alarm. Somebody may set the clock meanwhile: what
belongs together is told by a clock that never steps (`steady`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from whyreset.core.tape import Channel, Tape
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import APART_NS, Explained, Join
from whyreset.evidence.steady import Steady
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
        #: With their steady times.
        self._resets: deque[tuple[int, Reset]] = deque(maxlen=RESETS_MAX)
        self._steady = Steady()
        self._now_ns = 0
        #: At most so many packets were forgotten while they were being played.
        self.missed = 0

    def channel(self, place: int) -> Channel:
        """What a source of packets hands them to."""
        return self._tape.channel(place)

    @property
    def tape(self) -> Tape:
        """Where packets are, for what is copied beside the sources (core/triggers)."""
        return self._tape

    def read_clocks(self, time_ns: int, steady_ns: int) -> None:
        """Both clocks, now; without it the time of day is held to be steady.

        Args:
            time_ns: since the epoch.
            steady_ns: of a clock that never steps.
        """
        self._steady.read(time_ns, steady_ns)
        self._now_ns = self._tape.seen_ns = steady_ns

    def see(self, resets: Iterable[Reset]) -> None:
        """What the pipeline said."""
        self._resets.extend((self._at(reset.time_ns, self._now_ns), reset) for reset in resets)

    @property
    def count(self) -> int:
        """Packets that are remembered."""
        return self._tape.count

    @property
    def overwritten(self) -> int:
        """Packets that were forgotten for newer ones."""
        return self._tape.overwritten

    def oldest(self) -> int | None:
        """The time of the oldest packet that is remembered; None where there is none."""
        taken, _ = self._tape.read(0, 1)
        return taken[0][0] if taken else None

    def play(self, since_ns: int = 0, until_ns: int = 1 << 62) -> Iterator[Explained]:
        """The packets that are remembered, in the order in which they came, with their explanations.

        It may be taken in pieces while more come; what is overwritten meanwhile is left out.

        Args:
            since_ns: none that are older, since the epoch as the clock stands now.
            until_ns: none that are as young.
        """
        return self.play_steady(self._steady.now(since_ns), self._steady.now(until_ns))

    def play_steady(self, since_ns: int, until_ns: int) -> Iterator[Explained]:
        """The same by a clock that never steps: that of `Frame.at_ns`."""
        # taken now, not when the first is asked for: more are told meanwhile
        resets = deque(sorted(self._resets, key=lambda each: each[0]))
        return self._joined(resets, since_ns, until_ns)

    def _joined(self, resets: deque[tuple[int, Reset]], since_ns: int, until_ns: int) -> Iterator[Explained]:
        joined = Join(self._places)
        for step, some in groupby(self._frames(since_ns, until_ns), key=lambda frame: frame.at_ns // _STEP_NS):
            now_ns = (step + 1) * _STEP_NS
            while resets and resets[0][0] < now_ns + APART_NS:
                at_ns, reset = resets.popleft()
                joined.tell((reset,), now_ns, shift_ns=reset.time_ns - at_ns)
            joined.add(some, now_ns)
            yield from joined.ready(now_ns)
        yield from joined.ready(0, everything=True)

    def _frames(self, since_ns: int, until_ns: int) -> Iterator[Frame]:
        """What is there now, in pieces: as values it takes more memory than the tape."""
        place, end, overwritten = self._tape.begin, self._tape.end, self._tape.overwritten
        while place < end:
            if self._tape.begin > place:
                self.missed += self._tape.overwritten - overwritten
            overwritten = self._tape.overwritten
            # a packet is seen after it came
            taken, place = self._tape.read_seen(place, _PIECE, max(since_ns, 0))
            frames = [Frame(*each[:-1], at_ns=self._at(each[0], each[-1])) for each in taken]
            # several sockets are read one after the other
            frames.sort(key=lambda frame: frame.at_ns)
            yield from (frame for frame in frames if since_ns <= frame.at_ns < until_ns)

    def _at(self, time_ns: int, seen_ns: int) -> int:
        return self._steady.near(time_ns, seen_ns) if seen_ns else time_ns
