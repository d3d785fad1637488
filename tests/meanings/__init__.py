"""Labelled scenarios that findings are held to, each told as what it is and nothing else."""

from tests.meanings import checks, floods, limits, scans, services, stale, workers
from tests.meanings.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *services.SCENARIOS,
    *workers.SCENARIOS,
    *scans.SCENARIOS,
    *floods.SCENARIOS,
    *limits.SCENARIOS,
    *stale.SCENARIOS,
    *checks.SCENARIOS,
)
