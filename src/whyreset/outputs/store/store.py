"""The history as the agent's loop sees it: takes what each tick brought, hands it to the writer once a second.

Nothing here waits. While the disk does, windows gather in memory, within a bound; what has no room there any more is
lost, and that is counted and said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from whyreset.model import Notice
from whyreset.outputs.store import SIZE
from whyreset.outputs.store.kinds import BY_TYPE
from whyreset.outputs.store.values import Run
from whyreset.outputs.store.window import Window
from whyreset.outputs.store.writer import Outcome, Writer

#: So often something is written; so often that the agent runs, where there is nothing else; and when a disk said no.
_EVERY_NS, _RUNS_EVERY_NS, _AGAIN_NS = 1_000_000_000, 10_000_000_000, 5_000_000_000
#: Bytes of what waits for a disk, about.
WAITING_MAX = 8 << 20
_SAID_EVERY_NS = 60_000_000_000
#: Seconds that a disk is given at the end.
_PATIENCE = 3.0


class Store:
    """Keeps what an agent saw.

    Args:
        path: the file.
        run: what is known of this agent at its start.
        size: bytes of all.
        now_ns: of a clock that never goes back, here and in all that follows.

    Raises StoreError.
    """

    def __init__(self, path: str, run: Run, *, now_ns: int, size: int = SIZE) -> None:
        self.path = path
        self._writer = Writer(path, size)
        self._next_row = self._writer.next_row
        self._run = run
        self._open: dict[str, Window] = {}
        #: Full or over, the oldest first; they wait to be written.
        self._over: deque[Window] = deque()
        #: What is being written: windows with whether each is over.
        self._sent: list[Window] = []
        self._flushed_ns = self._run_ns = now_ns
        self._wait_until_ns = 0
        self._lost = 0
        self._why = ""
        self._said_ns: int | None = None
        self._notes = [self._writer.note] if self._writer.note else []
        self.take((run,), now_ns)
        self._flush(now_ns)

    def take(self, values: Iterable[Any], now_ns: int) -> None:
        """Values of any of the types of `kinds`."""
        for value in values:
            kind = BY_TYPE[type(value)]
            window = self._open.get(kind.name)
            if window is None or (len(window) and window.is_over(now_ns)):
                if window is not None:
                    self._close(window)
                window = self._open[kind.name] = Window(kind, self._next_row, now_ns)
                self._next_row += 1
            window.add(value)
            self._lost += window.lost
            if window.lost:
                window.lost = 0
                self._why = self._why or "there were too many kinds of them at once"

    def tick(self, now_ns: int, time_ns: int) -> list[Notice]:
        """Writes where it is time; returns what the user should know.

        Args:
            now_ns: as above.
            time_ns: since the epoch.
        """
        if (outcome := self._writer.outcome()) is not None:
            self._settle(outcome, now_ns, time_ns)
        if now_ns - self._flushed_ns >= _EVERY_NS and now_ns >= self._wait_until_ns and self._writer.is_idle:
            idle = not self._over and not any(window.fresh for window in self._open.values())
            if not idle or now_ns - self._run_ns >= _RUNS_EVERY_NS:
                self._live(now_ns, time_ns)
                self._flush(now_ns)
        self._bound()
        return self._notices(now_ns, time_ns)

    def close(self, reason: str, now_ns: int, time_ns: int) -> list[Notice]:
        """Writes what is left, with why the agent ended; waits for the disk, but not long."""
        if (outcome := self._writer.outcome(_PATIENCE)) is not None:
            self._settle(outcome, now_ns, time_ns)
        if self._writer.is_idle:
            self._run = replace(self._run, reason=reason)
            self._live(now_ns, time_ns)
            self._flush(now_ns)
            if (outcome := self._writer.outcome(_PATIENCE)) is not None:
                self._settle(outcome, now_ns, time_ns)
        fresh = [*self._over, *(window for window in self._open.values() if window.fresh), *self._sent]
        if fresh:
            self._lost += sum(window.weight for window in fresh)
            self._why = self._why or "the disk did not answer in time"
        self._said_ns = None
        self._writer.close(_PATIENCE)
        return self._notices(now_ns, time_ns)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of memory that wait for the disk, about."""
        return sum(window.bytes for window in (*self._over, *self._open.values(), *self._sent))

    def _live(self, now_ns: int, time_ns: int) -> None:
        """The agent still runs."""
        self._run_ns = now_ns
        # the clock may have been set back
        self._run = replace(self._run, last_ns=max(time_ns, self._run.start_ns))
        self.take((self._run,), now_ns)

    def _flush(self, now_ns: int) -> None:
        """Hands over what is new."""
        self._flushed_ns = now_ns
        for name, window in list(self._open.items()):
            if window.is_over(now_ns):
                self._close(window)
                del self._open[name]
        fresh = [window for window in self._open.values() if window.fresh]
        self._sent = [*self._over, *fresh]
        self._over.clear()
        if self._sent:
            self._writer.hand_over([window.piece() for window in self._sent])
            for window in fresh:
                window.fresh = False

    def _close(self, window: Window) -> None:
        """It grows no more."""
        if window.fresh:
            self._over.append(window)

    def _settle(self, outcome: Outcome, now_ns: int, time_ns: int) -> None:
        """What was written is done with; the rest waits for the next time."""
        sent, self._sent = self._sent, []
        if outcome.note:
            self._notes.append(outcome.note)
            # what was before is not in this file
            self._run = replace(self._run, start_ns=time_ns, last_ns=time_ns)
            self._open.pop(BY_TYPE[Run].name, None)
            self.take((self._run,), now_ns)
        if outcome.bad:
            self._lost += outcome.bad
            self._why = self._why or "they hold what is no text"
        if not outcome.why:
            return
        self._why = outcome.why
        self._wait_until_ns = now_ns + _AGAIN_NS
        open_ones = {id(window) for window in self._open.values()}
        for window in sent[outcome.written :]:
            window.fresh = True
        self._over.extendleft(window for window in reversed(sent[outcome.written :]) if id(window) not in open_ones)

    def _bound(self) -> None:
        """Memory is not for what a disk does not take; the oldest goes."""
        while self._over and self.waiting_bytes > WAITING_MAX:
            self._lost += self._over.popleft().weight
            self._why = self._why or "the disk is too slow"

    def _notices(self, now_ns: int, time_ns: int) -> list[Notice]:
        notes, self._notes = self._notes, []
        out = [Notice(time_ns=time_ns, name="history", text=text) for text in notes]
        if (self._lost or self._why) and (self._said_ns is None or now_ns - self._said_ns >= _SAID_EVERY_NS):
            self._said_ns = now_ns
            text = f"resets, packets and others lost to the history: {self._why}"
            if not self._lost:
                text = f"the history is not being written: {self._why}"
            out.append(Notice(time_ns=time_ns, name="history-lost", text=text, count=self._lost))
            self._lost, self._why = 0, ""
        return out
