"""Makes docs/transcripts.md: what `whyreset watch` says of each kind of finding, played for real.

Of each finding the first labelled scenario that must show it; of its lines all findings, and the verdict at its end.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.hosts import Watch
from tests.hosts.cases import Stage
from tests.hosts.watch import COMMAND
from tests.meanings import SCENARIOS
from tests.meanings.play import only, play
from tests.meanings.scenario import Outcome, Scenario
from whyreset.findings import FINDERS

PAGE = Path(__file__).resolve().parent.parent / "docs/transcripts.md"
HEAD = """# Transcripts: each finding as it is told

Made by `make transcripts` from real traffic in network namespaces: the lines of `whyreset watch --plain` that say what
resets mean, and two of those that say why each was sent. The scenarios are those of the [matrix](findings.md).
"""
#: Lines about single resets that are kept, and characters of a line.
_RESETS, _WIDTH = 2, 160


def chosen() -> Iterator[tuple[str, Scenario]]:
    """Of each finding a scenario that must show it."""
    for finder in FINDERS:
        for scenario in SCENARIOS:
            if any(each.name == finder.NAME for each in scenario.wanted):
                yield finder.NAME, scenario
                break
        else:
            print(f"no scenario shows {finder.NAME}", file=sys.stderr)


def said(scenario: Scenario, seed: int) -> tuple[str, Outcome]:
    """What is said of a scenario, and what became of it."""
    with (
        Stage(4, alone=scenario.alone, pair=scenario.pair()) as stage,
        Watch(*scenario.options, *only(stage), each=False) as watch,
        tempfile.TemporaryFile("w+") as out,
    ):
        words = ["watch", "--plain", *only(stage), *scenario.options]
        plain = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *COMMAND, *words], stdout=out, text=True)
        while "watching" not in _text(out) and plain.poll() is None:
            time.sleep(0.05)
        [outcome] = play(watch, [stage], [scenario], seed)
        plain.send_signal(signal.SIGINT)
        plain.wait(20)
        return _shortened(_text(out)), outcome


def _text(out: object) -> str:
    assert hasattr(out, "fileno")
    return os.pread(out.fileno(), 1 << 22, 0).decode()


def _shortened(text: str) -> str:
    """Findings in full, resets some, all without what differs from run to run in a way that nobody cares for."""
    kept: list[str] = []
    resets = left = place = 0
    within = False
    for line in text.splitlines()[1:]:
        kind = re.match(r"\d\d:\d\d:\d\d  (\w+)", line)
        if kind:
            within = kind[1] in ("finding", "verdict", "alert")
        if kind and kind[1] in ("sent", "received"):
            resets += 1
            if resets > _RESETS:
                left += 1
                place = place or len(kept)
                continue
        elif not within or not (kind or line.startswith(" ")):
            continue
        kept.append(line if len(line) <= _WIDTH or within else f"{line[: _WIDTH - 1]}…")
    if left:
        kept.insert(place, f"          ({left} more lines about resets)")
    return "\n".join(kept)


def main() -> int:
    """The command; its exit code is 1 where a scenario was not told as what it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    parts, right = [HEAD], True
    for name, scenario in chosen():
        text, outcome = said(scenario, seed)
        right &= outcome.right
        print(f"{name}: {scenario.name}: {'right' if outcome.right else outcome}", file=sys.stderr)
        parts.append(f"## {name}\n\nWhat happens: {scenario.name}.\n\n```\n{text}\n```\n")
    PAGE.write_text("\n".join(parts))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
