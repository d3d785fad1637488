"""Every known way to provoke a TCP reset, provoked for real, is told as what it is."""

import shutil

import pytest

from tests.hosts import Watch
from tests.hosts.cases import CASES, Case, Missing, Stage, Version, differences

EACH_CASE = [pytest.param(case, version, id=f"{case.id}-v{version}") for case in CASES for version in case.versions]


@pytest.mark.parametrize(("case", "version"), EACH_CASE)
def test_case_is_told_as_its_ground_truth(watch: Watch, case: Case, version: Version) -> None:
    """Each reset comes with the right cause, owner, closer and twin, and nothing else is told: silence is silence."""
    for command in case.needs:
        if not shutil.which(command):
            pytest.skip(f"this machine lacks the command {command}")
    with Stage(version, alone=case.alone) as stage:
        try:
            expected = tuple(case.provoke(stage))
        except Missing as missing:
            pytest.skip(f"this machine lacks {missing}")
        told = watch.told(stage.a, stage.b)
        if wrong := differences(expected, told):  # something may still be on its way, or come from a timer
            for host in (stage.a, stage.b):
                watch.wait_resets(host, sum(reset.count for reset in expected if reset.host == host.name), timeout=3)
            wrong = differences(expected, watch.told(stage.a, stage.b))
    if wrong:
        pytest.fail("\n".join([f"{case.title}, IPv{version}:", *wrong, *map(str, watch.losses())]), pytrace=False)


@pytest.mark.parametrize("case_id", ["01", "05a", "13a"])
def test_account_of_a_case_closes(watch: Watch, case_id: str) -> None:
    """All that a host's kernel counted as sent was seen: closed ports, a reset that never left, a small flood."""
    case = next(case for case in CASES if case.id == case_id)
    with Stage(4) as stage:
        expected = tuple(case.provoke(stage))
        sent = sum(reset.count for reset in expected if (reset.host, reset.direction) == ("b", "sent"))
        line = watch.settle_account(stage.b)
        assert line["seen"] == sent + 1  # and the one by which `settle` knows
