"""Filters in the words of the JSON keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.filter import DEPTH_MAX, ExpressionError, parse

LINE = {
    "type": "reset",
    "time": "2026-11-22T05:43:15.123456789Z",
    "cause": "closed-port",
    "certainty": "likely",
    "count": 12,
    "src": "192.0.2.2",
    "sport": 8080,
    "dst": "2001:db8::1",
    "dport": 51234,
    "candidates": ["closed-port", "firewall-reject"],
    "evidence": ["its window was 0"],
    "trigger": {"flags": "S", "length": 0},
}
KEYS = {*LINE, "trigger.flags", "trigger.length", "says"}


@pytest.mark.parametrize(
    "text",
    [
        "cause=closed-port",
        "cause=forged,closed-port",
        "count>10",
        "count>=12 count<=12",
        "count<13",
        "src=192.0.2.0/24",
        "dst=2001:db8::/32",
        "address=192.0.2.2",
        "port=8080",
        "port=51234",
        "candidates=firewall-reject",
        "trigger.flags=S",
        "trigger and not says",
        'evidence~"WINDOW was"',
        "cause!=forged",
        "says!=x",
        "time>=2026-11-22T05:43",
        "cause=forged or (certainty=likely and count=12)",
        "not (cause=forged or cause=unknown)",
    ],
)
def test_filter_lets_through(text: str) -> None:
    """Keys compare as text, numbers, networks; lists by any of their values; a missing key is unequal to all."""
    assert parse(text, KEYS)(LINE)


@pytest.mark.parametrize(
    "text",
    [
        "cause=forged",
        "cause!=closed-port",
        "port!=8080",
        "count>12",
        "src=198.51.100.0/24",
        "says",
        "says=x",
        "says>0",
        "count>many",
        "trigger.length",
        "cause=closed-port count=1",
        "not cause=closed-port",
        "cause=forged and cause=closed-port or count=1",
    ],
)
def test_filter_holds_back(text: str) -> None:
    """What does not hold, and what compares with a key that is not there."""
    assert not parse(text, KEYS)(LINE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("colour=red", "there is no key 'colour'"),
        ("cause=", "lacks a value"),
        ("(cause=x", "closing parenthesis"),
        ("cause=x)", "where nothing fits"),
        ("=x", "where a key is expected"),
        ("cause=x and", "ends where a key is expected"),
        ('cause="x', "where nothing fits"),
        ("(" * (DEPTH_MAX + 1) + "cause", "too deep"),
    ],
)
def test_mistake_gets_a_sentence(text: str, said: str) -> None:
    """What is wrong is said in one sentence."""
    with pytest.raises(ExpressionError, match=said):
        parse(text, KEYS)


@given(st.text(alphabet='causeport=!<>~,() "0123and.', max_size=200))
def test_any_text_is_a_filter_or_a_mistake(text: str) -> None:
    """No other error, whatever the text; and what parses answers."""
    try:
        test = parse(text, KEYS)
    except ExpressionError:
        return
    assert test(LINE) in (True, False)
