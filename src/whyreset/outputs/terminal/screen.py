"""The terminal itself: takes the whole screen, draws the board about once a second, and gives everything back.

Nothing here outlives `close`: the screen, the cursor, the terminal's echo and the signal handlers are restored on
every way out. Stopping with Ctrl-Z gives the screen back too, and takes it again afterwards.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live

from whyreset.filter import Filter
from whyreset.model import Alert, Missing, Tick
from whyreset.outputs.terminal.board import Board
from whyreset.outputs.terminal.render import Size, render, summary
from whyreset.words import clock

_EVERY_NS = 1_000_000_000
#: What is new is shown at once, but not more often than this.
_AT_ONCE_NS = 250_000_000
#: Terminals that have no block characters.
_PLAIN = frozenset({"linux", "vt100", "vt220"})


def prepare() -> None:
    """Has everything read from disk that drawing needs: rich loads its table of wide characters when it meets one."""
    cell_len("\N{FULLWIDTH EXCLAMATION MARK}")


class ScreenPrinter:
    """Draws on a terminal; a printer like those of outputs.printers.

    Args:
        out: a terminal.
        namespaces: those that are watched, asked with each drawing.
        firing: the alerts that are raised, asked with each drawing.
        home: inode number of the user's own namespace.
        chosen: what was asked for.
        opened: show the evidence from the start.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        namespaces: Callable[[], Iterable[tuple[int, str]]],
        firing: Callable[[], Iterable[Alert]] = tuple,
        home: int = 0,
        chosen: Filter | None = None,
        opened: bool = False,
    ) -> None:
        self._out = out
        self._namespaces = namespaces
        self._firing = firing
        self._opened = opened
        self._board = Board(time.monotonic_ns(), home=home, chosen=chosen)
        self._missing: tuple[Missing, ...] = ()
        self._console = Console(
            file=out, force_terminal=True, force_interactive=True, highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._keys = _Keys()
        self._blocks = (out.encoding or "").lower().replace("-", "") == "utf8" and os.environ.get("TERM") not in _PLAIN
        self._drawn_ns = 0
        self._size = (0, 0)
        #: something is to be shown that was not yet
        self._fresh = False
        self._handlers: dict[int, Any] = {}
        #: the terminal is being written to; signals that came meanwhile
        self._busy = False
        self._held: list[int] = []

    def start(
        self, time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]
    ) -> None:
        """Takes the screen."""
        self._missing = missing
        for number in (signal.SIGTSTP, signal.SIGQUIT):
            if signal.getsignal(number) != signal.SIG_IGN:  # whoever started us may want it ignored
                self._handlers[number] = signal.signal(number, self._signalled)
        self.write(Tick())

    def write(self, tick: Tick) -> None:
        """Takes what one tick brought, and draws when it is time."""
        now_ns = time.monotonic_ns()
        self._fresh |= self._board.take(tick, now_ns)
        self._obey()
        with self._undisturbed():
            if not self._holds():
                return
            size = self._measure()
            # just after a second is over, so that «now» is a whole one
            due = now_ns // _EVERY_NS != self._drawn_ns // _EVERY_NS
            if due or size != self._size or (self._fresh and now_ns - self._drawn_ns >= _AT_ONCE_NS):
                self._draw(now_ns, size)

    def end(self, time_ns: int, *, reason: str, totals: dict[str, int]) -> None:
        """Gives the screen back and leaves a summary of it all."""
        self.close()
        view = self._board.view(time.monotonic_ns(), namespaces=self._namespaces(), whole=True)
        self._console.size = size = self._measure()
        for line in summary(view, Size(*size, blocks=self._blocks, summary=True)):
            self._console.print(line)

    def close(self) -> None:
        """Gives everything back; may be called again."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        self._give()

    def _draw(self, now_ns: int, size: tuple[int, int]) -> None:
        self._drawn_ns, self._size, self._fresh = now_ns, size, False
        view = self._board.view(now_ns, namespaces=self._namespaces(), missing=self._missing, alerts=self._firing())
        fitted = Size(*size, blocks=self._blocks, opened=self._opened, keys=self._keys.taken)
        self._console.size = size
        self._live.update(Group(*render(view, fitted, clock(time.time_ns()))), refresh=True)

    def _measure(self) -> tuple[int, int]:
        """Asked each time: what the environment says of it is of when the shell began."""
        try:
            width, height = os.get_terminal_size(self._out.fileno())
        except OSError:
            width, height = 0, 0
        return width or 80, height or 24

    def _obey(self) -> None:
        """Keys: q ends as Ctrl-C does, v opens and closes the evidence."""
        pressed = self._keys.read()
        if "q" in pressed:
            signal.raise_signal(signal.SIGINT)
        if "v" in pressed:
            self._opened = not self._opened
            self._drawn_ns = 0

    def _holds(self) -> bool:
        """Takes the screen while the shell has us in the foreground; a job in the background draws nothing."""
        try:
            foreground = os.tcgetpgrp(self._out.fileno()) == os.getpgrp()
        except OSError:  # a terminal that controls no session
            foreground = True
        if foreground and not self._live.is_started:
            self._keys.take()
            self._live.start()
            self._drawn_ns = 0
        elif not foreground and self._live.is_started:
            self._give()
        return foreground

    def _give(self) -> None:
        try:
            self._live.stop()
        finally:
            self._keys.give()

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Signals wait: what is being written to the terminal cannot be followed by more from within itself."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self._act()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._held.append(number)
        self._act()

    def _act(self) -> None:
        while self._held and not self._busy:
            number = self._held.pop(0)
            self._busy = True
            try:
                if number == signal.SIGTSTP:
                    self._suspend()
                else:
                    self._quit(number)
            finally:
                self._busy = False

    def _suspend(self) -> None:
        self._give()
        # the default is to stop, here and now; what follows runs when the shell continues us
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)

    def _quit(self, number: int) -> None:
        self.close()
        signal.raise_signal(number)


class _Keys:
    """Single keys without echo, where the input is a terminal of which we are in the foreground."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        self._descriptor = -1

    def take(self) -> None:
        with contextlib.suppress(OSError, ValueError, termios.error):
            descriptor = sys.stdin.fileno()
            if not os.isatty(descriptor):
                return
            saved = termios.tcgetattr(descriptor)
            changed = termios.tcgetattr(descriptor)
            changed[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
            self._saved, self._descriptor = saved, descriptor

    @property
    def taken(self) -> bool:
        """Whether keys are heard."""
        return self._saved is not None

    def read(self) -> str:
        """What was pressed since the last call."""
        if self._saved is None or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        with contextlib.suppress(OSError):
            if pressed := os.read(self._descriptor, 64):
                return pressed.decode("ascii", "replace")
        self._saved = None  # the terminal is gone
        return ""

    def give(self) -> None:
        if self._saved is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._saved)
            self._saved = None
