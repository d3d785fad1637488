"""`capture --past`: packets that an agent kept, with what was said of them then, as a file like any other capture."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import chain, groupby

from msgspec import Struct

from whyreset import __version__
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import Explained
from whyreset.evidence.remarks import known_of
from whyreset.evidence.replay import replay
from whyreset.evidence.writer import Where, Words, Writer
from whyreset.model import Reset
from whyreset.outputs.sentences import told
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.values import Packets
from whyreset.words import amount

#: What an agent has just seen is explained, and in the file, after so long; it is not waited for longer.
_SETTLE_NS, _PATIENCE_SECONDS, _STEP_SECONDS = 1_500_000_000, 5.0, 0.1


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked for; nanoseconds since the epoch."""

    path: str
    since_ns: int
    until_ns: int
    force: bool = False
    #: Bytes of the file; 0 for no limit.
    size: int = 0
    #: Names; none for all.
    interfaces: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()
    #: Causes or families; none for all.
    causes: frozenset[str] = frozenset()


class Written(Struct, kw_only=True):
    """What became of it."""

    packets: int = 0
    bytes: int = 0
    #: Resets with their explanation, and without.
    explained: int = 0
    unexplained: int = 0
    #: Packets that the agent had not kept.
    dropped: int = 0
    #: The file became as large as it may.
    full: bool = False


def settle(reader: Reader, until_ns: int) -> None:
    """Waits, not long, until an agent that runs has written what it saw by then."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while reader.writer and time.monotonic() < end:
        runs = reader.runs()
        if runs and runs[-1].last_ns >= until_ns + _SETTLE_NS:
            return
        time.sleep(_STEP_SECONDS)


def rewind(reader: Reader, wanted: Wanted) -> Written:
    """Writes the file.

    Raises StoreError and OutputError.
    """
    return _Rewinding(reader, wanted).run()


class _Rewinding:
    """One file on its way."""

    def __init__(self, reader: Reader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted
        self._names: dict[tuple[int, int], str] = {}
        self._places: dict[int, int] = {}
        self._state = Written()
        span = amount(round((wanted.until_ns - wanted.since_ns) / 1e9), "second")
        comment = f"SYN, FIN and RST of this host as an agent kept them for {span}; resets have their cause beside them"
        system = os.uname()
        self._writer = Writer(
            wanted.path,
            words=Words(
                application=f"whyreset {__version__}", system=f"{system.sysname} {system.release}", comment=comment
            ),
            where=self._where,
            force=wanted.force,
        )

    def run(self) -> Written:
        wanted, state = self._wanted, self._state
        kept = self._reader.read(Packets, wanted.since_ns, wanted.until_ns)
        try:
            for _, those in groupby(kept, key=lambda packets: packets.places):
                self._write_all(those)
                if state.full:
                    break
            comment = f"{state.dropped:,} packets were not kept" if state.dropped else ""
            self._writer.end(time.time_ns(), dropped=state.dropped, comment=comment)
        finally:
            self._writer.close()
        state.packets, state.bytes = self._writer.packets, self._writer.size
        return state

    def _write_all(self, those: Iterator[Packets]) -> None:
        first = next(those)
        self._places = first.places
        for packet in replay(first.places, self._pieces(first, those)):
            if self._is_wanted(packet):
                self._write(packet)
            if self._wanted.size and self._writer.size >= self._wanted.size:
                self._state.full = True
                return

    def _pieces(self, first: Packets, rest: Iterator[Packets]) -> Iterator[tuple[list[Frame], tuple[Reset, ...]]]:
        wanted = self._wanted
        for packets in chain((first,), rest):
            self._state.dropped += packets.dropped
            for place, names in packets.interfaces.items():
                self._names.update({(place, number): name for number, name in names.items()})
            frames = [Frame(*each) for each in packets.frames if wanted.since_ns <= each[0] < wanted.until_ns]
            yield frames, packets.resets

    def _is_wanted(self, packet: Explained) -> bool:
        segment, wanted = packet.segment, self._wanted
        if wanted.ports and (segment is None or not wanted.ports & {segment.sport, segment.dport}):
            return False
        if wanted.interfaces and self._name(packet.frame) not in wanted.interfaces:
            return False
        if not wanted.causes:
            return True
        about = packet.reset or packet.provoked
        return about is not None and bool(
            wanted.causes & {about.cause.name, about.cause.family, *about.cause.candidates}
        )

    def _write(self, packet: Explained) -> None:
        self._writer.add(packet.frame, known_of(packet, told), packet.frame.time_ns)
        if packet.segment is not None and "R" in packet.segment.flags:
            self._state.explained += packet.reset is not None
            self._state.unexplained += packet.reset is None

    def _name(self, frame: Frame) -> str:
        return self._names.get((frame.place, frame.interface), "") or f"interface {frame.interface}"

    def _where(self, frame: Frame) -> Where:
        return Where(
            name=self._name(frame), description=f"in network namespace {self._places.get(frame.place, frame.place)}"
        )
