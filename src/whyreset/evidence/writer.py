"""Packets with what is known of them, written into a file or into one file after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from whyreset.evidence import pcap, pcapng
from whyreset.evidence.frames import Frame
from whyreset.evidence.output import STDOUT, Output, OutputError
from whyreset.files import OWN, Files

#: Namespace, interface, link type, whether it is a copy, and the interface's name.
_Seen = tuple[int, int, int, bool, str]
#: What waits is written when it is so much, whatever the time.
_MUCH = 1 << 20


class Words(Struct, frozen=True, kw_only=True):
    """What the head of each file says."""

    application: str
    system: str = ""
    comment: str = ""


class Where(Struct, frozen=True, kw_only=True):
    """An interface as a file names it."""

    name: str
    description: str = ""


class Known(Struct, frozen=True, kw_only=True):
    """What is written beside a packet."""

    comments: Sequence[str] = ()
    note: bytes = b""
    #: (pid, start, name) of the process that it is of.
    process: tuple[int, int, str] | None = None


class Rotation(Struct, frozen=True, kw_only=True):
    """When another file is begun, and how many of them are kept; 0 for never, and for all."""

    size: int = 0
    seconds: float = 0
    files: int = 0

    def __bool__(self) -> bool:
        return bool(self.size or self.seconds)


NEVER = Rotation()


class Writer:
    """Writes packets; what was flushed can be read, however this program ends.

    Args:
        path: the file; with a rotation a number is put before its last dot.
        words: for the head.
        where: names the interface that a packet was seen on.
        snap: what is kept of a packet; 0 for its headers.
        force: write over what is there.
        rotation: whether and when another file is begun.
        files: opens and removes them.

    Raises OutputError, as all methods do.
    """

    def __init__(
        self,
        path: str,
        *,
        words: Words,
        where: Callable[[Frame], Where],
        snap: int = 0,
        force: bool = False,
        rotation: Rotation = NEVER,
        files: Files = OWN,
    ) -> None:
        if rotation and path == STDOUT:
            raise OutputError("standard output is one file: it cannot be rotated")
        self.plain = path.endswith(".pcap")
        self._path, self._words, self._where, self._snap = path, words, where, snap
        self._force, self._rotation, self._files = force, rotation, files
        self._paths: deque[str] = deque()
        self._number = 0
        self._out: Output
        self._flushed_ns = 0
        self._began_ns = 0
        #: Packets and bytes that were written, in all files.
        self.packets = 0
        self._before = 0
        self._begin(0)

    @property
    def size(self) -> int:
        """Bytes, in all files that there were."""
        return self._before + self._out.size

    @property
    def name(self) -> str:
        """The file that is being written."""
        return self._out.name

    def add(self, frame: Frame, known: Known, now_ns: int) -> None:
        """A packet.

        Args:
            frame: the packet.
            known: what is written beside it.
            now_ns: since the epoch.
        """
        if self._is_due(now_ns):
            self.end(now_ns, dropped=None)
            self._begin(now_ns)
        self._began_ns = self._began_ns or now_ns
        if self.plain:
            self._out.add(pcap.packet(frame))
        else:
            self._out.add(self._block(frame, known))
        self.packets += 1
        if self._out.waiting > _MUCH:
            self.flush(now_ns)

    def flush(self, now_ns: int, *, every_ns: int = 0) -> None:
        """Writes what waits, where the last time was so long ago."""
        if not 0 <= now_ns - self._flushed_ns < every_ns:  # the clock may have been set back
            self._flushed_ns = now_ns
            self._out.flush()

    def end(self, now_ns: int, *, dropped: int | None, comment: str = "") -> None:
        """Closes the file with what its interfaces had.

        Args:
            now_ns: since the epoch.
            dropped: packets that were lost, on all interfaces; None for not known.
            comment: for people.
        """
        if not self.plain:
            for number, received in self._interfaces.values():
                self._out.add(
                    pcapng.statistics(
                        interface=number,
                        time_ns=now_ns,
                        began_ns=self._began_ns or now_ns,
                        received=received,
                        dropped=dropped if number == 0 else None,
                        comment=comment if number == 0 else "",
                    )
                )
        self._out.close()

    def close(self) -> None:
        """Lets go of the file; what waits is written."""
        self._out.close()

    def _begin(self, now_ns: int) -> None:
        if self._number:
            self._before += self._out.written
        self._number += 1
        path = self._path
        if self._rotation:
            whole = Path(path)
            path = str(whole.with_name(f"{whole.stem}-{self._number:05d}{whole.suffix}"))
        self._out = Output(path, force=self._force, files=self._files)
        self._paths.append(path)
        if self._rotation.files and len(self._paths) > self._rotation.files:
            with suppress(OSError):  # one of our own, which makes room
                self._files.remove(self._paths.popleft())
        self._began_ns = now_ns
        #: By where packets were seen, and what that was called then: its number, and how many they were.
        self._interfaces: dict[_Seen, list[int]] = {}
        self._processes: dict[tuple[int, int], int] = {}
        words = self._words
        self._out.add(
            pcap.header()
            if self.plain
            else pcapng.section(application=words.application, system=words.system, comment=words.comment)
        )
        self._out.flush()

    def _is_due(self, now_ns: int) -> bool:
        rotation = self._rotation
        by_size = rotation.size and self._out.size >= rotation.size
        by_time = rotation.seconds and self._began_ns and now_ns - self._began_ns >= rotation.seconds * 1e9
        return bool(by_size or by_time)

    def _block(self, frame: Frame, known: Known) -> bytes:
        number, described = self._describe(frame)
        return (
            described
            + self._introduce(known)
            + pcapng.packet(
                interface=number,
                time_ns=frame.time_ns,
                data=frame.data,
                length=frame.length,
                way=frame.way,
                comments=known.comments,
                process=self._processes[known.process[:2]] if known.process else None,
                note=known.note,
            )
        )

    def _describe(self, frame: Frame) -> tuple[int, bytes]:
        """The interface's number, and its block before its first packet. Under another name it is another one."""
        where = self._where(frame)
        key = frame.place, frame.interface, frame.link_type, frame.is_copy, where.name
        known = self._interfaces.get(key)
        if known is not None:
            known[1] += 1
            return known[0], b""
        number = len(self._interfaces)
        self._interfaces[key] = [number, 1]
        return number, pcapng.interface(
            name=where.name, link_type=frame.link_type, snap=self._snap, description=where.description
        )

    def _introduce(self, known: Known) -> bytes:
        """The process's block, before its first packet."""
        if known.process is None or known.process[:2] in self._processes:
            return b""
        self._processes[known.process[:2]] = len(self._processes)
        return pcapng.process(pid=known.process[0], name=known.process[2])
