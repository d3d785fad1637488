"""`whyreset capture`: packets of the interfaces and the pipeline's explanations, joined into a file.

One thread, as in `agent`: some ten times a second it empties the rings, runs the pipeline, and hands on what is known.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import Struct

from whyreset import __version__
from whyreset.agent import Agent, Settings
from whyreset.clock import epoch_ns
from whyreset.core.tape import Channel, Tape
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import PATIENCE_NS, WIRE_PATIENCE_NS, Explained, Join
from whyreset.evidence.journeys import Spot
from whyreset.evidence.remarks import known_of
from whyreset.evidence.steady import Steady
from whyreset.evidence.writer import NEVER, Rotation, Where, Words, Writer
from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Missing, Reset
from whyreset.onwire import OnWire
from whyreset.outputs.sentences import told
from whyreset.sources import diag
from whyreset.sources.base import SourceError
from whyreset.sources.links import Links
from whyreset.sources.packets import ENDS
from whyreset.sources.packets import Wanted as Armed

#: What waits between the kernel's rings and us, and so many packets are taken of it in one visit.
_TAPE_BYTES, _AT_ONCE = 4 << 20, 2000
#: Of the agent within.
SETTINGS = Settings(each_per_second=2500, triggers=True)
#: What was written is on disk so soon.
_FLUSH_NS = 1_000_000_000
#: More namespaces cannot be asked for at once: each has a ring of its own.
PLACES_MAX = 16
_HEADERS_BYTES = 320
#: What is younger than a tenth of a second at the end is not held against the kernel's account (core/merge).
_LAST_SECONDS = 0.15
#: LOOPBACK_IFINDEX of the kernel (include/net/flow.h): the same in every namespace.
_LOOPBACK = 1


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked for."""

    path: str
    force: bool = False
    #: Bytes kept of each packet; 0 for its headers alone.
    snap: int = 0
    #: Bytes of all files together; 0 for no limit.
    size: int = 0
    rotation: Rotation = NEVER
    #: Names; none for all.
    interfaces: frozenset[str] = frozenset()
    #: Names or inode numbers of namespaces; none for our own, «all» for all that there are.
    netns: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset()
    #: Every segment of these ports, not only SYN, FIN and RST.
    segments: bool = False
    #: Causes or families; none for all.
    causes: frozenset[str] = frozenset()


class State(Struct, frozen=True, kw_only=True):
    """How far it is."""

    packets: int
    bytes: int
    #: Resets that were written, with their explanation and without.
    explained: int
    unexplained: int
    #: Packets that were lost for want of room.
    dropped: int
    #: Packets that still wait for their explanation.
    waiting: int


class Capturing:
    """Captures resets. Use as a context manager: entering attaches everything, leaving closes the file.

    Args:
        wanted: what is asked for.
        hands: do what takes rights.

    Raises SourceError and evidence.output.OutputError.
    """

    def __init__(self, wanted: Wanted, hands: Hands = OWN_HANDS) -> None:
        self._wanted, self._hands = wanted, hands
        self._stack = ExitStack()
        self._agent: Agent | None = None
        self._wire = OnWire(())
        self._names: list[str] = []
        self._links: list[Links] = []
        self._channels: list[Channel] = []
        self._steady = Steady()
        self._tape = Tape(_TAPE_BYTES, wanted.snap)
        self._join = Join({})
        self._writer: Writer | None = None
        self._explained = self._unexplained = 0
        #: What is not known, and why.
        self.missing: tuple[Missing, ...] = ()

    def __enter__(self) -> Capturing:
        try:
            self._attach()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def name(self) -> str:
        """The file that is being written."""
        assert self._writer is not None
        return self._writer.name

    @property
    def plain(self) -> bool:
        """Whether the file holds packets alone."""
        assert self._writer is not None
        return self._writer.plain

    @property
    def is_full(self) -> bool:
        """Whether the size that was asked for is reached."""
        assert self._writer is not None
        return bool(self._wanted.size) and self._writer.size >= self._wanted.size

    def state(self) -> State:
        """How far it is."""
        assert self._writer is not None
        sources = self._wire.sources
        for source in sources:
            source.count_dropped()
        return State(
            packets=self._writer.packets,
            bytes=self._writer.size,
            explained=self._explained,
            unexplained=self._unexplained,
            dropped=sum(source.dropped for source in sources) + self._tape.overwritten,
            waiting=self._join.waiting,
        )

    def wait(self, until: float) -> None:
        """Sleeps until that time of time.monotonic()."""
        if self._agent is not None:
            self._agent.wait(until)
        else:
            time.sleep(max(0.0, until - time.monotonic()))

    def tick(self, *, last: bool = False) -> None:
        """Everything since the last visit.

        Args:
            last: also what would still wait.
        """
        assert self._writer is not None
        resets: Sequence[Reset] = ()
        now_ns, time_ns = time.monotonic_ns(), time.time_ns()
        self._steady.read(time_ns, now_ns)
        self._tape.seen_ns = now_ns
        if self._agent is not None:
            resets = self._agent.tick(last=last).resets
            if self._agent.triggers is not None:
                self._agent.triggers.drain(self._tape, epoch_ns())
        else:
            for source, channel in zip(self._wire.sources, self._channels, strict=True):
                source.drain([channel])
        for links in self._links:
            links.drain(now_ns)
        taken = self._tape.take_seen(_AT_ONCE if not last else 1 << 30)
        frames = [Frame(*each[:-1], at_ns=self._steady.near(each[0], each[-1])) for each in taken]
        frames.sort(key=lambda frame: frame.at_ns)
        self._join.add((frame for frame in frames if self._is_wanted(frame)), now_ns)
        for reset in resets:
            at_ns = self._steady.near(reset.time_ns, now_ns)
            self._join.tell((reset,), now_ns, shift_ns=reset.time_ns - at_ns)
        important = False
        for packet in self._join.ready(now_ns, everything=last):
            important |= self._write(packet, time_ns)
        self._writer.flush(time_ns, every_ns=0 if important else _FLUSH_NS)

    def end(self) -> State:
        """Takes what is left, and closes the file."""
        assert self._writer is not None
        # the kernel hands a block over when it is full, or some milliseconds later
        self.wait(time.monotonic() + _LAST_SECONDS)
        self.tick(last=True)
        dropped = self.state().dropped
        comment = f"{dropped:,} packets lost in all" if dropped else ""
        self._writer.end(time.time_ns(), dropped=dropped, comment=comment)
        return self.state()

    def _attach(self) -> None:
        wanted = self._wanted
        places = self._places()
        for number, (inode, path) in enumerate(places.items()):
            self._channels.append(self._tape.channel(number))
            self._names.append(_name(inode, path))
            self._links.append(links := Links(path, self._hands.open_links))
            links.start()
            self._stack.callback(links.close)
        self._wire = OnWire(
            tuple(places.values()),
            snap_bytes=wanted.snap or _HEADERS_BYTES,
            wanted=Armed(ports=tuple(sorted(wanted.ports))) if wanted.segments else ENDS,
            beside=self._channels,
            hands=self._hands,
        )
        try:
            self._agent = self._stack.enter_context(Agent(SETTINGS, self._hands, wire=self._wire))
            self.missing = self._agent.missing
        except SourceError as error:
            lost = "why the kernel sent resets, who owns their sockets, what provoked them unless it is SYN or FIN"
            self.missing = (Missing(source="kernel", why=str(error), lost=lost),)
            self._stack.callback(self._wire.close)
            self._wire.start()
        patience_ns = PATIENCE_NS if self._agent is None else WIRE_PATIENCE_NS
        self._join = Join(dict(enumerate(places)), patience_ns=patience_ns)
        # last, so that nothing is written over by what cannot run
        self._writer = Writer(
            wanted.path,
            words=Words(application=f"whyreset {__version__}", system=_system(), comment=self._comment()),
            where=self._where,
            snap=wanted.snap,
            force=wanted.force,
            rotation=wanted.rotation,
            files=self._hands.files,
        )
        self._stack.callback(self._writer.close)

    def _places(self) -> dict[int, str]:
        """The namespaces to listen in: inode numbers and paths, "" for our own."""
        home = diag.here()[0]
        if not self._wanted.netns:
            return {home: ""}
        there = {home: "", **self._hands.namespaces()}
        for word in self._wanted.netns:
            if word != "all" and not diag.called(there, (word,)):
                raise SourceError(f"there is no network namespace {word}")
        found = {inode: "" if inode == home else path for inode, path in diag.called(there, self._wanted.netns).items()}
        if len(found) > PLACES_MAX:
            raise SourceError(f"there are {len(found)} network namespaces: name {PLACES_MAX} at most with --netns")
        return found

    def _comment(self) -> str:
        asked = [
            *(f"port {each}" for each in sorted(self._wanted.ports)),
            *(f"cause {each}" for each in sorted(self._wanted.causes)),
            *(f"interface {each}" for each in sorted(self._wanted.interfaces)),
        ]
        what = f"only {', '.join(asked)}; " if asked else ""
        cut = f"{self._wanted.snap} bytes" if self._wanted.snap else "the headers"
        kinds = "all segments" if self._wanted.segments else "SYN, FIN and RST"
        return f"{kinds} of this host; {what}{cut} of each packet; resets have their cause in their comments"

    def _where(self, frame: Frame) -> Where:
        name = self._interface(frame) or f"interface {frame.interface}"
        place = self._names[frame.place] if frame.place < len(self._names) else str(frame.place)
        what = "segments that provoked resets, copied in" if frame.is_copy else "in"
        return Where(name=name, description=f"{what} network namespace {place}")

    def _interface(self, frame: Frame) -> str:
        if frame.is_copy:
            copies = self._agent.triggers if self._agent is not None else None
            return copies.names.get((frame.place, frame.interface), "") if copies is not None else ""
        return self._links[frame.place].name(frame.interface, frame.at_ns)

    def _called(self, spot: Spot) -> str:
        return self._links[spot.place].name(spot.interface, time.monotonic_ns()) or f"interface {spot.interface}"

    def _is_wanted(self, frame: Frame) -> bool:
        if frame.interface == _LOOPBACK and frame.way == "in" and not frame.is_copy:
            return False  # the same as went out there a moment before
        return not self._wanted.interfaces or self._interface(frame) in self._wanted.interfaces

    def _write(self, packet: Explained, now_ns: int) -> bool:
        """Writes it where it is asked for; returns whether it is worth being on disk at once."""
        assert self._writer is not None
        segment, wanted = packet.segment, self._wanted
        if wanted.ports and (segment is None or not wanted.ports & {segment.sport, segment.dport}):
            return False
        if wanted.causes:
            about = packet.reset or packet.provoked
            if about is None or not wanted.causes & {about.cause.name, about.cause.family, *about.cause.candidates}:
                return False
        self._writer.add(packet.frame, known_of(packet, told, self._called), now_ns)
        is_reset = segment is not None and "R" in segment.flags
        self._explained += is_reset and packet.reset is not None
        self._unexplained += is_reset and packet.reset is None
        return is_reset


def _name(inode: int, path: str) -> str:
    base = os.path.basename(path)
    return f"{base} ({inode})" if path and not path.startswith("/proc/") else str(inode)


def _system() -> str:
    system = os.uname()
    return f"{system.sysname} {system.release}"
