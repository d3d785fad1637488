"""The pages of docs/screens.md and the picture in the README: what a user sees, taken from a real terminal.

`python -m tools.screens` plays each scene of the demo under `whyreset watch` in tmux and writes down what stands there.
It takes some minutes; times, pids and rates differ each time, the rest should not.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.terminal_theme import MONOKAI

from whyreset.demo.scenes import SCENES

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE, README = ROOT / "docs/screens.md", ROOT / "docs/screen.svg", ROOT / "README.md"
WATCH = (sys.executable, "-m", "whyreset", "watch")
#: What else happens on the machine is no part of the pages.
OURS = ("--netns", "demo-server", "--netns", "demo-clients")
#: A scene has been played some times by then.
SECONDS = 12
#: All of them have been, once.
ALL_SECONDS = 60
HEAD = """# Screens

What `whyreset watch` shows for each scene of its demo, on a terminal of 80 columns and 20 lines. Made by `make screens`
from a real terminal, with real resets. To see one yourself: `sudo whyreset watch --demo --scene crash`.
"""


class Tmux:
    """A terminal of a size, of our own server, in which a command runs."""

    def __init__(self, width: int, height: int, *command: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="whyreset-screens-")
        self._tmux("new-session", "-d", "-x", str(width), "-y", str(height), *command)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", f"{self._folder.name}/socket", "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def screen(self, *, colours: bool = False) -> str:
        """What stands there."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def resize(self, width: int, height: int) -> None:
        """Another size; the command is told."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def type(self, *keys: str) -> None:
        """Keys as tmux names them."""
        self._tmux("send-keys", *keys)

    def close(self) -> None:
        """End it, and what runs in it, and leave nothing of it."""
        with self._folder, suppress(subprocess.CalledProcessError):  # it may have ended by itself
            self._tmux("kill-server")


@contextmanager
def terminal(width: int, height: int, *command: str) -> Iterator[Tmux]:
    """A terminal for the length of a block."""
    tmux = Tmux(width, height, *command)
    try:
        yield tmux
    finally:
        tmux.close()


def block(screen: str) -> str:
    """A screen as a block of Markdown; lines that are empty one after the other are one."""
    lines: list[str] = []
    for line in screen.rstrip().splitlines():
        if line.rstrip() or (lines and lines[-1]):
            lines.append(line.rstrip())
    return "\n".join(["```", *lines, "```"])


def scenes() -> Iterator[str]:
    """A section for each scene."""
    for scene in SCENES:
        screen = block(played(scene.name))
        yield f"## {scene.name}: {scene.text}\n\n{screen}\n"


def played(scene: str) -> str:
    """What stands on the screen when a scene was played some times."""
    with terminal(80, 20, *WATCH, *OURS, "--demo", "--scene", scene) as tmux:
        time.sleep(SECONDS)
        return tmux.screen()


def lines(*scenes_: str) -> str:
    """The first lines of some scenes, where there is no terminal."""
    chosen = [word for scene in scenes_ for word in ("--scene", scene)]
    command = [*WATCH, "--netns", "demo-server", "--direction", "sent", "--demo", *chosen, "--duration", "4"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    first = next(line for line in told if " closed port " in line)
    second = next(line for line in told if " unread " in line)
    return "\n".join(["```", first, second, "```"])


def put(text: str, mark: str, made: str) -> str:
    """A text with what stands between two marks made anew."""
    before, begin, rest = text.partition(f"<!-- {mark}: made by make screens -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    return f"{before}{begin}{made}\n{end}{after}"


def others() -> Iterator[str]:
    """Other sizes, the evidence, silence, and lines."""
    with terminal(80, 20, *WATCH, "--netns", "none") as tmux:
        time.sleep(3)
        yield f"## When nothing happens\n\n{block(tmux.screen())}\n"
    with terminal(100, 34, *WATCH, *OURS, "--demo") as tmux:
        time.sleep(ALL_SECONDS)
        yield f"## All scenes, on a larger terminal\n\n{block(tmux.screen())}\n"
        PICTURE.write_text(picture(tmux.screen(colours=True), 100))
        tmux.resize(40, 10)
        time.sleep(1.5)
        yield f"## The same on 40 columns and 10 lines\n\n{block(tmux.screen())}\n"
        tmux.resize(100, 30)
        tmux.type("v")
        time.sleep(1.5)
        yield f"## With its evidence (the key v, or --verbose)\n\n{block(tmux.screen())}\n"


def picture(screen: str, width: int) -> str:
    """A screen as an SVG that needs nothing from elsewhere."""
    console = Console(record=True, width=width, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    # one decoder for all lines: what one switches on the next may switch off
    for line in AnsiDecoder().decode(screen.rstrip()):
        console.print(line, no_wrap=True)
    return console.export_svg(title="sudo whyreset watch --demo", theme=MONOKAI, code_format=_format())


def _format() -> str:
    """The library's own form without the fonts that it fetches."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    before, _, rest = CONSOLE_SVG_FORMAT.partition("@font-face")
    _, _, after = rest.rpartition("@font-face")
    return (before + after.partition("}}")[2]).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")


def main() -> None:
    """The command."""
    PAGE.write_text("\n".join([HEAD, *others(), *scenes()]))
    readme = put(README.read_text(), "screen", block(played("crash")))
    README.write_text(put(readme, "lines", lines("crash", "upload")))


if __name__ == "__main__":
    main()
