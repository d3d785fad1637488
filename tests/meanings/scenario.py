"""What happens for real on two hosts, and what must be found of it: the labelled scenarios that findings are held to.

A scenario is a function that plays something on a `Scene` and returns when it is over. It marks the moment from which a
finding could be told. Whatever is found about its hosts and is neither wanted nor allowed is false.
"""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from tests.hosts import Actor
from tests.hosts.cases import Stage
from tests.hosts.hosts import Host, Pair

#: Service ports of scenarios that are played on one stage at the same time begin here, some for each.
_FIRST_PORT, _PORTS_EACH = 7000, 40


@dataclass(frozen=True)
class Wanted:
    """A finding that must be told.

    Args:
        name: of the finding.
        within: seconds from the scenario's mark (its beginning, where it marks none) until it is told at the latest.
        host: "b" has it, or "a"; "" where it is the whole machine's.
        says: words that its sentence or evidence holds; `{port}` is the scene's first port.
        confidences: how sure it may be.
        closes: it must be told as over by the end of the scenario, or within `within` seconds after.
    """

    name: str
    within: float = 3.0
    host: str = "b"
    says: tuple[str, ...] = ()
    confidences: tuple[str, ...] = ("certain", "likely")
    closes: bool = False


@dataclass
class Scene:
    """Where a scenario is played."""

    stage: Stage
    random: random.Random
    #: The first of some ports that nobody else uses; the others follow it.
    port: int
    began_ns: int = 0
    marked_ns: int = 0

    @property
    def ports(self) -> range:
        """All of them."""
        return range(self.port, self.port + _PORTS_EACH)

    @property
    def a(self) -> Host:
        """The host of clients."""
        return self.stage.a

    @property
    def b(self) -> Host:
        """The host of servers."""
        return self.stage.b

    @property
    def address(self) -> str:
        """The server's address."""
        return self.stage.address_b

    def actor(self, host: Host, name: str) -> Actor:
        """A process of its own; it ends with the stage."""
        return self.stage.actor(host, name)

    def mark(self) -> None:
        """From now on the finding could be told; the first time counts."""
        self.marked_ns = self.marked_ns or time.time_ns()

    def pause(self, seconds: float) -> None:
        """Lets time go by; for what is made of time itself, never to wait for something."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Scenario:
    """One labelled scenario."""

    name: str
    play: Callable[[Scene], None]
    #: Findings that must be told; none for a benign one.
    wanted: tuple[Wanted, ...] = ()
    #: Names of findings that may be told beside.
    allowed: frozenset[str] = frozenset()
    #: It changes what the whole machine shares, or says something about the whole host: not played beside others.
    alone: bool = False
    #: What it needs, by command.
    needs: tuple[str, ...] = ()
    #: Seconds that findings have after it.
    after: float = 2.0
    #: More options of the command, which then sees the scenario's hosts alone.
    options: tuple[str, ...] = ()
    #: What it is played on.
    pair: Callable[[], Pair] = Pair


@dataclass
class Outcome:
    """What became of one run of a scenario."""

    scenario: Scenario
    #: Seconds from the mark to the finding's first line, by name.
    told: dict[str, float] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    #: Findings that were told and should not have been.
    false: list[str] = field(default_factory=list)
    #: What went wrong in playing it.
    failure: str = ""

    @property
    def right(self) -> bool:
        """Everything was told that had to be, and nothing else."""
        return not (self.missed or self.false or self.failure)


def scenes(stages: Iterable[Stage], scenarios: Iterable[Scenario], seed: int) -> list[tuple[Scenario, Scene]]:
    """A scene for each, on its stage, with ports of its own.

    Args:
        stages: one for each.
        scenarios: what will be played.
        seed: of what is random in them.
    """
    numbers = count(_FIRST_PORT, _PORTS_EACH)
    return [
        (each, Scene(stage=stage, random=random.Random(f"{seed} {each.name}"), port=next(numbers)))
        for each, stage in zip(scenarios, stages, strict=True)
    ]
