"""Joins packets with what the pipeline says of the resets among them: values in, values out, `now` is an argument.

`now` is of a clock that never steps; packets and resets have the time of day.

Rules. Packets leave in the order in which they came, each when it is explained, or has waited its time. A reset is the
packet's where both name the same ends; of several the one with its sequence number, its way, and nearest in time. One
reset has one explanation wherever it is seen, also where its address was translated (`journeys`). What its receiver
tells of a reset that began here counts only where its sender does not tell more in time. Where resets were
counted together in a flood, a packet takes their cause if all of that port have the same. A segment that the kernel
program copied is left out where an interface showed it, too, or where it is of a namespace whose packets are not read
and its reset was not seen here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import count, islice

from msgspec import Struct

from whyreset.evidence.frames import Frame, Segment, segment_of
from whyreset.evidence.journeys import Journey, Journeys, Spot
from whyreset.model import Reset

Ends = tuple[str, int, str, int]

#: So long a reset waits for its explanation, and another packet for the reset that it may have provoked.
PATIENCE_NS, SHORT_PATIENCE_NS = 2_000_000_000, 500_000_000
#: The same where the wire is held against the kernel, and the firewall is asked (`onwire`).
WIRE_PATIENCE_NS = 4_500_000_000
#: A copy waits so long for the packet that it is of: a block of packets is handed over after some milliseconds.
COPY_PATIENCE_NS = 150_000_000
#: Both clocks are this host's; a reset is traced within so much of its packet.
APART_NS = 1_000_000_000
#: Packets that wait, their bytes, and resets that are remembered: what is beyond makes room.
PACKETS_MAX, BYTES_MAX, RESETS_MAX = 6144, 4 << 20, 4096
#: The kernel program tells no E and C.
_CONGESTION = frozenset("EC")
_OF_ONE_KIND, _CROWDS_MAX, _PROVOKERS_MAX = 16, 1024, 1024
#: In a flood packets come late: what was said of many together is remembered for longer.
_CROWDS_NS = 10_000_000_000


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
    #: Where else this reset was seen until now, and here, in order.
    path: tuple[Spot, ...] = ()


class _Waiting(Struct):
    number: int
    frame: Frame
    segment: Segment | None
    came_ns: int
    due_ns: int
    reset: Reset | None = None
    among: int = 0
    provoked: Reset | None = None
    journey: Journey | None = None
    #: What only its receiver told, while its sender may tell more.
    heard: Reset | None = None
    #: A copy of what an interface showed.
    twice: bool = False
    #: A copy whose reset was seen.
    answered: bool = False

    @property
    def at_ns(self) -> int:
        return self.frame.at_ns or self.frame.time_ns

    @property
    def is_reset(self) -> bool:
        return self.segment is not None and "R" in self.segment.flags and not self.frame.is_copy


class _Told(Struct, frozen=True):
    """A reset that the pipeline spoke of, and when it was on the clock of frames."""

    reset: Reset
    at_ns: int


class Join:
    """Holds packets until it is known why they were sent.

    Args:
        places: by the numbers that packets have: the inode numbers of their namespaces.
    """

    def __init__(self, places: dict[int, int], *, patience_ns: int = PATIENCE_NS) -> None:
        self._places = places
        self._read = frozenset(places.values())
        self._patience_ns = patience_ns
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        #: Resets that wait for their explanation, by their ends; and other segments, by theirs.
        self._unexplained: dict[Ends, dict[int, _Waiting]] = {}
        self._others: dict[Ends, dict[int, _Waiting]] = {}
        self._numbers = count()
        self._journeys = Journeys(APART_NS)
        #: Segments that provoked a reset and have left, by what names them, and when they came.
        self._provokers: OrderedDict[tuple[Ends, int, int], int] = OrderedDict()
        #: What was said, and when; by itself, by its ends, and of many together.
        self._known: OrderedDict[int, tuple[_Told, int]] = OrderedDict()
        self._by_ends: dict[Ends, deque[_Told]] = {}
        self._crowds: OrderedDict[int, tuple[_Told, int]] = OrderedDict()
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
            waiting = _Waiting(next(self._numbers), frame, segment, now_ns, 0)
            is_reset = waiting.is_reset
            waiting.due_ns = now_ns + (self._patience_ns if is_reset else SHORT_PATIENCE_NS)
            if segment is None:
                if not frame.is_copy:
                    self._enqueue(waiting)
                continue
            if not is_reset and self._is_twice(waiting, segment):
                continue
            self._enqueue(waiting)
            table = self._unexplained if is_reset else self._others
            table.setdefault(segment.ends, {})[waiting.number] = waiting
            if is_reset:
                waiting.journey = self._journeys.join(frame, segment, waiting.at_ns)
                if (reset := self._find(waiting) or waiting.journey.reset) is not None:
                    self._hear(waiting, reset)
            elif frame.is_copy:
                src, sport, dst, dport = segment.ends
                told = reversed(self._by_ends.get((dst, dport, src, sport), ()))
                waiting.provoked = next((each.reset for each in told if _provokes(segment, each.reset)), None)

    def tell(self, resets: Iterable[Reset], now_ns: int, *, shift_ns: int = 0) -> None:
        """What the pipeline said.

        Args:
            resets: what it said.
            now_ns: now.
            shift_ns: what their time is ahead by of the clock that frames are told by.
        """
        for reset in resets:
            told = _Told(reset, reset.time_ns - shift_ns)
            if reset.count > 1 or not reset.sample.local:
                self._crowds[reset.number] = told, now_ns
                if len(self._crowds) > _CROWDS_MAX:
                    self._crowds.popitem(last=False)
            if not reset.sample.local:
                continue
            ends = ends_of(reset)
            self._known[reset.number] = told, now_ns
            self._by_ends.setdefault(ends, deque(maxlen=_OF_ONE_KIND)).append(told)
            # in order, so that what is told of the first need not look at all of a flood from one port
            for waiting in tuple(islice(self._unexplained.get(ends, {}).values(), _OF_ONE_KIND)):
                if (found := self._find(waiting)) is not None:
                    self._hear(waiting, found)
            self._mark(reset, None)
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
            if first.journey is not None and first.reset is None and first.journey.reset is not None:
                self._hear(first, first.journey.reset)
            # what is no reset may turn out to have provoked the one that came right after it
            settled = first.reset is not None or first.provoked is not None or first.segment is None
            if first.frame.is_copy:
                settled = first.twice or now_ns >= first.came_ns + COPY_PATIENCE_NS
            if not (settled or everything or full or now_ns >= first.due_ns):
                return
            self._queue.popleft()
            self._bytes -= len(first.frame.data)
            self._drop(first)
            if first.frame.is_copy and (first.twice or not (first.answered or self._netns(first) in self._read)):
                continue
            if first.is_reset and first.reset is None:
                first.reset = first.heard
            if first.is_reset and first.reset is None:
                self._guess(first)
            if full and not settled and now_ns < first.due_ns:
                self.hurried += 1
            self.explained += first.is_reset and first.reset is not None
            self.unexplained += first.is_reset and first.reset is None
            yield Explained(
                frame=first.frame,
                segment=first.segment,
                reset=first.reset,
                among=first.among,
                provoked=first.provoked,
                path=tuple(first.journey.spots) if first.journey else (),
            )

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._bytes += len(waiting.frame.data)

    def _is_twice(self, waiting: _Waiting, segment: Segment) -> bool:
        """Whether a copy is of what an interface showed; what shows now makes a copy from before needless."""
        is_copy = waiting.frame.is_copy
        for other in islice(reversed(self._others.get(segment.ends, {}).values()), _OF_ONE_KIND):
            assert other.segment is not None
            if other.frame.is_copy != is_copy and _is_same(other.segment, segment) and not other.twice:
                if is_copy:
                    return True
                other.twice, waiting.provoked = True, other.provoked
        if not is_copy:
            return False
        came_ns = self._provokers.get((segment.ends, segment.seq, segment.ack))
        return came_ns is not None and abs(waiting.at_ns - came_ns) < APART_NS

    def _find(self, waiting: _Waiting) -> Reset | None:
        assert waiting.segment is not None
        near = [
            told for told in self._by_ends.get(waiting.segment.ends, ()) if abs(told.at_ns - waiting.at_ns) < APART_NS
        ]
        found = min(near, key=lambda told: self._distance(waiting, told), default=None)
        return found.reset if found else None

    def _distance(self, waiting: _Waiting, told: _Told) -> tuple[bool, bool, bool, int]:
        assert waiting.segment is not None
        reset = told.reset
        sent = reset.facts.direction == "sent"
        elsewhere = self._netns(waiting) != reset.sample.netns
        other_way = (waiting.frame.way == "out") != sent
        expected = seq_of(reset)
        other_seq = expected is not None and expected != waiting.segment.seq
        return other_seq, elsewhere, other_way, abs(told.at_ns - waiting.at_ns)

    def _netns(self, waiting: _Waiting) -> int:
        """The inode number of the namespace; a place that nobody named is one."""
        place = waiting.frame.place
        return self._places.get(place, place)

    def _hear(self, waiting: _Waiting, reset: Reset) -> None:
        """Something is told of it, by its sender or by its receiver."""
        place, journey = waiting.frame.place, waiting.journey
        if (
            reset.facts.direction == "received"
            and journey
            and journey.reset
            and journey.reset.facts.direction == "sent"
        ):
            reset = journey.reset
        began_here = waiting.frame.way == "out" and not (journey and journey.was("in", place))
        if began_here and reset.facts.direction == "received":
            waiting.heard = reset
        else:
            self._settle(waiting, reset)

    def _settle(self, waiting: _Waiting, reset: Reset) -> None:
        waiting.reset = reset
        self._remove(self._unexplained, waiting)
        journey = waiting.journey
        if journey is not None and (journey.reset is None or reset.facts.direction == "sent"):
            journey.reset = reset
        self._mark(reset, waiting)

    def _mark(self, reset: Reset, waiting: _Waiting | None) -> None:
        """The segment that provoked it: where its packet was seen, or as the kernel program copied it."""
        trigger = reset.sample.trigger
        if trigger is None:
            return
        src, sport, dst, dport = waiting.segment.ends if waiting and waiting.segment else ends_of(reset)
        for other in islice(reversed(self._others.get((dst, dport, src, sport), {}).values()), _OF_ONE_KIND):
            assert other.segment is not None
            if not _provokes(other.segment, reset):
                continue
            if other.frame.is_copy:
                if self._netns(other) == reset.sample.netns:
                    other.provoked, other.answered = reset, other.answered or waiting is not None
            elif waiting is not None and other.frame.place == waiting.frame.place:
                other.provoked = reset

    def _guess(self, waiting: _Waiting) -> None:
        """Of resets that were counted together, where all that it may be of have one cause."""
        assert waiting.segment is not None
        netns = self._netns(waiting)
        sent = waiting.frame.way == "out"
        at_ns = waiting.at_ns
        like = [
            reset
            for reset, first_ns in ((told.reset, told.at_ns) for told, _ in self._crowds.values())
            if reset.sample.netns == netns
            and (reset.facts.direction == "sent") == sent
            and reset.port is not None
            and reset.port == _service_port(waiting.segment, reset)
            and first_ns - APART_NS < at_ns < first_ns + reset.last_ns - reset.time_ns + APART_NS
        ]
        if like and len({(reset.cause.name, reset.cause.certainty) for reset in like}) == 1:
            waiting.reset, waiting.among = like[-1], sum(reset.count for reset in like)

    def _drop(self, waiting: _Waiting) -> None:
        self._remove(self._unexplained, waiting)
        self._remove(self._others, waiting)
        if waiting.provoked is not None and waiting.segment is not None:
            segment = waiting.segment
            self._provokers[segment.ends, segment.seq, segment.ack] = waiting.at_ns
            if len(self._provokers) > _PROVOKERS_MAX:
                self._provokers.popitem(last=False)

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
            ends = ends_of(first.reset)
            kept = deque((each for each in self._by_ends.get(ends, ()) if each is not first), maxlen=_OF_ONE_KIND)
            if kept:
                self._by_ends[ends] = kept
            else:
                self._by_ends.pop(ends, None)
        while self._crowds:
            number, (_, told_ns) = next(iter(self._crowds.items()))
            if now_ns - told_ns < _CROWDS_NS:
                break
            del self._crowds[number]


def _is_same(one: Segment, other: Segment) -> bool:
    """Whether two segments with the same ends are one."""
    flags, others = set(one.flags) - _CONGESTION, set(other.flags) - _CONGESTION
    return (one.seq, one.ack, flags) == (other.seq, other.ack, others)


def _provokes(segment: Segment, reset: Reset) -> bool:
    """Whether a segment to where a reset came from provoked it: an ACK before that one has the same number."""
    trigger = reset.sample.trigger
    return (
        trigger is not None
        and segment.seq == trigger.seq
        and set(segment.flags) - _CONGESTION == set(trigger.flags) - _CONGESTION
    )


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
