"""Every known way to provoke a TCP reset, provoked for real, is told as what it is: also where a kernel tells less."""

from collections.abc import Iterator

import pytest

from tests.hosts import Watch
from tests.hosts.cases import CASES, TIERS, Case, Missing, Stage, Version, run

EACH_CASE = [pytest.param(case, version, id=f"{case.id}-v{version}") for case in CASES for version in case.versions]
EACH_CASE_ONCE = [pytest.param(case, id=case.id) for case in CASES]


@pytest.fixture(scope="module", params=TIERS[1:])
def lesser(request: pytest.FixtureRequest, machine: None) -> Iterator[Watch]:
    """The command at work as on a kernel that tells less."""
    with Watch("--tier", request.param) as running:
        yield running


def tell(watch: Watch, case: Case, version: Version) -> None:
    """Provoke a case; all that is said of it must be as it should."""
    try:
        told = run(watch, case, version)
    except Missing as missing:
        pytest.skip(f"this machine lacks {missing}")
    if told.wrong:
        words = [f"{case.title}, IPv{version}, {watch.start['tier']}:", *told.wrong, *map(str, watch.losses())]
        pytest.fail("\n".join(words), pytrace=False)


@pytest.mark.parametrize(("case", "version"), EACH_CASE)
def test_case_is_told_as_its_ground_truth(watch: Watch, case: Case, version: Version) -> None:
    """Each reset comes with the right cause, owner, closer and twin, and nothing else is told: silence is silence."""
    tell(watch, case, version)


@pytest.mark.parametrize("case", EACH_CASE_ONCE)
def test_case_is_told_truly_where_the_kernel_tells_less(lesser: Watch, case: Case) -> None:
    """The same cause, less surely, or an honest shallower one, or nothing where that is untraced; never a wrong one."""
    tell(lesser, case, 4)


@pytest.mark.parametrize("case_id", ["01", "05a", "13a"])
def test_account_of_a_case_closes(watch: Watch, case_id: str) -> None:
    """All that a host's kernel counted as sent was seen: closed ports, a reset that never left, a small flood."""
    case = next(case for case in CASES if case.id == case_id)
    with Stage(4) as stage:
        expected = tuple(case.provoke(stage))
        sent = sum(reset.count for reset in expected if (reset.host, reset.direction) == ("b", "sent"))
        line = watch.settle_account(stage.b)
        assert line["seen"] == sent + 1  # and the one by which `settle` knows
