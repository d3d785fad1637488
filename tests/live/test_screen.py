"""The screen of `watch` as a user has it: in a shell, on a terminal that is resized, stopped and ended."""

import re
import shlex
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND
from tests.hosts import Actor, Host
from tests.hosts.hosts import await_true
from tests.kernel_objects import held_by_watch
from tests.live.terminal import ALTERNATE, NORMAL, SGR, Terminal

CLOSED = 47311  # no other test asks for it: the watch sees the whole machine
WATCH = shlex.join([*COMMAND, "watch", "--port", str(CLOSED)])


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


@pytest.fixture
def host() -> Iterator[Host]:
    """A host of our own."""
    with Host("a") as alone:
        yield alone


def knock(host: Host, times: int = 1) -> None:
    """Ask a closed port on the host's loopback."""
    for _ in range(times):
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
            probe.connect(("127.0.0.1", CLOSED))


def begin(terminal: Terminal, *words: str) -> None:
    """A watch whose first drawing stands."""
    terminal.type(shlex.join([*shlex.split(WATCH), *words]) + "\n")
    terminal.wait(lambda: terminal.shows("Account: "), "the first drawing")


def test_a_reset_is_on_the_screen_at_once_and_the_terminal_is_as_before_afterwards(host: Host) -> None:
    """Ctrl-C gives back the screen, the cursor and the echo, and leaves a summary."""
    with Terminal() as terminal:
        before = terminal.modes()
        begin(terminal)
        assert terminal.shows("No such TCP reset has been sent or received since watching began.")
        assert terminal.modes() != before
        knock(host, 3)
        terminal.wait(lambda: terminal.shows("closed port: nobody listens there"), "the reset")
        terminal.type("\x03")
        terminal.wait(terminal.prompts, "the prompt")
        left = SGR.sub("", terminal.text[terminal.text.rindex(NORMAL) :])
        assert "\x1b[?25h" in terminal.text[terminal.text.rindex(ALTERNATE) :]
        assert "closed port: nobody listens there" in left
        assert "Account: " in left
        assert terminal.modes() == before
        terminal.type("echo status $?\n")
        terminal.wait(lambda: "status 0" in terminal.text, "the exit code")


def test_a_crashed_service_is_told_with_its_end(host: Host) -> None:
    """Until when who listened there, and how that ended."""
    with Terminal() as terminal, Actor(host, "api") as api:
        begin(terminal)
        api.listen(CLOSED)
        api.crash()
        knock(host)
        terminal.wait(lambda: terminal.shows(f"[{api.pid}], killed by SIGSEGV"), "how it ended")
        assert terminal.shows("until ")
        assert terminal.shows(str(host.inode))


def test_an_alert_is_on_the_screen_while_it_is_raised() -> None:
    """Above all else; it is over when its namespace is gone."""
    with Terminal() as terminal:
        with Host("surging") as host:
            begin(terminal, "--netns", str(host.inode))
            assert not terminal.shows("WARNING")
            knock(host, 300)
            terminal.wait(lambda: terminal.shows("WARNING since"), "the alert")
            assert terminal.shows("surge of TCP resets sent")
        terminal.wait(lambda: not terminal.shows("WARNING"), "its end", timeout=30)


def test_the_screen_follows_the_terminals_size(host: Host) -> None:
    """Smaller and larger, without being asked."""
    with Terminal(COLUMNS="200", LINES="200") as terminal:
        begin(terminal)
        knock(host)
        for width, height in ((40, 10), (150, 50), (80, 24)):
            terminal.resize(width, height)
            terminal.wait(
                lambda height=height: len(terminal.screen()) == height and terminal.shows("closed port"),  # type: ignore[misc]
                f"a screen of {height} lines",
            )
            assert max(map(len, terminal.screen())) <= width


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_keys_show_the_evidence_and_end_the_watch(host: Host, key: str) -> None:
    """v and q, as the last line says."""
    with Terminal() as terminal:
        begin(terminal)
        knock(host)
        terminal.wait(lambda: terminal.shows("closed port"), "the reset")
        assert not terminal.shows("evidence: ")
        terminal.type("v")
        terminal.wait(lambda: terminal.shows("evidence: kernel reason NO_SOCKET"), "the evidence")
        terminal.type("v")
        terminal.wait(lambda: not terminal.shows("evidence: "), "the evidence to go")
        terminal.type(key)
        terminal.wait(terminal.prompts, "the prompt")


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(host: Host) -> None:
    """What happens meanwhile is counted."""
    with Terminal() as terminal:
        before = terminal.modes()
        begin(terminal)
        terminal.type("\x1a")
        terminal.wait(terminal.prompts, "the prompt")
        assert "Stopped" in terminal.text
        assert terminal.modes() == before
        knock(host)
        terminal.type("fg\n")
        terminal.wait(lambda: not terminal.prompts() and terminal.shows("closed port"), "the reset")
        terminal.type("q")
        terminal.wait(terminal.prompts, "the prompt")
        assert terminal.modes() == before


def test_a_watch_in_the_background_draws_nothing(host: Host) -> None:
    """The terminal is the shell's then; it is drawn when it comes to the foreground."""
    with Terminal() as terminal:
        terminal.type(f"{WATCH} &\n")
        terminal.wait(lambda: terminal.text.endswith("$ ") and "[1]" in terminal.text, "the job")
        [job] = re.findall(r"\[1\] (\d+)", terminal.text)
        await_true(lambda: all(held_by_watch(int(job)).values()), "the watch to be attached", timeout=20)
        terminal.type("echo fine\n")
        terminal.wait(lambda: "\rfine" in terminal.text, "the other command")
        assert ALTERNATE not in terminal.text
        terminal.type("fg\n")
        terminal.wait(lambda: terminal.shows("Account: "), "the drawing")
        terminal.type("q")
        terminal.wait(terminal.prompts, "the prompt")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_other_ends_give_the_terminal_back_too(number: signal.Signals) -> None:
    """A signal from elsewhere, and Ctrl-\\, which ends it on the spot."""
    with Terminal() as terminal:
        before = terminal.modes()
        begin(terminal)
        terminal.type("\x1c" if number == signal.SIGQUIT else "")
        if number == signal.SIGTERM:
            terminal.type("\x1a")
            terminal.wait(terminal.prompts, "the prompt")
            terminal.type("kill %1; fg\n")
        terminal.wait(terminal.prompts, "the prompt")
        assert terminal.modes() == before


def test_without_colours_none_is_sent(host: Host) -> None:
    """NO_COLOR leaves bold and faint."""
    with Terminal(NO_COLOR="1") as terminal:
        begin(terminal)
        knock(host)
        terminal.wait(lambda: terminal.shows("closed port"), "the reset")
        codes = {code for each in terminal.frames() for found in SGR.findall(each) for code in found.split(";")}
        assert codes <= {"", "0", "1", "2"}


def test_colours_are_sent_otherwise(host: Host) -> None:
    """Or the test above could not fail."""
    with Terminal() as terminal:
        begin(terminal)
        knock(host)
        terminal.wait(lambda: terminal.shows("closed port"), "the reset")
        assert any("36" in found.split(";") for each in terminal.frames() for found in SGR.findall(each))


@pytest.mark.parametrize(
    ("environment", "words"),
    [({"TERM": "dumb"}, ()), ({}, ("--plain",)), ({}, ("--each",))],
    ids=["dumb", "plain", "each"],
)
def test_lines_are_written_where_a_screen_is_not_wanted(
    host: Host, environment: dict[str, str], words: tuple[str, ...]
) -> None:
    """Also where the terminal can do no more."""
    with Terminal(**environment) as terminal:
        terminal.type(shlex.join([*shlex.split(WATCH), *words]) + "\n")
        terminal.wait(lambda: "watching this host's TCP resets" in terminal.text, "the first line")
        knock(host)
        terminal.wait(lambda: f"sent      closed port {CLOSED}, " in terminal.text, "the reset")
        terminal.type("\x03")
        terminal.wait(lambda: "account: " in terminal.text and terminal.text.endswith("$ "), "the end")
        assert ALTERNATE not in terminal.text
