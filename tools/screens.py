"""Make docs/screens.md anew: what somebody sees who looks for ten seconds at each scene of the demo.

The screens are real, taken from terminals of tmux; pids and times are those of the run.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from whyreset.demo.scenes import SCENES
from whyreset.demo.stage import NAMES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/screens.md"
LOOK_SECONDS = 10
AT_ONCE = 4
HEAD = f"""# Screens

What `whyreset watch` shows of each scene of [the demo](demo.md) to somebody who looks for {LOOK_SECONDS} seconds, at 80
columns and 24 lines unless it says otherwise. `make screens` takes these screens; only empty lines are left out.
"""


@contextmanager
def terminal(name: str, width: int, height: int, command: Sequence[str]) -> Iterator[list[str]]:
    """A terminal of a tmux of its own in which a command runs; ends with the block. Its first words of tmux's."""
    tmux = ["tmux", "-L", name, "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-x", str(width), "-y", str(height), *command], check=True)
    try:
        yield tmux
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL)


def screen(words: Sequence[str], width: int = 80, height: int = 24, seconds: float = LOOK_SECONDS) -> str:
    """What the demo's namespaces look like after so many seconds."""
    only = [word for name in NAMES for word in ("--netns", name)]
    command = [sys.executable, "-m", "whyreset", "watch", *only, *words]
    with terminal(f"whyreset-screens-{'-'.join(words)}-{width}", width, height, command) as tmux:
        time.sleep(seconds + 1)  # it takes a moment to begin
        shown = subprocess.run([*tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout
    lines = [line.rstrip() for line in shown.splitlines()]
    return "\n".join(line for line, same in groupby(lines) if line or len(list(same)) == 1)


def main() -> int:
    """The command. Returns its exit code."""
    if not shutil.which("tmux"):
        print("tmux is missing: apt install tmux", file=sys.stderr)
        return 1
    with ThreadPoolExecutor(AT_ONCE) as workers:
        scenes = list(workers.map(lambda scene: screen(["--scene", scene.name]), SCENES))
        everything, wide, opened = workers.map(
            lambda each: screen(*each),
            [(["--demo"],), (["--demo"], 120, 40, 25), (["--scene", "crash", "--verbose"], 100, 30)],
        )
    parts = [
        ("All scenes, one after the other", "", everything),
        ("All scenes, at 120 columns and 40 lines, after 25 seconds", "", wide),
        *(
            (f"`{scene.name}`", f"What happens: {scene.text}.\n\n", shown)
            for scene, shown in zip(SCENES, scenes, strict=True)
        ),
        ("`crash`, opened with its evidence (`--verbose`, or the key v), at 100 columns", "", opened),
    ]
    PAGE.write_text(HEAD + "".join(f"\n## {title}\n\n{text}```\n{shown}\n```\n" for title, text, shown in parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
