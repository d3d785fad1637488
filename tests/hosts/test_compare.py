"""Differences between what a case expects and what was told are found and put into words."""

from typing import Any

import pytest

from tests.hosts.cases.compare import differences
from tests.hosts.cases.model import ANY, Expected

SENT: dict[str, Any] = {
    "type": "reset",
    "id": "1",
    "direction": "sent",
    "count": 1,
    "src": "192.0.2.2",
    "sport": 8080,
    "dst": "192.0.2.1",
    "dport": 50000,
    "cause": "closed-port",
    "family": "closed-port",
    "certainty": "certain",
    "trigger": {"flags": "S"},
    "kernel": {"reason": "NO_SOCKET"},
    "owner": {"pid": 7},
    "twin": "2",
}
RECEIVED = {key: SENT[key] for key in SENT.keys() - {"trigger", "kernel"}} | {
    "id": "2",
    "twin": "1",
    "direction": "received",
}
EXPECTED = Expected("b", "sent", "closed-port", 8080, owner=7, trigger="S", twin=True)
TWIN = Expected("a", "received", "closed-port", 50000, owner=7, twin=True)


def _without(line: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != key}


def test_what_is_as_expected_has_no_differences() -> None:
    """A sent reset and its twin are matched, in whatever order they are expected."""
    assert differences([TWIN, EXPECTED], {"a": [RECEIVED], "b": [SENT]}) == []


def test_count_may_be_spread_over_lines() -> None:
    """A flood may be told as single lines and groups; their counts add up."""
    flood = Expected("b", "sent", "closed-port", 8080, owner=ANY, count=3)
    single = _without(SENT, "twin")
    assert differences([flood], {"b": [single, single | {"count": 2}]}) == []
    assert differences([flood], {"b": [single, single | {"count": 3}]}) != []


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (SENT | {"cause": "unknown"}, "cause"),
        (SENT | {"family": "unknown"}, "family"),
        (SENT | {"certainty": "likely"}, "certainty"),
        (SENT | {"sport": 81}, "port"),
        (SENT | {"trigger": {"flags": "SA"}}, "trigger"),
        (_without(SENT, "trigger"), "trigger"),
        (SENT | {"owner": {"pid": 8}}, "owner"),
        (_without(SENT, "owner"), "owner"),
        (_without(SENT, "twin"), "twin"),
        (SENT | {"twin": "3"}, "twin"),
    ],
)
def test_each_wrong_value_is_named(line: dict[str, Any], word: str) -> None:
    """The difference names the value that is wrong beside the line that was told."""
    assert word in "\n".join(differences([EXPECTED], {"a": [RECEIVED], "b": [line]})[2:])


def test_silence_is_broken_by_any_reset() -> None:
    """A reset that nobody expected is a difference, and so is an owner where there must be none."""
    assert differences([], {"a": [], "b": [SENT]}) != []
    nobody = Expected("b", "sent", "closed-port", 8080, owner=None, trigger="S", twin=True)
    assert differences([nobody, TWIN], {"a": [RECEIVED], "b": [SENT]}) != []


def test_missing_reset_is_told() -> None:
    """A reset that was expected and not told is a difference."""
    assert "missing 1" in differences([EXPECTED], {"a": [], "b": []})[0]
