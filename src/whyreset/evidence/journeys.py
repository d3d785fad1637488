"""One reset is one, wherever it is seen: the interfaces that it passes, and its translation to another address.

Rules (those of core/merge). What has the same ends and numbers within a second is one reset, until it shows at a place
for a second time. What leaves a namespace is the translation of another one that came in there and did not leave as it
was, if its numbers and one of its ends are the same; each has one translation at the most, since a scanner's probes may
all have the same numbers.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct

from whyreset.evidence.frames import Frame, Segment
from whyreset.evidence.pcapng import Way
from whyreset.model import Reset

#: Journeys that are remembered, what one may have of places, and how many with one hash are looked at.
JOURNEYS_MAX, PLACES_MAX, _LOOK = 4096, 16, 16

_Numbers = tuple[str, int, str, int, int, int]
_Half = tuple[int, bool, str, int, int, int]


class Spot(Struct, frozen=True):
    """A place where a reset was seen."""

    place: int
    interface: int
    way: Way
    #: What it was there: from whom, for whom.
    segment: Segment


class Journey(Struct):
    """One reset on its way."""

    at_ns: int
    spots: list[Spot]
    #: What the pipeline says of it.
    reset: Reset | None = None
    #: Another one is this one, translated.
    claimed: bool = False

    def was(self, way: Way, place: int) -> bool:
        """Whether it was seen on that way in a namespace."""
        return any(spot.way == way and spot.place == place for spot in self.spots)


class Journeys:
    """Finds the journey that a reset's packet is of.

    Args:
        near_ns: packets of one reset are within it.
    """

    def __init__(self, near_ns: int) -> None:
        self._near_ns = near_ns
        self._known: OrderedDict[_Numbers, Journey] = OrderedDict()
        #: What came in, by its numbers and one of its ends.
        self._came: OrderedDict[_Half, deque[Journey]] = OrderedDict()

    def join(self, frame: Frame, segment: Segment, at_ns: int) -> Journey:
        """The journey of this packet, which it is a part of from now on."""
        spot = Spot(frame.place, frame.interface, frame.way, segment)
        key = (*segment.ends, segment.seq, segment.ack)
        journey = self._known.get(key)
        if journey is not None and abs(at_ns - journey.at_ns) < self._near_ns and self._is_new(journey, spot):
            journey.spots.append(spot)
            return journey
        journey = self._original(spot, at_ns) if spot.way == "out" else None
        if journey is not None:
            journey.claimed = True
            journey.spots.append(spot)
        else:
            journey = Journey(at_ns, [spot])
        self._known[key] = journey
        self._known.move_to_end(key)
        if spot.way == "in":
            for half in _halves(spot):
                self._came.setdefault(half, deque(maxlen=_LOOK)).append(journey)
                self._came.move_to_end(half)
        while len(self._known) > JOURNEYS_MAX:
            self._known.popitem(last=False)
        while len(self._came) > 2 * JOURNEYS_MAX:
            self._came.popitem(last=False)
        return journey

    @staticmethod
    def _is_new(journey: Journey, spot: Spot) -> bool:
        return len(journey.spots) < PLACES_MAX and all(
            (each.place, each.interface, each.way) != (spot.place, spot.interface, spot.way) for each in journey.spots
        )

    def _original(self, spot: Spot, at_ns: int) -> Journey | None:
        """What it was before its address was translated."""
        for half in _halves(spot):
            for journey in reversed(self._came.get(half, ())):
                if (
                    not journey.claimed
                    and abs(at_ns - journey.at_ns) < self._near_ns
                    and not journey.was("out", spot.place)
                    and self._is_new(journey, spot)
                ):
                    return journey
        return None


def _halves(spot: Spot) -> tuple[_Half, _Half]:
    """Its numbers with whom it is for, and with whom it is from."""
    of = spot.segment
    return (
        (spot.place, True, of.dst, of.dport, of.seq, of.ack),
        (spot.place, False, of.src, of.sport, of.seq, of.ack),
    )
