"""The resets of the last while, so put together that it can be said what explains them. Bounded.

Time is cut into slices. Within one, resets alike in cause, port, owner and namespace are one row with its remotes; so
many rows with an owner are kept, and so many without; what is beyond them is put together by cause and namespace alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Claims, add_sources, label
from whyreset.model import Reset

SLICE_NS = 2 * SECOND_NS
#: A reset may come into the window so long after it was sent: what is young waits, and a flood comes in portions.
LATE_NS = SECOND_NS
#: Of each slice: rows with an owner, and as many without.
ROWS = 128
#: Remotes of a row that are told apart.
REMOTES = 64

_Key = tuple[str, str, str, int, int | None, str, bool]


class Row(Struct, kw_only=True):
    """Resets alike."""

    direction: str
    cause: str
    family: str
    netns_cookie: int
    netns: int
    netns_name: str
    port: int | None
    owner: str
    closer: str
    exiting: bool
    count: int = 0
    #: By source; what is beyond the room is in no entry.
    remotes: Counter[str] = field(default_factory=Counter)

    def claimed(self, claims: Claims) -> int:
        """How many of them fit; times are the slices' business."""
        if claims.direction != self.direction or not (self.cause in claims.causes or self.family in claims.causes):
            return 0
        if claims.netns_cookie not in (None, self.netns_cookie):
            return 0
        if claims.ports and self.port not in claims.ports:
            return 0
        if claims.owners and self.owner not in claims.owners and self.closer not in claims.owners:
            return 0
        if claims.exiting not in (None, self.exiting):
            return 0
        if not claims.remotes:
            return self.count
        most = claims.few if claims.few and self.owner else self.count
        return min(self.count, sum(min(n, most) for remote, n in self.remotes.items() if remote in claims.remotes))


class _Slice:
    __slots__ = ("begins_ns", "owned", "unowned")

    def __init__(self, begins_ns: int) -> None:
        self.begins_ns = begins_ns
        self.owned: dict[_Key, Row] = {}
        self.unowned: dict[_Key, Row] = {}


class Window:
    """Remembers.

    Args:
        length_ns: how long; 0 for ever, in one slice.
    """

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._slices: deque[_Slice] = deque()

    def add(self, resets: Iterable[Reset], now_ns: int) -> None:
        """Takes in what was explained. A reset that has its other end on this host counts where it was sent."""
        begins_ns = now_ns - now_ns % SLICE_NS
        while self._slices and self._length_ns and self._slices[0].begins_ns < begins_ns - self._length_ns:
            self._slices.popleft()
        for reset in resets:
            if reset.facts.direction == "received" and reset.twin is not None:
                continue
            if not self._slices or (self._length_ns and self._slices[-1].begins_ns < begins_ns):
                self._slices.append(_Slice(begins_ns))
            _book(self._slices[-1], reset)

    def rows(self, since_ns: int = 0) -> Iterator[tuple[int, Row]]:
        """The rows of the slices that end after `since_ns`, each with when its slice begins."""
        for part in self._slices:
            if self._length_ns and part.begins_ns + SLICE_NS <= since_ns:
                continue
            for row in (*part.owned.values(), *part.unowned.values()):
                yield part.begins_ns, row


def fits_time(claims: Claims, begins_ns: int) -> bool:
    """Whether a slice has a part in the time of these claims."""
    return begins_ns + SLICE_NS > claims.since_ns and (not claims.until_ns or begins_ns <= claims.until_ns + LATE_NS)


def _book(part: _Slice, reset: Reset) -> None:
    owner = label(reset.owner.process) if reset.owner else ""
    closer = label(reset.closer)
    table = part.owned if owner or closer else part.unowned
    facts, cause = reset.facts, reset.cause
    cookie = reset.sample.netns_cookie
    key: _Key = (facts.direction, cause.name, f"{owner}\0{closer}", cookie, reset.port, cause.family, facts.exiting)
    row = table.get(key)
    if row is None:
        port: int | None = reset.port
        if len(table) >= ROWS:
            port, owner, closer = None, "", ""
            key = (facts.direction, cause.name, "\0", cookie, None, cause.family, facts.exiting)
            row = part.unowned.get(key)
            table = part.unowned
        if row is None:
            row = table[key] = Row(
                direction=facts.direction,
                cause=cause.name,
                family=cause.family,
                netns_cookie=cookie,
                netns=reset.sample.netns,
                netns_name=reset.netns_name,
                port=port,
                owner=owner,
                closer=closer,
                exiting=facts.exiting,
            )
    row.count += reset.count
    add_sources(row.remotes, reset, REMOTES)
