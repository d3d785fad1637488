"""The account: what the kernel counted, held against what was seen, for each network namespace.

counted + uncounted = seen + lost + unseen, and seen = explained + unknown. Figures are cumulative since the baseline,
which was taken for both sides in one tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    unknown: int = 0
    received: int = 0
    lost: int = 0
    received_lost: int = 0
    told: dict[str, int] = {}
    told_counters: dict[str, int] = {}
    gone: bool = False
    closed: bool = False


#: Namespaces that are gone are remembered up to this many.
_CAPACITY = 8192
_FIGURES = ("counted", "uncounted", "seen", "explained", "unknown", "lost", "unseen", "received", "received_lost")

Tallies = Mapping[tuple[int, int], tuple[int, int]]


class Account:
    """Books resets by namespace cookie.

    Args:
        counters: the kernel's counters when watching began.
        tallies: what the kernel program had traced by then, (cookie, direction) -> (traced, lost).
    """

    def __init__(self, counters: Iterable[Counters], tallies: Tallies) -> None:
        self._sides: dict[int, _Side] = {}
        self.beyond = 0
        for each in counters:
            self._sides[each.netns_cookie] = _Side(
                netns=each.netns,
                baseline=dict(each.values),
                base_sent=tallies.get((each.netns_cookie, _SENT), (0, 0)),
                base_received=tallies.get((each.netns_cookie, _RECEIVED), (0, 0)),
                latest=dict(each.values),
                told_counters=dict(each.values),
            )

    def _side(self, cookie: int, netns: int) -> _Side | None:
        side = self._sides.get(cookie)
        if side is None:
            if len(self._sides) >= _CAPACITY and not self._forget():
                self.beyond += 1
                return None
            # it began after us, so all it ever counted is ours to explain
            side = self._sides[cookie] = _Side(netns=netns, baseline={})
        return side

    def _forget(self) -> bool:
        for cookie, side in self._sides.items():
            if side.closed:
                del self._sides[cookie]
                return True
        return False

    def book(self, group: Group, *, unknown: bool) -> None:
        """Resets that were seen."""
        side = self._side(group.netns_cookie, group.netns)
        if side is None:
            return
        if group.facts.direction == "received":
            side.received += group.count
            return
        side.seen += group.count
        side.unknown += group.count if unknown else 0

    def read(self, counters: Iterable[Counters], tallies: Tallies) -> None:
        """The kernel's figures of now. Namespaces that are missing in `counters` are gone."""
        present = set()
        for each in counters:
            present.add(each.netns_cookie)
            side = self._side(each.netns_cookie, each.netns)
            if side is not None:
                side.netns = each.netns
                side.latest = side.latest | each.values
        for cookie, side in self._sides.items():
            side.gone = side.gone or (bool(present) and cookie not in present)
            side.lost = tallies.get((cookie, _SENT), (0, side.lost + side.base_sent[1]))[1] - side.base_sent[1]
            side.received_lost = (
                tallies.get((cookie, _RECEIVED), (0, side.received_lost + side.base_received[1]))[1]
                - side.base_received[1]
            )

    def lines(self, now_ns: int, *, everything: bool = False) -> list[Count]:
        """One line for each namespace in which something moved since the last call.

        Args:
            now_ns: nanoseconds since the epoch.
            everything: also namespaces in which nothing moved.
        """
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
            if side.closed or not (everything or any(delta.values()) or moved or side.gone):
                continue
            side.told, side.told_counters = figures, dict(side.latest)
            side.closed = side.gone
            out.append(
                Count(
                    time_ns=now_ns,
                    netns=side.netns,
                    netns_cookie=cookie,
                    netns_name="",
                    delta=delta,
                    moved=moved,
                    gone=side.gone,
                    **figures,
                )
            )
        return out

    def totals(self) -> dict[str, int]:
        """All namespaces together."""
        sums = dict.fromkeys(_FIGURES, 0)
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
        }
