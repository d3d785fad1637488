"""Provokes a case beside a running watch, and holds what that says of it against what it should."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.hosts.cases.compare import Line, differences
from tests.hosts.cases.model import Case, Expected, Missing, Stage, Version
from tests.hosts.cases.tiers import at_tier
from tests.hosts.watch import Watch


@dataclass(frozen=True)
class Told:
    """What was said of a case. `wrong`: sentences on each difference; `unseen`: resets that the tier does not see."""

    lines: Mapping[str, Sequence[Line]]
    wrong: Sequence[str]
    unseen: int


def run(watch: Watch, case: Case, version: Version) -> Told:
    """Provoke a case. Raises Missing where this machine lacks something that it needs."""
    for command in case.needs:
        if not shutil.which(command):
            raise Missing(f"the command {command}")
    with Stage(version, alone=case.alone) as stage:
        provoked = tuple(case.provoke(stage))
        expected = tuple(at_tier(case, provoked, watch.start["tier"]))
        lines = watch.told(stage.a, stage.b)
        if differences(expected, lines):  # something may still be on its way, or come from a timer
            for host in (stage.a, stage.b):
                watch.wait_resets(host, sum(reset.count for reset in expected if reset.host == host.name), timeout=3)
            lines = watch.told(stage.a, stage.b)
    return Told(lines, differences(expected, lines), _sent(provoked) - _sent(expected))


def _sent(resets: Sequence[Expected]) -> int:
    return sum(reset.count for reset in resets if reset.direction == "sent")
