"""Joins packets with what the pipeline says of the resets among them: values in, values out, `now` is an argument.

`now` is of a clock that never steps; packets and resets have the time of day.

Rules. Packets leave in the order in which they came, each when it is explained, or has waited its time. A reset is the
packet's where both name the same ends; of several the one with its sequence number, its way, and nearest in time. Where
resets were counted together in a flood, a packet takes their cause if all of that port have the same.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import count, islice

from msgspec import Struct

from whyreset.evidence.frames import Frame, Segment, segment_of
from whyreset.model import Reset

Ends = tuple[str, int, str, int]

#: So long a reset waits for its explanation, and another packet for the reset that it may have provoked.
PATIENCE_NS, SHORT_PATIENCE_NS = 2_000_000_000, 500_000_000
#: Both clocks are this host's; a reset is traced within so much of its packet.
APART_NS = 1_000_000_000
#: Packets that wait, their bytes, and resets that are remembered: what is beyond makes room.
PACKETS_MAX, BYTES_MAX, RESETS_MAX = 16384, 8 << 20, 16384
#: The kernel program tells no E and C.
_CONGESTION = frozenset("EC")
_OF_ONE_KIND, _CROWDS_MAX = 16, 1024


class Explained(Struct, frozen=True, kw_only=True):
    """A packet on its way into the file."""

    frame: Frame
    segment: Segment | None
    #: What the pipeline says of it, where it is a reset.
    reset: Reset | None = None
    #: It has no reset of its own: it is one of so many that were counted together.
    among: int = 0
    #: The reset that it provoked.
    provoked: Reset | None = None


class _Waiting(Struct):
    number: int
    frame: Frame
    segment: Segment | None
    due_ns: int
    reset: Reset | None = None
    among: int = 0
    provoked: Reset | None = None


class Join:
    """Holds packets until it is known why they were sent.

    Args:
        places: by the numbers that packets have: the inode numbers of their namespaces.
    """

    def __init__(self, places: dict[int, int]) -> None:
        self._places = places
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        #: Resets that wait for their explanation, by their ends; and other segments, by theirs.
        self._unexplained: dict[Ends, dict[int, _Waiting]] = {}
        self._others: dict[Ends, dict[int, _Waiting]] = {}
        self._numbers = count()
        #: What was said, and when; by itself, by its ends, and of many together.
        self._known: OrderedDict[int, tuple[Reset, int]] = OrderedDict()
        self._by_ends: dict[Ends, deque[Reset]] = {}
        self._crowds: OrderedDict[int, tuple[Reset, int]] = OrderedDict()
        #: Resets that found their explanation, and that did not.
        self.explained = 0
        self.unexplained = 0
        #: Packets that had to go before their time, for want of room.
        self.hurried = 0

    @property
    def waiting(self) -> int:
        """Packets that wait."""
        return len(self._queue)

    def add(self, frames: Iterable[Frame], now_ns: int) -> None:
        """Packets that came."""
        for frame in frames:
            segment = segment_of(frame)
            is_reset = segment is not None and "R" in segment.flags
            due_ns = now_ns + (PATIENCE_NS if is_reset else SHORT_PATIENCE_NS)
            waiting = _Waiting(next(self._numbers), frame, segment, due_ns)
            self._queue.append(waiting)
            self._bytes += len(frame.data)
            if segment is None:
                continue
            table = self._unexplained if is_reset else self._others
            table.setdefault(segment.ends, {})[waiting.number] = waiting
            if is_reset and (reset := self._find(waiting)) is not None:
                self._settle(waiting, reset)

    def tell(self, resets: Iterable[Reset], now_ns: int) -> None:
        """What the pipeline said."""
        for reset in resets:
            if reset.count > 1 or not reset.sample.local:
                self._crowds[reset.number] = reset, now_ns
                if len(self._crowds) > _CROWDS_MAX:
                    self._crowds.popitem(last=False)
            if not reset.sample.local:
                continue
            ends = ends_of(reset)
            self._known[reset.number] = reset, now_ns
            self._by_ends.setdefault(ends, deque(maxlen=_OF_ONE_KIND)).append(reset)
            # in order, so that what is told of the first need not look at all of a flood from one port
            for waiting in tuple(islice(self._unexplained.get(ends, {}).values(), _OF_ONE_KIND)):
                if (found := self._find(waiting)) is not None:
                    self._settle(waiting, found)
        self._forget(now_ns)

    def ready(self, now_ns: int, *, everything: bool = False) -> Iterator[Explained]:
        """Packets whose time has come, the first that came first.

        Args:
            now_ns: now.
            everything: those too that would wait on.
        """
        while self._queue:
            first = self._queue[0]
            full = len(self._queue) > PACKETS_MAX or self._bytes > BYTES_MAX
            is_reset = first.segment is not None and "R" in first.segment.flags
            # what is no reset may turn out to have provoked the one that came right after it
            settled = first.reset is not None or first.provoked is not None or first.segment is None
            if not (settled or everything or full or now_ns >= first.due_ns):
                return
            self._queue.popleft()
            self._bytes -= len(first.frame.data)
            self._drop(first)
            if is_reset and first.reset is None:
                self._guess(first)
            if full and not settled and now_ns < first.due_ns:
                self.hurried += 1
            self.explained += is_reset and first.reset is not None
            self.unexplained += is_reset and first.reset is None
            yield Explained(
                frame=first.frame,
                segment=first.segment,
                reset=first.reset,
                among=first.among,
                provoked=first.provoked,
            )

    def _find(self, waiting: _Waiting) -> Reset | None:
        assert waiting.segment is not None
        near = [
            reset
            for reset in self._by_ends.get(waiting.segment.ends, ())
            if abs(reset.time_ns - waiting.frame.time_ns) < APART_NS
        ]
        return min(near, key=lambda reset: self._distance(waiting, reset), default=None)

    def _distance(self, waiting: _Waiting, reset: Reset) -> tuple[bool, bool, bool, int]:
        assert waiting.segment is not None
        sent = reset.facts.direction == "sent"
        elsewhere = self._places.get(waiting.frame.place) != reset.sample.netns
        other_way = (waiting.frame.way == "out") != sent
        expected = seq_of(reset)
        other_seq = expected is not None and expected != waiting.segment.seq
        return other_seq, elsewhere, other_way, abs(reset.time_ns - waiting.frame.time_ns)

    def _settle(self, waiting: _Waiting, reset: Reset) -> None:
        waiting.reset = reset
        self._remove(self._unexplained, waiting)
        trigger = reset.sample.trigger
        if trigger is None or waiting.segment is None:
            return
        src, sport, dst, dport = waiting.segment.ends
        others = reversed(self._others.get((dst, dport, src, sport), {}).values())
        for other in islice(others, _OF_ONE_KIND):
            assert other.segment is not None
            # an ACK before it has the same number
            same = other.segment.seq == trigger.seq and set(other.segment.flags) - _CONGESTION == set(trigger.flags)
            if same and other.frame.place == waiting.frame.place:
                other.provoked = reset

    def _guess(self, waiting: _Waiting) -> None:
        """Of resets that were counted together, where all that it may be of have one cause."""
        assert waiting.segment is not None
        netns = self._places.get(waiting.frame.place)
        sent = waiting.frame.way == "out"
        like = [
            reset
            for reset, _ in self._crowds.values()
            if reset.sample.netns == netns
            and (reset.facts.direction == "sent") == sent
            and reset.port is not None
            and reset.port == _service_port(waiting.segment, reset)
            and reset.time_ns - APART_NS < waiting.frame.time_ns < reset.last_ns + APART_NS
        ]
        if like and len({(reset.cause.name, reset.cause.certainty) for reset in like}) == 1:
            waiting.reset, waiting.among = like[-1], sum(reset.count for reset in like)

    def _drop(self, waiting: _Waiting) -> None:
        self._remove(self._unexplained, waiting)
        self._remove(self._others, waiting)

    @staticmethod
    def _remove(table: dict[Ends, dict[int, _Waiting]], waiting: _Waiting) -> None:
        if waiting.segment is None or (found := table.get(waiting.segment.ends)) is None:
            return
        found.pop(waiting.number, None)
        if not found:
            del table[waiting.segment.ends]

    def _forget(self, now_ns: int) -> None:
        """Resets that no packet will ask for any more."""
        while self._known:
            number, (first, told_ns) = next(iter(self._known.items()))
            if len(self._known) <= RESETS_MAX and now_ns - told_ns < PATIENCE_NS + APART_NS:
                break
            del self._known[number]
            ends = ends_of(first)
            kept = deque((each for each in self._by_ends.get(ends, ()) if each is not first), maxlen=_OF_ONE_KIND)
            if kept:
                self._by_ends[ends] = kept
            else:
                self._by_ends.pop(ends, None)
        while self._crowds:
            number, (_, told_ns) = next(iter(self._crowds.items()))
            if now_ns - told_ns < PATIENCE_NS + APART_NS:
                break
            del self._crowds[number]


def ends_of(reset: Reset) -> Ends:
    """From where to where a reset's packet goes."""
    sample = reset.sample
    here, there = (sample.local, sample.local_port), (sample.remote, sample.remote_port)
    return (*here, *there) if reset.facts.direction == "sent" else (*there, *here)


def seq_of(reset: Reset) -> int | None:
    """The sequence number that its packet must have (RFC 9293 section 3.5.2); None where that is not known."""
    trigger = reset.sample.trigger
    if reset.facts.direction == "sent" and trigger is not None:
        return trigger.ack if "A" in trigger.flags else 0
    return None


def _service_port(segment: Segment, reset: Reset) -> int:
    ours, theirs = (segment.sport, segment.dport) if reset.facts.direction == "sent" else (segment.dport, segment.sport)
    return theirs if reset.facts.active_open else ours
