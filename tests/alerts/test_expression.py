import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.alerts.expression import MOST_OPERATORS, ExpressionError, describe, evaluate, limit, parse, variables

ANSWERS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("recorded").joinpath("expressions.json").read_text()
)
#: What Netdata knew when it was asked.
KNOWN = {
    "CLEAR": 1,
    "WARNING": 3,
    "CRITICAL": 4,
    "UNDEFINED": -1,
    "UNINITIALIZED": 0,
    "REMOVED": -2,
    "this": math.nan,
    "now": 2e9,
    "green": 7,
    "red": 9,
    "x_value": 42,
    "update_every": 1,
    "uptime": 1000,
    "system.uptime.uptime": 1000,
}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["expression"])
def test_an_expression_means_what_it_means_to_netdata(answer: dict[str, Any]) -> None:
    """Tree, value and status are those that a real Netdata gave; what it refuses is refused."""
    try:
        node = parse(answer["expression"])
    except ExpressionError:
        assert answer["tree"] is None
        return
    assert describe(node) == answer["tree"]
    value = evaluate(node, KNOWN.get)
    if answer["value"] is None:
        assert math.isnan(value)
        assert answer["warn"] in ("UNDEFINED", None)
    else:
        assert value == pytest.approx(answer["value"], abs=1e-6)
        assert answer["warn"] == ("WARNING" if value else "CLEAR")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("$this > ", 8, "expected a number, a $variable or «(», not the end"),
        ("$this > (1", 10, "expected «)», not the end"),
        ("1 2", 2, "expected an operator or the end, not '2'"),
        ("(1) ? 2", 7, "expected «:» after one operand (put more than one into parentheses), not the end"),
        ("(1) ? 2 + 3 : 4", 8, "expected «:» after one operand (put more than one into parentheses), not '+'"),
        ("1 AND(2)", 5, "expected a space after AND or OR"),
        ("#", 0, "expected a number, a $variable or «(», not '#'"),
        ("1 >.5", 2, "expected an operator or the end, not '>'"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, position: int, message: str) -> None:
    """The character where something else was expected, and what."""
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert (error.value.position, str(error.value)) == (position, message)


def test_a_long_expression_is_refused() -> None:
    """What could use up the stack is no rule of a person's."""
    assert evaluate(parse("1" + "+1" * MOST_OPERATORS), KNOWN.get) == MOST_OPERATORS + 1
    for text in ("1" + "+1" * (MOST_OPERATORS + 1), "(" * 5000, "-" * 5000 + "1"):
        with pytest.raises(ExpressionError, match="at most 200 operators"):
            parse(text)


def test_names_are_known_before_evaluation() -> None:
    """What an expression asks for can be told from its tree."""
    assert variables(parse("($a > 1) ? abs($b) : (!${c d} + 2)")) == {"a", "b", "c d"}


@given(st.text(st.sampled_from("$ab1.5() +-*/<>=!&|?:{}ANDORnotif "), max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    """Any text is an expression with a value, or is refused with a place inside of it."""
    place = 0
    try:
        node = parse(text)
    except ExpressionError as error:
        place = error.position
    else:
        assert not math.isinf(evaluate(node, {"a": 1.0, "b": math.nan}.get))
        assert parse(describe(node)) is not None
    assert 0 <= place <= len(text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("1 AND 2 > 3 * 4 + 5", "(1 && (2 > ((3 * 4) + 5)))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("1 > 0 ? 2 : 3 + 4", "((1 > 0) ? 2 : (3 + 4))"),
        ("(0) ? 2 : (1) ? 5 : 6", "(0 ? 2 : (1 ? 5 : 6))"),
        ("!1 + 5", "(!1 + 5)"),
        ("(1 > 0 AND 2) * 3", "(((1 > 0) && 2) * 3)"),
    ],
)
def test_the_usual_precedence(text: str, tree: str) -> None:
    """As newer versions of Netdata read it."""
    assert describe(parse(text, usual=True)) == tree


@pytest.mark.timeout(20)
@pytest.mark.parametrize("step", ["$this > 1 AND ({})", "({}) OR $this > 1", "(1 > {})", "!({})", "($x) ? ({}) : (1)"])
def test_no_depth_takes_long(step: str) -> None:
    """Whatever is asked of an expression, each part of it is looked at a few times, not twice for each level."""
    text = "$this > 1"
    for _ in range(45):
        text = step.format(text)
    node = parse(text)
    assert "this" in variables(node)
    assert describe(node) != ""
    limit(node)
    assert evaluate(node, lambda _name: 2.0) in (0.0, 1.0)
