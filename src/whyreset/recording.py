"""The flight recorder of a `watch`: packets are remembered all the time, and written when it is armed.

Rules. An alert, a finding or a word arms it (`arm`). Each file begins before that and ends some seconds after. While it
is written, all segments of the connections concerned are recorded too; where nobody names them, of those that had
resets of late. What arms it meanwhile goes into the same file. A visit does a bounded part of the work: nothing waits
for it.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from whyreset import __version__
from whyreset.clock import epoch_ns
from whyreset.core.triggers import Triggers
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import Ends, Explained
from whyreset.evidence.journeys import Spot
from whyreset.evidence.output import OutputError
from whyreset.evidence.recorder import Recorder
from whyreset.evidence.remarks import known_of
from whyreset.evidence.writer import Where, Words, Writer
from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Alert, Finding, Missing, Notice, Reset
from whyreset.outputs.sentences import told
from whyreset.sources import diag
from whyreset.sources.links import Links
from whyreset.sources.packets import ENDS, Packets, Wanted
from whyreset.sources.socket_filter import MOST_CONNECTIONS, MOST_PORTS

#: What is written begins so long before it is armed, and ends so long after it.
BEFORE_NS, AFTER_NS = 300_000_000_000, 10_000_000_000
#: What is armed again and again is written for so long at most.
LONGEST_NS = 60_000_000_000
#: One run makes so many files at most; each holds no more than the memory of the recorder and what comes meanwhile.
FILES_MAX = 32
#: Packets that one visit writes.
_AT_ONCE = 1000
#: An explanation comes so long after its packet at most, or hardly ever.
_EXPLAINED_NS = 1_000_000_000
_PIECE_NS = 1_000_000_000
#: Of what had resets of late: so many ports and connections are armed, of so many that are remembered.
_PORTS, _CONNECTIONS, _RECENT = 8, 32, 512
_SNAP_BYTES = 320
_NOTICE_EVERY_NS = 60_000_000_000
#: Findings of these are worth a file.
_WEIGHTY = ("warning", "critical")


class Recording:
    """Records. Use as a context manager.

    Args:
        folder: where files go; it is made if need be.
        hands: do what takes rights.
        copies: of segments that provoked resets; None where the kernel program does not run. May be told later.
        size: bytes of memory for packets; None for the built-in size.

    Raises SourceError and OutputError when entered; later on, what cannot be written is a notice.
    """

    def __init__(
        self, folder: str, hands: Hands = OWN_HANDS, *, copies: Triggers | None = None, size: int | None = None
    ) -> None:
        self._folder = Path(folder)
        self._hands = hands
        self.copies = copies
        self._sized = {"size": size} if size else {}
        self._source = Packets(snap_bytes=_SNAP_BYTES, opener=hands.open_packets)
        self._links = Links()
        self._netns = 0
        self._recorder = Recorder({}, **self._sized)
        #: Number, port and ends of what had resets of late.
        self._recent: deque[tuple[int, int | None, Ends]] = deque(maxlen=_RECENT)
        self._seen: deque[str] = deque(maxlen=_RECENT)
        self._writer: Writer | None = None
        self._path = ""
        self._files = 0
        self._armed = ENDS
        self._playing: Iterator[Explained] = iter(())
        self._began_ns = self._until_ns = self._last_ns = self._played_ns = 0
        self._lost: dict[str, tuple[int, int]] = {}

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What evidence lacks here, and why."""
        if self.copies is not None:
            return ()
        lost = "in evidence: segments that provoked resets and are neither SYN, FIN nor RST"
        return (Missing(source="triggers", why="the kernel program, which copies them, does not run", lost=lost),)

    def __enter__(self) -> Recording:
        try:
            self._hands.files.make_folder(str(self._folder))
        except OSError as error:
            raise OutputError(f"cannot write into {self._folder}: {error.strerror}") from error
        self._links.start()
        try:
            self._source.start()
        except BaseException:
            self._links.close()
            raise
        self._netns = diag.here()[0]
        self._recorder = Recorder({0: self._netns}, **self._sized)
        self._channel = self._recorder.channel(0)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._writer is not None:
                self._source.drain([self._channel])
                for packet in self._playing:
                    self._write(packet)
                for packet in self._recorder.play_steady(self._last_ns + 1, 1 << 62):
                    self._write(packet)
            self._end()
        except OutputError:
            pass
        self._source.close()
        self._links.close()

    def tick(
        self,
        resets: Iterable[Reset],
        alerts: Iterable[Alert],
        now_ns: int,
        steady_ns: int | None = None,
        *,
        findings: Iterable[Finding] = (),
    ) -> list[Notice]:
        """Everything since the last visit; returns what the user should know.

        Args:
            resets: what the pipeline said.
            alerts: what happened to alerts.
            findings: what resets mean; those that open and are of some weight arm it.
            now_ns: since the epoch.
            steady_ns: of a clock that never steps; None: now.
        """
        steady_ns = time.monotonic_ns() if steady_ns is None else steady_ns
        self._recorder.read_clocks(now_ns, steady_ns)
        self._source.drain([self._channel])
        if self.copies is not None:
            self.copies.drain(self._recorder.tape, epoch_ns())
        self._links.drain(steady_ns)
        resets = tuple(resets)
        self._recorder.see(resets)
        self._recent.extend((reset.number, reset.port, _ends(reset)) for reset in resets if reset.sample.local)
        notices = []
        for alert in alerts:
            if alert.event == "changed" and alert.state in ("pending", "firing") and alert.id not in self._seen:
                self._seen.append(alert.id)
                if notice := self.arm(f"alert {alert.rule}", alert.summary, now_ns, steady_ns):
                    notices.append(notice)
        for finding in findings:
            if finding.state == "open" and finding.severity in _WEIGHTY:
                port, concerned = finding.subject.port, set(finding.resets)
                notice = self.arm(
                    f"finding {finding.name}",
                    finding.sentence,
                    now_ns,
                    steady_ns,
                    ports=[port] if port else [],
                    connections=[ends for number, _, ends in self._recent if number in concerned],
                )
                notices += [notice] if notice else []
        try:
            self._go_on(steady_ns)
        except OutputError as error:
            self._let_go()
            notices.append(Notice(time_ns=now_ns, name="evidence-lost", text=str(error), count=1))
        return [*notices, *self._losses(now_ns, steady_ns)]

    def arm(
        self,
        what: str,
        summary: str,
        now_ns: int,
        steady_ns: int | None = None,
        *,
        connections: Collection[Ends] = (),
        ports: Collection[int] = (),
    ) -> Notice | None:
        """Begins a file, and records all segments of the connections concerned until it ends.

        Args:
            what: what it is for, of which the last word names the file: «alert resets_sent_surge», «finding flood».
            summary: one sentence more.
            now_ns: since the epoch.
            steady_ns: of a clock that never steps; None: now.
            connections: those concerned, as (source, port, destination, port); beyond a bound the first count.
            ports: those concerned. Without either what had resets of late is recorded.
        Returns what the user should know; None where there are as many files as one run makes.
        """
        steady_ns = time.monotonic_ns() if steady_ns is None else steady_ns
        name = what.rpartition(" ")[2]
        if self._writer is None and self._files >= FILES_MAX:
            return None
        self._until_ns = steady_ns + AFTER_NS
        self._want(connections, ports)
        if self._writer is not None:
            self._until_ns = min(self._until_ns, self._began_ns + LONGEST_NS)
            return Notice(time_ns=now_ns, name="evidence", text=f"evidence of the {what} goes into {self._path} too")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ns / 1e9))
        self._path = str(self._folder / f"{stamp}-{_plain(name)}.pcapng")
        words = Words(application=f"whyreset {__version__}", comment=f"{what}: {summary}" if summary else what)
        try:
            self._writer = Writer(self._path, words=words, where=self._where, files=self._hands.files)
        except OutputError as error:
            self._let_go()
            return Notice(time_ns=now_ns, name="evidence-lost", text=str(error), count=1)
        self._files += 1
        self._began_ns = steady_ns
        self._last_ns, self._played_ns = steady_ns - BEFORE_NS - 1, steady_ns - _EXPLAINED_NS
        self._playing = self._recorder.play_steady(self._last_ns + 1, self._played_ns)
        return Notice(
            time_ns=now_ns,
            name="evidence",
            text=f"evidence from before the {what} is being written to {self._path}",
        )

    def _want(self, connections: Collection[Ends], ports: Collection[int]) -> None:
        """Arms the filter for these beside those that it is armed for."""
        if not connections and not ports:
            counted = Counter(port for _, port, _ in self._recent if port)
            ports = [port for port, _ in counted.most_common(_PORTS)]
            latest = dict.fromkeys(ends for _, port, ends in reversed(self._recent) if port not in ports)
            connections = list(islice(latest, _CONNECTIONS))
        named = (ends for ends in connections if _is_named(ends))
        self._armed = Wanted(
            ports=tuple(dict.fromkeys((*ports, *self._armed.ports)))[:MOST_PORTS],
            connections=tuple(dict.fromkeys((*named, *self._armed.connections)))[:MOST_CONNECTIONS],
        )
        self._source.want(self._armed)

    def _go_on(self, steady_ns: int) -> None:
        """Writes some of what there is to write."""
        if self._writer is None:
            return
        some = list(islice(self._playing, _AT_ONCE))
        for packet in some:
            self._write(packet)
        self._writer.flush(steady_ns)
        if len(some) == _AT_ONCE:
            return
        if self._played_ns >= self._until_ns:
            self._end()
            return
        until_ns = min(steady_ns - _EXPLAINED_NS, self._until_ns)
        # in pieces of some length, so that a reset and what provoked it are in one
        if until_ns == self._until_ns or until_ns - self._played_ns >= _PIECE_NS:
            self._playing, self._played_ns = self._recorder.play_steady(self._last_ns + 1, until_ns), until_ns

    def _write(self, packet: Explained) -> None:
        assert self._writer is not None
        self._last_ns = max(self._last_ns, packet.frame.at_ns)
        self._writer.add(packet.frame, known_of(packet, told, self._called), packet.frame.time_ns)

    def _end(self) -> None:
        if self._writer is not None:
            self._source.count_dropped()
            lost = self._source.dropped + self._recorder.missed
            comment = f"{lost:,} packets lost in all" if lost else ""
            self._writer.end(time.time_ns(), dropped=lost, comment=comment)
        self._let_go()

    def _let_go(self) -> None:
        self._writer, self._playing, self._armed = None, iter(()), ENDS
        self._source.want(ENDS)

    def _losses(self, now_ns: int, steady_ns: int) -> list[Notice]:
        """A notice for each loss that grew, at most one a minute of each."""
        self._source.count_dropped()
        oldest_ns = self._recorder.oldest() or now_ns
        seconds = max(0, now_ns - oldest_ns) / 1e9
        # what is older than anybody asks for may go
        forgotten = self._recorder.overwritten if seconds < BEFORE_NS / 1e9 else 0
        losses = {
            "recorder-lost": (self._source.dropped, "packets that the flight recorder did not read in time"),
            "recorder-overwritten": (
                forgotten,
                f"packets that the flight recorder has overwritten: it remembers the last {seconds:.0f} s alone",
            ),
            "recorder-missed": (self._recorder.missed, "packets at most were overwritten before they were written"),
        }
        out = []
        for name, (count, text) in losses.items():
            before, told_ns = self._lost.get(name, (0, -_NOTICE_EVERY_NS))
            if count > before and steady_ns - told_ns >= _NOTICE_EVERY_NS:
                self._lost[name] = count, steady_ns
                out.append(Notice(time_ns=now_ns, name=name, text=text, count=count - before))
        return out

    def _where(self, frame: Frame) -> Where:
        if frame.is_copy:
            what = "segments that provoked resets, copied in"
            name = self.copies.names.get((frame.place, frame.interface), "") if self.copies is not None else ""
        else:
            what, name = "in", self._links.name(frame.interface, frame.at_ns)
        netns = frame.place if frame.is_copy else self._netns
        return Where(name=name or f"interface {frame.interface}", description=f"{what} network namespace {netns}")

    def _called(self, spot: Spot) -> str:
        return self._links.name(spot.interface, time.monotonic_ns()) or f"interface {spot.interface}"


def _plain(rule: str) -> str:
    """A rule's name as a part of a file's."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", rule)[:64]


def _ends(reset: Reset) -> Ends:
    sample = reset.sample
    return sample.local, sample.local_port, sample.remote, sample.remote_port


def _is_named(ends: Ends) -> bool:
    """Whether both ends are addresses."""
    try:
        for address in (ends[0], ends[2]):
            ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
