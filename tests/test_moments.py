"""Moments as people write them."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.moments import parse

NOW = datetime(2026, 11, 22, 12, 30, 15, tzinfo=UTC).timestamp()


@pytest.fixture
def in_utc() -> Iterator[None]:
    """This machine's zone is UTC for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("30min", 1800),
        ("2h", 7200),
        ("2 h ago", 7200),
        ("1d", 86_400),
        ("1w", 604_800),
        ("now", 0),
    ],
)
def test_a_span_is_before_now(words: str, seconds: int) -> None:
    """With the unit's letter, as in other tools."""
    assert parse(words, NOW) == NOW - seconds


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("12:30", "2026-11-22T12:30:00Z"),
        ("12:30:10", "2026-11-22T12:30:10Z"),
        ("12:31", "2026-11-21T12:31:00Z"),
        ("2026-11-20", "2026-11-20T00:00:00Z"),
        ("2026-11-20 08:15", "2026-11-20T08:15:00Z"),
        ("2026-11-20T08:15:00Z", "2026-11-20T08:15:00Z"),
        ("2026-11-20T08:15:00+02:00", "2026-11-20T06:15:00Z"),
        ("@1795348800", "2026-11-22T12:00:00Z"),
    ],
)
@pytest.mark.usefixtures("in_utc")
def test_a_moment_is_read(words: str, moment: str) -> None:
    """A time of day is the latest that has been; without a zone it is this machine's."""
    assert parse(words, NOW) == datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize("words", ["", "yesterday", "-1h", "2 fortnights", "25:00", "2026-13-01", "@x", "12", "9" * 50])
def test_what_is_no_moment_says_what_is_one(words: str) -> None:
    """With examples."""
    with pytest.raises(ValueError, match="takes a time such as 2h"):
        parse(words, NOW)


@given(st.text(max_size=40))
def test_any_words_give_a_moment_or_a_sentence(words: str) -> None:
    """And nothing else."""
    with suppress(ValueError):
        assert isinstance(parse(words, NOW), float)
