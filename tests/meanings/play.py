"""Plays scenarios beside a running watch, and holds what was found against what should have been."""

import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tests.hosts import Watch
from tests.hosts.cases import Stage
from tests.hosts.watch import Line
from tests.meanings.scenario import Outcome, Scenario, Scene, Wanted, scenes

#: Findings are asked for so often while they are awaited.
_ASK_SECONDS = 0.1


def alone(scenario: Scenario, seed: int) -> Outcome:
    """Plays one by itself."""
    with Stage(4, alone=scenario.alone, pair=scenario.pair()) as stage:
        options = (*scenario.options, *only(stage)) if scenario.options else ()
        with Watch(*options, each=False) as watch:
            return play(watch, [stage], [scenario], seed)[0]


def only(stage: Stage) -> list[str]:
    """Options by which the command sees nothing but the hosts of a stage."""
    for host in (stage.a, stage.b):
        stage.actor(host, "resident")  # a namespace without a name is found by its processes
    return [word for host in (stage.a, stage.b) for word in ("--netns", str(host.inode))]


def play(
    watch: Watch, stages: Sequence[Stage], scenarios: Sequence[Scenario], seed: int, *, over: float = 0.0
) -> list[Outcome]:
    """Plays them at the same time, each on a stage of its own.

    Args:
        watch: `watch --json`, running.
        stages: one for each scenario, with fresh hosts; several may have the same server, and what is found about that
            one is held against all scenarios together.
        scenarios: those to play.
        seed: of what is random in them.
        over: they begin one by one over so many seconds, in an order that the seed gives.
    """
    placed = scenes(stages, scenarios, seed)
    outcomes = {each.name: Outcome(each) for each in scenarios}
    with _playing(placed, outcomes, over):
        return _held(watch, stages, placed, outcomes)


@contextmanager
def _playing(placed: Sequence[tuple[Scenario, Scene]], outcomes: dict[str, Outcome], over: float) -> Iterator[None]:
    """Plays them to their ends; processes that a thread has started end with it, so that threads stay for the block."""
    ended, leave = threading.Semaphore(0), threading.Event()

    def run(scenario: Scenario, scene: Scene) -> None:
        _play(scenario, scene, outcomes[scenario.name], over)
        ended.release()
        leave.wait()

    threads = [threading.Thread(target=run, args=each) for each in placed]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            ended.acquire()
        yield
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def _held(
    watch: Watch, stages: Sequence[Stage], placed: Sequence[tuple[Scenario, Scene]], outcomes: dict[str, Outcome]
) -> list[Outcome]:
    """What was told, held against what should have been."""
    scenarios = [scenario for scenario, _ in placed]
    end = time.monotonic() + max(each.after for each in scenarios)
    while time.monotonic() < end or _awaited(watch, placed):
        time.sleep(_ASK_SECONDS)
        if time.monotonic() > end + max((w.within for each in scenarios for w in each.wanted), default=0):
            break
    found = findings(watch, stages)
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
            outcome.told[wanted.name] = max(0.0, (_ns(line["time"]) - (scene.marked_ns or scene.began_ns)) / 1e9)
            if outcome.told[wanted.name] > wanted.within:
                outcome.missed.append(f"{wanted.name} only after {outcome.told[wanted.name]:.1f} s")
            if wanted.closes and not any(each["id"] == line["id"] and each["state"] == "closed" for each in found):
                outcome.missed.append(f"{wanted.name} was not told as over")
    for line in {each["id"]: each for each in found if each["id"] not in claimed}.values():
        cookie = line["subject"].get("netns_cookie")
        there = [scenario for scenario, scene in placed if cookie in {None, *_cookies([scene.stage])}]
        if not any(line["name"] in each.allowed for each in there):
            outcomes[there[0].name].false.append(f"{line['name']}: {line['text']}")
    return list(outcomes.values())


def findings(watch: Watch, stages: Iterable[Stage]) -> list[Line]:
    """What was found about the hosts of some stages so far, and about the whole machine, in its order."""
    cookies = {None, *_cookies(stages)}
    lines = list(watch.lines)
    return [each for each in lines if each["type"] == "finding" and each["subject"].get("netns_cookie") in cookies]


def _cookies(stages: Iterable[Stage]) -> set[int]:
    return {host.cookie for stage in stages for host in (stage.a, stage.b)}


def _play(scenario: Scenario, scene: Scene, outcome: Outcome, over: float) -> None:
    scene.pause(scene.random.uniform(0, over))
    scene.began_ns = time.time_ns()
    try:
        scenario.play(scene)
    except Exception:
        outcome.failure = traceback.format_exc()


def _awaited(watch: Watch, placed: Iterable[tuple[Scenario, Scene]]) -> bool:
    """Whether something that must be told was not yet."""
    for scenario, scene in placed:
        found = findings(watch, [scene.stage])
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
    cookie = {"a": scene.a.cookie, "b": scene.b.cookie, "": None}[wanted.host]
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
