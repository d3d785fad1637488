"""Plays scenarios beside a running watch, and holds what was found against what should have been."""

import threading
import time
import traceback
from collections.abc import Iterable, Sequence

from tests.hosts import Watch
from tests.hosts.cases import Stage
from tests.hosts.watch import Line
from tests.meanings.scenario import Outcome, Scenario, Scene, Wanted, scenes

#: Findings are asked for so often while they are awaited.
_ASK_SECONDS = 0.1


def play(watch: Watch, stage: Stage, scenarios: Sequence[Scenario], seed: int) -> list[Outcome]:
    """Plays them at the same time on one stage.

    Args:
        watch: `watch --json`, running.
        stage: fresh hosts; whatever is found about them is held against all scenarios together.
        scenarios: those to play.
        seed: of what is random in them.
    """
    placed = scenes(stage, scenarios, seed)
    began_ns = time.time_ns()
    outcomes = {each.name: Outcome(each) for each in scenarios}
    threads = [
        threading.Thread(target=_play, args=(scenario, scene, outcomes[scenario.name])) for scenario, scene in placed
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end = time.monotonic() + max(each.after for each in scenarios)
    while time.monotonic() < end or _awaited(watch, placed):
        time.sleep(_ASK_SECONDS)
        if time.monotonic() > end + max((w.within for each in scenarios for w in each.wanted), default=0):
            break
    found = findings(watch, stage)
    claimed: set[str] = set()
    for scenario, scene in placed:
        outcome = outcomes[scenario.name]
        for wanted in scenario.wanted:
            line = _first(found, wanted, scene)
            if line is None:
                near = [each["text"] for each in found if each["name"] == wanted.name]
                outcome.missed.append(f"{wanted.name}{f' (told: {near})' if near else ''}")
                continue
            claimed |= {each["id"] for each in found if _fits(each, wanted, scene)}
            outcome.told[wanted.name] = max(0.0, (_ns(line["time"]) - (scene.marked_ns or began_ns)) / 1e9)
            if outcome.told[wanted.name] > wanted.within:
                outcome.missed.append(f"{wanted.name} only after {outcome.told[wanted.name]:.1f} s")
            if wanted.closes and not any(each["id"] == line["id"] and each["state"] == "closed" for each in found):
                outcome.missed.append(f"{wanted.name} was not told as over")
    allowed = frozenset[str]().union(*(each.allowed for each in scenarios))
    false = {each["id"]: each for each in found if each["id"] not in claimed and each["name"] not in allowed}
    for line in false.values():
        outcomes[scenarios[0].name].false.append(f"{line['name']}: {line['text']}")
    return list(outcomes.values())


def findings(watch: Watch, stage: Stage) -> list[Line]:
    """What was found about the hosts of a stage so far, in its order."""
    cookies = {stage.a.cookie, stage.b.cookie}
    lines = list(watch.lines)
    return [each for each in lines if each["type"] == "finding" and each["subject"].get("netns_cookie") in cookies]


def _play(scenario: Scenario, scene: Scene, outcome: Outcome) -> None:
    try:
        scenario.play(scene)
    except Exception:
        outcome.failure = traceback.format_exc()


def _awaited(watch: Watch, placed: Iterable[tuple[Scenario, Scene]]) -> bool:
    """Whether something that must be told was not yet."""
    for scenario, scene in placed:
        found = findings(watch, scene.stage)
        for wanted in scenario.wanted:
            line = _first(found, wanted, scene)
            if line is None:
                return True
            if wanted.closes and not any(each["id"] == line["id"] and each["state"] == "closed" for each in found):
                return True
    return False


def _first(found: Iterable[Line], wanted: Wanted, scene: Scene) -> Line | None:
    return next((each for each in found if _fits(each, wanted, scene)), None)


def _fits(line: Line, wanted: Wanted, scene: Scene) -> bool:
    cookie = {"a": scene.a.cookie, "b": scene.b.cookie}[wanted.host]
    text = " ".join([line["text"], *line["evidence"], *(each["command"] for each in line.get("steps", ()))])
    return (
        line["name"] == wanted.name
        and line["subject"].get("netns_cookie") == cookie
        and line["confidence"] in wanted.confidences
        and all(each.format(port=scene.port) in text for each in wanted.says)
    )


def _ns(time_text: str) -> int:
    """Nanoseconds since the epoch of a line's time."""
    import datetime

    head, _, rest = time_text.rstrip("Z").partition(".")
    whole = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.UTC)
    return int(whole.timestamp()) * 1_000_000_000 + int(rest.ljust(9, "0")[:9])
