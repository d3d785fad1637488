"""Labelled scenarios that findings are held to, each told as what it is and nothing else."""

from tests.meanings import limits, services, stale
from tests.meanings.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (*services.SCENARIOS, *limits.SCENARIOS, *stale.SCENARIOS)
