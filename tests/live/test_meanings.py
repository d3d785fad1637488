"""Labelled scenarios for real: each is told as what it is, in time, and nothing else is found."""

import pytest

from tests import needs
from tests.meanings import SCENARIOS
from tests.meanings.play import alone
from tests.meanings.scenario import Scenario

#: The rest is played by `make matrix`, with fresh seeds.
SHORT = (
    "a service crashes",
    "a connect scan",
    "a scraper of dead exporters",
    "spoofed SYNs for an open port",
    "a worker of nginx is killed under load",
    "a program does not accept",
    "a blocked dependency",
    "clients that vanish",
)


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.name in SHORT], ids=lambda each: each.name)
def test_a_scenario_is_told_as_what_it_is(scenario: Scenario, machine: None) -> None:
    """What must be found is found within its time; nothing else is."""
    for name in scenario.needs:
        needs.command(name)
    outcome = alone(scenario, seed=1)
    assert outcome.right, outcome
