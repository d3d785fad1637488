"""The account: what the kernel counted, held against what was seen, for each network namespace.

counted + uncounted = seen + lost + unseen, and seen = explained + unknown. Figures are cumulative since the baseline,
which was taken for both sides in one tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from whyreset.model import Count, Counters, Group

_SENT, _RECEIVED = 1, 2
_COUNTED = "OutRsts"


class _Side(Struct):
    """What one namespace came to."""

    netns: int
    baseline: dict[str, int]
    base_sent: tuple[int, int] = (0, 0)
    base_received: tuple[int, int] = (0, 0)
    latest: dict[str, int] = {}
    seen: int = 0
    #: Seen on the wire only: in no other figure.
    past_stack: int = 0
    unknown: int = 0
    received: int = 0
    #: Resets sent that were traced, lost ones too.
    traced: int = 0
    lost: int = 0
    received_lost: int = 0
    told: dict[str, int] = {}
    told_off_wire: int | None = None
    told_counters: dict[str, int] = {}
    gone: bool = False
    closed: bool = False


#: Namespaces whose figures are kept apart; those that are gone make room for others.
_CAPACITY = 8192
#: Of those that are gone so many are kept, some 6 kB each: what is still to be told of them comes within seconds.
_GONE = 512
#: Stands for resets of namespaces that could not be told apart; no namespace has it.
_NO_COOKIE = 0
_FIGURES = (
    "counted",
    "uncounted",
    "seen",
    "explained",
    "unknown",
    "lost",
    "unseen",
    "received",
    "received_lost",
    "past_stack",
)

Tallies = Mapping[tuple[int, int], tuple[int, int]]


def _not_read(_cookie: int) -> int | None:
    """Of a namespace whose packets are not read it is not known what left it."""
    return None


class Account:
    """Books resets by namespace cookie.

    Args:
        counters: the kernel's counters when watching began.
        tallies: what the kernel program had traced by then, (cookie, direction) -> (traced, lost).
    """

    def __init__(self, counters: Iterable[Counters], tallies: Tallies) -> None:
        self._sides: dict[int, _Side] = {}
        #: what of the tallies is nobody's any more: from before watching began, or of sides that were forgotten
        self._before = dict(tallies)
        #: the figures of sides that were forgotten
        self._forgotten = dict.fromkeys(_FIGURES, 0)
        for each in counters:
            side = self._side(each.netns_cookie, each.netns)
            if side is not None:
                side.baseline, side.latest, side.told_counters = dict(each.values), dict(each.values), dict(each.values)

    def _side(self, cookie: int, netns: int) -> _Side | None:
        """The namespace's side; a new one has counted nothing yet. None where there is no room."""
        side = self._sides.get(cookie)
        if side is None and (cookie == _NO_COOKIE or len(self._sides) < _CAPACITY or self._forget()):
            side = self._sides[cookie] = _Side(
                netns=netns,
                baseline={},
                base_sent=self._before.get((cookie, _SENT), (0, 0)),
                base_received=self._before.get((cookie, _RECEIVED), (0, 0)),
            )
        return side

    def _forget(self) -> bool:
        """Makes room: drops a namespace that is gone and of which all is told."""
        for cookie, side in self._sides.items():
            figures = self._figures(side)
            if side.closed and side.told == figures:
                for name, value in figures.items():
                    self._forgotten[name] += value
                for direction, base, lost in (
                    (_SENT, side.base_sent, side.lost),
                    (_RECEIVED, side.base_received, side.received_lost),
                ):
                    if lost:
                        self._before[cookie, direction] = (base[0], base[1] + lost)
                del self._sides[cookie]
                return True
        return False

    def book(self, group: Group, *, unknown: bool) -> None:
        """Resets that were seen."""
        side = self._side(group.netns_cookie, group.netns) or self._side(_NO_COOKIE, 0)
        assert side is not None
        if group.facts.direction == "received":
            side.received += group.count
            return
        if group.facts.past_stack:
            side.past_stack += group.count
            return
        side.seen += group.count
        side.unknown += group.count if unknown else 0

    def read(self, counters: Iterable[Counters], tallies: Tallies) -> None:
        """The kernel's figures of now. Namespaces that are missing in `counters` are gone."""
        present = {_NO_COOKIE}
        for each in counters:
            present.add(each.netns_cookie)
            side = self._side(each.netns_cookie, each.netns)
            if side is not None:
                side.netns = each.netns
                side.latest = side.latest | each.values
        # of a namespace that lived and flooded between two readings nothing else may be known
        for (cookie, direction), (_, lost) in tallies.items():
            if cookie not in self._sides and lost > self._before.get((cookie, direction), (0, 0))[1]:
                self._side(cookie, 0)
        if len(self._before) > len(tallies):
            self._before = {key: value for key, value in self._before.items() if key in tallies}
        for cookie, side in self._sides.items():
            if len(present) > 1:
                side.gone = cookie not in present
                side.closed = side.closed and side.gone
            sent = tallies.get((cookie, _SENT))
            received = tallies.get((cookie, _RECEIVED))
            side.traced = max(sent[0] - side.base_sent[0], side.traced) if sent else side.traced
            side.lost = max(sent[1] - side.base_sent[1], side.lost) if sent else side.lost
            side.received_lost = (
                max(received[1] - side.base_received[1], side.received_lost) if received else side.received_lost
            )

    def settled(self) -> set[int]:
        """Namespaces that are gone and of which all is told: their tallies are not needed any more."""
        return {cookie for cookie, side in self._sides.items() if side.closed}

    def lines(
        self, now_ns: int, *, everything: bool = False, off_wire: Callable[[int], int | None] = _not_read
    ) -> list[Count]:
        """One line for each namespace in which something moved since the last call, or that is gone since.

        Args:
            now_ns: nanoseconds since the epoch.
            everything: also namespaces in which nothing moved.
            off_wire: how many of a namespace's resets never left it, by cookie; None where that is not known.
        """
        for _ in range(sum(side.closed for side in self._sides.values()) - _GONE):
            self._forget()
        out = []
        for cookie, side in self._sides.items():
            figures = self._figures(side)
            delta = {name: figures[name] - side.told.get(name, 0) for name in _FIGURES}
            before = side.told_counters
            moved = {
                name: value - before.get(name, 0)
                for name, value in side.latest.items()
                if value != before.get(name, 0) and name != _COUNTED
            }
            left = off_wire(cookie)
            stayed = (left or 0) != (side.told_off_wire or 0)
            if not (any(delta.values()) or moved or stayed or (not side.closed and (everything or side.gone))):
                continue
            side.told, side.told_counters = figures, dict(side.latest)
            side.told_off_wire = left
            side.closed = side.gone
            out.append(
                Count(
                    time_ns=now_ns,
                    netns=side.netns,
                    netns_cookie=cookie,
                    netns_name="",
                    delta=delta,
                    moved=moved,
                    families=(),
                    gone=side.gone,
                    off_wire=left,
                    pending=min(max(side.traced - side.lost - side.seen, 0), figures["unseen"]),
                    **figures,
                )
            )
        return out

    def namespaces(self) -> list[int]:
        """Inode numbers of those that are being watched."""
        return [side.netns for cookie, side in self._sides.items() if cookie != _NO_COOKIE and not side.gone]

    def places(self) -> list[tuple[int, int]]:
        """The namespaces that are there, by cookie and inode number."""
        return [(cookie, side.netns) for cookie, side in self._sides.items() if side.netns and not side.gone]

    def inode(self, cookie: int) -> int:
        """The inode number of a namespace; 0 where it is not known."""
        side = self._sides.get(cookie)
        return side.netns if side else 0

    def latest(self, cookie: int) -> dict[str, int]:
        """What the kernel has counted in a namespace since that began, as it was read last."""
        side = self._sides.get(cookie)
        return side.latest if side else {}

    def blind(self, cookies: Iterable[int]) -> int:
        """Resets sent by these namespaces of which nothing is known: lost, or counted by the kernel but not traced."""
        sides = [side for cookie in cookies if (side := self._sides.get(cookie))]
        return sum(
            side.lost + max(side.latest.get(_COUNTED, 0) - side.baseline.get(_COUNTED, 0) - side.traced, 0)
            for side in sides
        )

    def totals(self) -> dict[str, int]:
        """All namespaces together."""
        sums = dict(self._forgotten)
        for side in self._sides.values():
            for name, value in self._figures(side).items():
                sums[name] += value
        return sums

    def _figures(self, side: _Side) -> dict[str, int]:
        counted = side.latest.get(_COUNTED, 0) - side.baseline.get(_COUNTED, 0)
        apart = counted - side.seen - side.lost
        return {
            "counted": counted,
            "uncounted": max(-apart, 0),
            "seen": side.seen,
            "explained": side.seen - side.unknown,
            "unknown": side.unknown,
            "lost": side.lost,
            "unseen": max(apart, 0),
            "received": side.received,
            "received_lost": side.received_lost,
            "past_stack": side.past_stack,
        }
