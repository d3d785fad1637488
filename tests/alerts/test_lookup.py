import json
import math
from pathlib import Path
from typing import Any

import pytest

from whyreset.alerts.lookup import apply, window
from whyreset.alerts.rule import Lookup
from whyreset.alerts.rules import read_rules

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded").joinpath("lookups.json").read_text())
ROWS: dict[int, list[float]] = {int(row[0]): row[1:] for row in RECORDED["rows"]}
NAMES = [(identifier, name) for identifier, name in RECORDED["dimensions"]]


def look_up(text: str) -> Lookup:
    """A look-up from its words."""
    (rule,) = read_rules(f"alarm: a\non: c\nlookup: {text}", "x.conf").rules
    assert rule.lookup is not None
    return rule.lookup


@pytest.mark.parametrize("recorded", RECORDED["lookups"], ids=lambda recorded: recorded["lookup"])
def test_a_look_up_gives_what_it_gives_in_netdata(recorded: dict[str, Any]) -> None:
    """Window and value are those of a real Netdata, which has the same seconds."""
    lookup = look_up(recorded["lookup"])
    for now, first, last, expected in recorded["answers"]:
        seconds = window(lookup, now)
        value = apply(lookup, NAMES, [ROWS[second] for second in range(seconds[0], min(seconds[1] + 1, now))])
        if expected is None:
            assert math.isnan(value)
        else:
            assert seconds == (first, last)
            # Netdata stores some seven digits
            assert value == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("average -10s", [[math.nan], [4.0], [2.0]], 3),
        ("average -10s null2zero", [[math.nan], [4.0], [2.0]], 2),
        ("average -10s", [[math.nan]], None),
        ("average -10s", [], None),
        ("cv -10s", [[0.0], [0.0]], None),
        ("stddev -10s", [[5.0]], 0),
        ("percentile -10s", [[5.0], [5.0]], 5),
        ("des -10s", [[5.0]], 5),
    ],
)
def test_seconds_without_a_value(text: str, rows: list[list[float]], expected: float | None) -> None:
    """What was not collected is left out, or counts as zero where the rule says so."""
    value = apply(look_up(text), [("x", "x")], rows)
    assert math.isnan(value) if expected is None else value == expected
