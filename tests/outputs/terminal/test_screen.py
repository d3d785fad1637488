"""The terminal is given back on every way out. The command itself is tried on a terminal in tests/live."""

import os
import pty
import select
import signal
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

from tests.outputs.values import EPOCH, alert, count, owner, reset
from whyreset.model import Alert, Tick
from whyreset.outputs.terminal.screen import ScreenPrinter

ALTERNATE, NORMAL, CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
TOTALS: dict[str, int] = {}


class Pair:
    """Both ends of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.out: TextIO = os.fdopen(self.slave, "w", encoding="utf-8")

        self._read = b""

    def drain(self, wait_seconds: float = 0) -> None:
        """Makes room: a pseudo-terminal holds a few screens, then whoever writes waits."""
        while select.select([self.master], [], [], wait_seconds)[0]:
            self._read += os.read(self.master, 65536)

    def read(self) -> str:
        """What was written since the last call."""
        self.drain(0.05)
        text, self._read = self._read.decode(), b""
        return text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A terminal of 80 x 24 that is none of ours."""
    monkeypatch.setenv("TERM", "xterm")
    pair = Pair()
    yield pair
    for close in (pair.out.close, lambda: os.close(pair.master)):
        try:
            close()
        except OSError:
            pass


def printer(terminal: Pair) -> ScreenPrinter:
    """A screen that has begun."""
    screen = ScreenPrinter(terminal.out, namespaces=lambda: [(1, "blue")])
    screen.start(EPOCH, version="0.1.0", sources=("kernel",), tier="reasons", missing=())
    return screen


def test_a_screen_is_taken_and_given_back_with_a_summary(terminal: Pair) -> None:
    """In this order, and with the cursor."""
    screen = printer(terminal)
    screen.write(Tick(resets=(reset(count=3),), counts=(count(counted=3, seen=3, explained=3),)))
    screen.end(EPOCH, reason="SIGINT", totals=TOTALS)
    text = terminal.read()
    drawn, _, left = text.partition(NORMAL)
    assert drawn.startswith(ALTERNATE)
    assert "closed port" in drawn
    assert CURSOR in drawn
    assert "TCP resets of this host and 1 more namespace (blue)" in left
    assert "Account: 3 sent, all explained" in left


def test_closing_twice_gives_back_once(terminal: Pair) -> None:
    """And leaves no summary: that is for an end in order."""
    before = [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGQUIT)]
    screen = printer(terminal)
    assert [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGQUIT)] != before
    screen.close()
    screen.close()
    assert [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGQUIT)] == before
    text = terminal.read()
    assert text.count(NORMAL) == 1
    assert text.endswith(NORMAL)


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGQUIT])
def test_a_signal_that_is_ignored_stays_ignored(terminal: Pair, number: signal.Signals) -> None:
    """As in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        screen = printer(terminal)
        assert signal.getsignal(number) == signal.SIG_IGN
        screen.close()
    finally:
        signal.signal(number, before)


def test_a_screen_that_was_never_begun_gives_back_nothing(terminal: Pair) -> None:
    """Where the program could not be attached the terminal is left alone."""
    ScreenPrinter(terminal.out, namespaces=list).close()
    assert terminal.read() == ""


def test_a_terminal_that_is_gone_ends_the_watch_as_a_closed_pipe_does(terminal: Pair) -> None:
    """What cannot be drawn is an OSError, and what can be given back is."""
    before = signal.getsignal(signal.SIGTSTP)
    screen = printer(terminal)
    terminal.read()
    os.close(terminal.master)
    screen._drawn_ns = 0  # a second later
    with pytest.raises(OSError, match="Input/output error"):
        screen.write(Tick(resets=(reset(),)))
    with pytest.raises(OSError, match="Input/output error"):
        screen.close()
    assert signal.getsignal(signal.SIGTSTP) == before
    terminal.master = os.dup(0)


def test_it_draws_about_once_a_second_however_often_it_is_written_to(
    terminal: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But at once, up to four times a second, what is new."""
    now = [1_000_000_000]
    monkeypatch.setattr("whyreset.outputs.terminal.screen.time.monotonic_ns", lambda: now[0])
    screen = printer(terminal)
    for _ in range(40):
        screen.write(Tick(resets=(reset(),)))
        terminal.drain()
        now[0] += 50_000_000
    drawn = terminal.read().count("\x1b[H")
    assert 2 <= drawn <= 4
    for port in range(1, 41):
        found = (reset(port=port, owner=owner(comm=f"p{port}")),) if port % 2 else ()
        screen.write(Tick(resets=found))
        terminal.drain()
        now[0] += 50_000_000
    assert 6 <= terminal.read().count("\x1b[H") <= 11
    screen.close()


def test_an_alert_is_seen_at_once_and_gone_when_it_is_over(terminal: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised is asked with each drawing."""
    now = [1_000_000_000]
    monkeypatch.setattr("whyreset.outputs.terminal.screen.time.monotonic_ns", lambda: now[0])
    raised: list[Alert] = []
    screen = ScreenPrinter(terminal.out, namespaces=list, firing=lambda: raised)
    screen.start(EPOCH, version="0.1.0", sources=("kernel",), tier="reasons", missing=())
    assert "WARNING" not in terminal.read()
    raised.append(alert())
    now[0] += 300_000_000
    screen.write(Tick(alerts=(alert(),)))
    assert "WARNING since" in terminal.read()
    raised.clear()
    now[0] += 300_000_000
    screen.write(Tick(alerts=(alert(new_status="clear"),)))
    drawn = terminal.read()
    assert "whyreset" in drawn
    assert "WARNING" not in drawn
    screen.close()


@pytest.mark.parametrize(("number", "deed"), [(signal.SIGTSTP, "_suspend"), (signal.SIGQUIT, "_quit")])
def test_a_signal_within_a_drawing_waits_for_its_end(
    terminal: Pair, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, deed: str
) -> None:
    """A slow terminal is written to for long; a file that is being flushed cannot be flushed from within."""
    screen = printer(terminal)
    order = []
    monkeypatch.setattr(screen, deed, lambda *_: order.append("obeyed"))
    draw = screen._live.update

    def drawing(*words: Any, **options: Any) -> None:
        signal.raise_signal(number)
        draw(*words, **options)
        order.append("drawn")

    monkeypatch.setattr(screen._live, "update", drawing)
    terminal.read()
    screen._drawn_ns = 0  # a second later
    screen.write(Tick())
    assert order == ["drawn", "obeyed"]
    signal.raise_signal(number)
    assert order == ["drawn", "obeyed", "obeyed"]
    screen.close()
