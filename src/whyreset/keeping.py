"""What the agent keeps: all that a tick brought, and the packets of its namespace, go into the history.

Packets come by a source and a small tape of their own. Of a flood so many a second are kept; the rest is counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from whyreset import __version__
from whyreset.core.tape import Tape
from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Missing, Notice, Reset, Tick
from whyreset.outputs.store import SIZE
from whyreset.outputs.store.kinds import BY_TYPE
from whyreset.outputs.store.store import Store
from whyreset.outputs.store.values import Packets, Run, Taken
from whyreset.sources import packets as source
from whyreset.sources.base import SourceError

#: What waits between two visits in the kernel, and between two seconds here: some 15,000 packets.
_RING_BLOCKS, _TAPE_BYTES = 16, 2 << 20
#: Packets that are kept a second, for long and for a moment, and in one row.
PACKETS, PACKETS_BURST, _ROW = 2000, 6000, 1000
#: Explanations that are kept beside the packets of a second.
_RESETS = 1000
_SNAP_BYTES = 320
_EVERY_NS = 1_000_000_000
_SAID_EVERY_NS = 60_000_000_000
#: LOOPBACK_IFINDEX of the kernel (include/net/flow.h), and sll_pkttype of what goes out.
_LOOPBACK, _OUTGOING = 1, 4
_LOST = "packets of the last hour: `whyreset capture --past` has none"


class Keeping:
    """Keeps. Use as a context manager.

    Args:
        path: the history's file.
        size: bytes of it.
        packets: of these namespaces, by path, "" for our own; none for no packets.
        hands: open packet sockets.

    Raises StoreError when entered; later on, what cannot be kept is a notice.
    """

    def __init__(
        self, path: str, *, size: int = SIZE, packets: Sequence[str] = ("",), hands: Hands = OWN_HANDS
    ) -> None:
        self._path, self._size = path, size
        self._sources = [
            source.Packets(path=path, snap_bytes=_SNAP_BYTES, blocks=_RING_BLOCKS, opener=hands.open_packets)
            for path in packets
        ]
        self._tape = Tape(_TAPE_BYTES)
        self._channels = [self._tape.channel(place) for place in range(len(packets))]
        self._places: dict[int, int] = {}
        self._store: Store | None = None
        self._resets: deque[Reset] = deque(maxlen=_RESETS)
        self._taken_ns = 0
        self._room = float(PACKETS_BURST)
        self._dropped = self._overwritten = 0
        self._said_ns: int | None = None
        #: What cannot be kept, and why.
        self.missing: tuple[Missing, ...] = ()

    def __enter__(self) -> Keeping:
        try:
            for place, each in enumerate(self._sources):
                each.start()
                self._places[place] = each.netns
        except SourceError as error:
            self.__exit__()
            self._sources = []
            self.missing = (Missing(source="packets", why=str(error), lost=_LOST),)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sources:
            each.close()

    @property
    def keeps_packets(self) -> bool:
        """Whether packets can be read here."""
        return bool(self._sources)

    def begin(self, time_ns: int, *, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]) -> None:
        """Opens the history: everything is attached.

        Args:
            time_ns: since the epoch.
            sources: those that run.
            tier: how deep they see.
            missing: those that do not, and what is lost by that.
        """
        run = Run(
            start_ns=time_ns,
            last_ns=time_ns,
            version=__version__,
            sources=sources,
            tier=tier,
            missing=missing,
        )
        self._taken_ns = time.monotonic_ns()
        self._store = Store(self._path, run, now_ns=self._taken_ns, size=self._size)

    def tick(self, tick: Tick, more: Iterable[Notice], time_ns: int) -> list[Notice]:
        """Keeps what a tick brought; returns what the user should know beside it.

        Args:
            tick: the tick.
            more: notices from elsewhere.
            time_ns: since the epoch.
        """
        assert self._store is not None
        now_ns = time.monotonic_ns()
        self._store.take((*values_of(tick), *more), now_ns)
        notices = self._take_packets(tick, now_ns, time_ns)
        self._store.take(notices, now_ns)
        # what cannot be written is told, and written too: later on it may have been possible
        unwritten = self._store.tick(now_ns, time_ns)
        self._store.take(unwritten, now_ns)
        return [*notices, *unwritten]

    def end(self, reason: str, time_ns: int) -> list[Notice]:
        """Writes what is left, and lets go of the history."""
        assert self._store is not None
        return self._store.close(reason, time.monotonic_ns(), time_ns)

    def _take_packets(self, tick: Tick, now_ns: int, time_ns: int) -> list[Notice]:
        if not self._sources:
            return []
        for each, channel in zip(self._sources, self._channels, strict=True):
            each.drain([channel])
        here = set(self._places.values())
        self._resets.extend(reset for reset in tick.resets if reset.sample.netns in here)
        if now_ns - self._taken_ns < _EVERY_NS:
            return []
        assert self._store is not None
        self._room = min(self._room + PACKETS * (now_ns - self._taken_ns) / 1e9, PACKETS_BURST)
        self._taken_ns = now_ns
        frames = [each for each in self._tape.take(int(self._room)) if not _is_echo(each)]
        self._room -= len(frames)
        dropped = sum(each.count_dropped() for each in self._sources) + self._tape.overwritten - self._overwritten
        self._overwritten = self._tape.overwritten
        self._dropped += dropped
        resets, self._resets = tuple(self._resets), deque(maxlen=_RESETS)
        for start in range(0, max(len(frames), bool(resets)), _ROW):
            some = tuple(frames[start : start + _ROW])
            kept = Packets(
                frames=some,
                resets=resets if start == 0 else (),
                places=self._places,
                interfaces=self._names(some, now_ns),
                dropped=dropped if start == 0 else 0,
            )
            self._store.take((kept,), now_ns)
        return self._loss(now_ns, time_ns)

    def _names(self, frames: Iterable[Taken], now_ns: int) -> dict[int, dict[int, str]]:
        """Of the interfaces that these were seen on."""
        names: dict[int, dict[int, str]] = {}
        for _, place, interface, *_ in frames:
            of_place = names.setdefault(place, {})
            if interface not in of_place:
                of_place[interface] = self._sources[place].interface(interface, now_ns)
        return names

    def _loss(self, now_ns: int, time_ns: int) -> list[Notice]:
        if not self._dropped or (self._said_ns is not None and now_ns - self._said_ns < _SAID_EVERY_NS):
            return []
        self._said_ns, count, self._dropped = now_ns, self._dropped, 0
        text = f"packets not kept in the history: of a flood {PACKETS:,} a second are"
        return [Notice(time_ns=time_ns, name="packets-not-kept", text=text, count=count)]


def values_of(tick: Tick) -> Iterator[object]:
    """All that a tick brought and that the history has a kind for, whatever types of line there are."""
    for field in tick.__struct_fields__:
        found = getattr(tick, field)
        for value in found if isinstance(found, tuple) else (found,):
            if type(value) in BY_TYPE:
                yield value


def _is_echo(frame: Taken) -> bool:
    """What came in on loopback went out there a moment before."""
    return frame[2] == _LOOPBACK and frame[3] != _OUTGOING
