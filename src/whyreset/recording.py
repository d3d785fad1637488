"""The flight recorder of a `watch`: packets are remembered all the time, and written when an alert is raised.

Rules. Each alert has one file, which begins before it and ends some seconds after. While it is written, all segments of
the ports that had resets of late are recorded too. A visit does a bounded part of the work: nothing waits for it.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from whyreset import __version__
from whyreset.evidence.frames import Frame
from whyreset.evidence.join import Explained
from whyreset.evidence.output import OutputError
from whyreset.evidence.recorder import Recorder
from whyreset.evidence.remarks import known_of
from whyreset.evidence.writer import Where, Words, Writer
from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Alert, Notice, Reset
from whyreset.outputs.sentences import told
from whyreset.sources import diag
from whyreset.sources.packets import ENDS, Packets, Wanted

#: What is written begins so long before an alert, and ends so long after it.
BEFORE_NS, AFTER_NS = 300_000_000_000, 10_000_000_000
#: One run makes so many files at most; each holds no more than the memory of the recorder.
FILES_MAX = 32
#: Packets that one visit writes.
_AT_ONCE = 1000
#: An explanation comes so long after its packet at most, or hardly ever.
_EXPLAINED_NS = 1_000_000_000
_PORTS, _RECENT = 8, 512
_SNAP_BYTES = 320


class Recording:
    """Records. Use as a context manager.

    Args:
        folder: where files go; it is made if need be.
        hands: do what takes rights.

    Raises SourceError and OutputError when entered; later on, what cannot be written is a notice.
    """

    def __init__(self, folder: str, hands: Hands = OWN_HANDS) -> None:
        self._folder = Path(folder)
        self._files = hands.files
        self._source = Packets(snap_bytes=_SNAP_BYTES, opener=hands.open_packets)
        self._recorder = Recorder({})
        self._ports: deque[int] = deque(maxlen=_RECENT)
        self._seen: set[str] = set()
        self._writer: Writer | None = None
        self._playing: Iterator[Explained] = iter(())
        self._until_ns = 0
        self._last_ns = 0

    def __enter__(self) -> Recording:
        try:
            self._files.make_folder(str(self._folder))
        except OSError as error:
            raise OutputError(f"cannot make {self._folder}: {error.strerror}") from error
        self._source.start()
        self._recorder = Recorder({0: diag.here()[0]})
        self._channel = self._recorder.channel(0)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for packet in self._playing:
                self._write(packet)
            self._end()
        except OutputError:
            pass
        self._source.close()

    def tick(self, resets: Iterable[Reset], alerts: Iterable[Alert], now_ns: int) -> list[Notice]:
        """Everything since the last visit; returns what the user should know.

        Args:
            resets: what the pipeline said.
            alerts: what happened to alerts.
            now_ns: since the epoch.
        """
        self._source.drain([self._channel])
        resets = tuple(resets)
        self._recorder.see(resets)
        self._ports.extend(reset.port for reset in resets if reset.port is not None)
        notices = [notice for alert in alerts if (notice := self._freeze(alert, now_ns))]
        try:
            self._go_on(now_ns)
        except OutputError as error:
            self._let_go()
            notices.append(Notice(time_ns=now_ns, name="evidence-lost", text=str(error), count=1))
        return notices

    def _freeze(self, alert: Alert, now_ns: int) -> Notice | None:
        """Begins a file where the alert is a new one."""
        raised = alert.event == "changed" and alert.state in ("pending", "firing")
        if not raised or self._writer is not None or alert.id in self._seen or len(self._seen) >= FILES_MAX:
            return None
        self._seen.add(alert.id)
        path = (
            self._folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now_ns / 1e9))}-{_plain(alert.rule)}.pcapng"
        )
        words = Words(application=f"whyreset {__version__}", comment=f"alert {alert.rule}: {alert.summary}")
        try:
            self._writer = Writer(str(path), words=words, where=self._where, files=self._files)
        except OutputError as error:
            return Notice(time_ns=now_ns, name="evidence-lost", text=str(error), count=1)
        self._playing, self._last_ns = self._recorder.play(now_ns - BEFORE_NS, now_ns - _EXPLAINED_NS), 0
        self._until_ns = now_ns + AFTER_NS
        ports = tuple(port for port, _ in Counter(self._ports).most_common(_PORTS))
        self._source.want(Wanted(ports=ports))
        text = f"evidence from before the alert {alert.rule} is being written to {path}"
        return Notice(time_ns=now_ns, name="evidence", text=text)

    def _go_on(self, now_ns: int) -> None:
        """Writes some of what there is to write."""
        if self._writer is None:
            return
        some = list(islice(self._playing, _AT_ONCE))
        for packet in some:
            self._write(packet)
        self._writer.flush(now_ns)
        if len(some) == _AT_ONCE:
            return
        if now_ns < self._until_ns + _EXPLAINED_NS:
            self._playing = self._recorder.play(self._last_ns + 1, min(now_ns - _EXPLAINED_NS, self._until_ns))
        else:
            self._end()

    def _write(self, packet: Explained) -> None:
        assert self._writer is not None
        self._last_ns = max(self._last_ns, packet.frame.time_ns)
        self._writer.add(packet.frame, known_of(packet, told), packet.frame.time_ns)

    def _end(self) -> None:
        if self._writer is not None:
            self._source.count_dropped()
            self._writer.end(time.time_ns(), dropped=self._source.dropped)
        self._let_go()

    def _let_go(self) -> None:
        self._writer, self._playing = None, iter(())
        self._source.want(ENDS)

    def _where(self, frame: Frame) -> Where:
        name = self._source.interface(frame.interface, time.monotonic_ns())
        return Where(name=name or f"interface {frame.interface}", description=f"of {os.uname().nodename}")


def _plain(rule: str) -> str:
    """A rule's name as a part of a file's."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", rule)[:64]
