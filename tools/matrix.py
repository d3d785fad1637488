"""Plays all labelled scenarios for real with fresh seeds, and writes down what was found, missed and falsely claimed.

Each is played by itself, then all that can be are played at the same time at one server, each by a client of its own.
The table in docs/findings.md is made of it; what was not right is printed with its seed.
"""

import argparse
import datetime
import os
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.hosts import Watch
from tests.hosts.cases import Stage
from tests.hosts.hosts import Guest, Pair, Switch
from tests.meanings import SCENARIOS
from tests.meanings.play import alone, play
from tests.meanings.scenario import Outcome, Scenario

PAGE = Path(__file__).resolve().parent.parent / "docs/findings.md"
#: Last numbers of clients' addresses; those between them are given to scans (tests/meanings/scans.py).
CLIENTS = (*range(3, 50), *range(203, 255))
#: Those that are played at the same time begin over so many seconds: what their programs' starts cost is not asked.
OVER = 15.0
BEGIN, END = "<!-- made by `make matrix`: begin -->", "<!-- made by `make matrix`: end -->"


def mixed(scenarios: list[Scenario], seed: int) -> list[Outcome]:
    """Many at the same time, at one server, each by a client of its own."""
    with ExitStack() as stack:
        watch = stack.enter_context(Watch(each=False))
        switch = stack.enter_context(Switch())
        guests = (Guest(switch, number) for _, number in zip(scenarios, CLIENTS, strict=False))
        stages = [stack.enter_context(Stage(4, pair=guest)) for guest in guests]
        return play(watch, stages, scenarios, seed, over=OVER)


def rows(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """The table's rows, by scenario."""
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_name[outcome.scenario.name].append(outcome)
    for name, those in by_name.items():
        scenario = those[0].scenario
        told = [seconds for each in those for seconds in each.told.values()]
        wanted = ", ".join(f"`{each.name}`" for each in scenario.wanted) or "nothing"
        time_to = f"{statistics.median(told):.1f} ({max(told):.1f})" if told else ""
        missed, false = sum(len(each.missed) for each in those), sum(len(each.false) for each in those)
        found = f"{sum(len(each.told) for each in those)} of {len(those) * len(scenario.wanted)}"
        yield f"| {name} | {wanted} | {found if scenario.wanted else ''} | {missed} | {false} | {time_to} |"


def main() -> int:
    """The command; its exit code is 1 where anything was missed or falsely claimed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is played, with a seed of its own")
    parser.add_argument("--scenario", action="append", default=[], help="only those whose name holds this")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--together", action="store_true", help="only at the same time, not each by itself")
    parser.add_argument("--write", action="store_true", help="write the table into docs/findings.md")
    chosen = parser.parse_args()
    scenarios = [each for each in SCENARIOS if not chosen.scenario or any(n in each.name for n in chosen.scenario)]
    for each in [each for each in scenarios if not all(map(shutil.which, each.needs))]:
        print(f"not played: {each.name}, which needs {' and '.join(each.needs)}", file=sys.stderr)
        scenarios.remove(each)
    outcomes: list[Outcome] = []
    together: list[Outcome] = []
    for number in range(chosen.rounds):
        for scenario in () if chosen.together else scenarios:
            outcomes.append(alone(scenario, chosen.seed + number))
            _say(outcomes[-1], chosen.seed + number)
        several = [each for each in scenarios if not (each.alone or each.options) and each.pair is Pair]
        if len(several) > 1:
            together += mixed(several, chosen.seed + number)
            for outcome in together[-len(several) :]:
                _say(outcome, chosen.seed + number, "mixed: ")
    head = "| what happens | must be told | found | missed | falsely claimed | seconds until told: median (worst) |"
    kernel = os.uname().release.partition("-")[0]
    lines = [f"{datetime.date.today()}, Linux {kernel}, {chosen.rounds} rounds from seed {chosen.seed}."]
    for title, those in (("Each by itself", outcomes), ("All at the same time at one server", together)):
        if those:
            lines += ["", f"{title}:", "", head, "|---|---|---|---|---|---|", *rows(those)]
    print("\n".join(lines))
    if chosen.write:
        _write(lines)
    return 0 if all(each.right for each in (*outcomes, *together)) else 1


def _say(outcome: Outcome, seed: int, kind: str = "") -> None:
    what = "right" if outcome.right else f"WRONG: missed {outcome.missed}, false {outcome.false} {outcome.failure}"
    told = ", ".join(f"{name} after {seconds:.1f} s" for name, seconds in outcome.told.items())
    print(f"{time.strftime('%H:%M:%S')} {kind}{outcome.scenario.name} (seed {seed}): {what}; {told}", file=sys.stderr)


def _write(lines: list[str]) -> None:
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text("\n".join([head + BEGIN, "", *lines, "", END]) + tail)


if __name__ == "__main__":
    sys.exit(main())
