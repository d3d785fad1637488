"""A terminal with a shell in it: types what a user types, and tells what stands on the screen."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from typing import Any, Self

#: The colours and attributes of text; the rest of what steers a terminal.
SGR = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER = re.compile(r"\x1b\[\?*[0-9;]*[A-Za-ln-z]|\x1b[=>]")
ALTERNATE, NORMAL, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"


class Terminal:
    """A pseudo-terminal of 80 x 24 with bash in it; both end with the block."""

    def __init__(self, **environment: str) -> None:
        given = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLORTERM")}
        given |= {"TERM": "xterm-256color", "PS1": "$ ", "PS0": "", **environment}
        self.pid, self.descriptor = pty.fork()
        if not self.pid:  # the child; what is ignored here, as in a script's background, is ignored in the shell too
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], given)
        self.text = ""
        self._typed = 0
        self.resize(80, 24)
        self.wait(lambda: self.text.endswith("$ "), "the shell")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)  # hangs up: the shell and its jobs end
        for number in (signal.SIGHUP, signal.SIGKILL):
            os.kill(self.pid, number)
        os.waitpid(self.pid, 0)

    def resize(self, width: int, height: int) -> None:
        """As a user who drags the window's corner."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def modes(self) -> list[Any]:
        """How the terminal treats input: echo, lines."""
        return termios.tcgetattr(self.descriptor)

    def type(self, text: str) -> None:
        """Keys, control characters too."""
        self._typed = len(self.text)
        os.write(self.descriptor, text.encode())

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        """Read until the condition holds. TimeoutError tells what was waited for and what stood there."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}:\n{self.text[-4000:]!r}")
            if select.select([self.descriptor], [], [], 0.1)[0]:
                self.text += os.read(self.descriptor, 65536).decode("utf-8", "replace")

    def frames(self) -> list[str]:
        """What was drawn on the alternate screen so far, one drawing after the other."""
        return self.text.rpartition(ALTERNATE)[2].split(HOME)[1:]

    def screen(self) -> list[str]:
        """The lines of the last whole drawing."""
        return [line.rstrip() for line in _OTHER.sub("", SGR.sub("", self.frames()[-1])).splitlines()]

    def shows(self, text: str) -> bool:
        """Whether the last drawing holds this."""
        return bool(self.frames()) and text in "\n".join(self.screen())

    def prompts(self) -> bool:
        """Whether the shell asks for the next command since the last keys, on the normal screen."""
        asks = self.text.endswith("$ ") and len(self.text) > self._typed
        return asks and self.text.rfind(NORMAL) > self.text.rfind(ALTERNATE)
