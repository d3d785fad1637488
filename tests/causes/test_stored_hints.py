"""What stored counters say beside their fingerprint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.causes.stored_hints import hints
from whyreset.stored import COUNTERS

ALL = frozenset(COUNTERS)
NO_ABORTS = frozenset({"OutRsts", "EstabResets", "AttemptFails", "PassiveOpens"})


def said(
    moved: dict[str, int],
    usual: dict[str, float] | None = None,
    stored: frozenset[str] = ALL,
    setting: bool | None = None,
) -> str:
    """All hints of a surge of ten seconds."""
    return "; ".join(hints(moved, usual or {}, 10, abort_on_overflow=setting, stored=stored))


def test_nothing_is_said_where_nothing_is_told() -> None:
    """Counters of their own are the fingerprint's."""
    assert not said({"OutRsts": 100, "TCPAbortOnClose": 100, "EstabResets": 100})
    assert not said({"OutRsts": 100})
    assert not said({"ListenOverflows": 5})


def test_clients_of_this_host_that_were_refused_here() -> None:
    """As many attempts failed as resets were sent; fewer or more say nothing."""
    assert "it refused its own clients" in said({"OutRsts": 100, "AttemptFails": 98})
    assert not said({"OutRsts": 100, "AttemptFails": 80})
    assert not said({"OutRsts": 100, "AttemptFails": 300})


def test_connections_that_were_reset_bound_the_aborts() -> None:
    """Where no abort counter is stored; where they are, what goes beyond them is told."""
    assert "hardly touched" in said({"OutRsts": 100, "EstabResets": 1}, stored=NO_ABORTS)
    assert "at most so many are aborts" in said({"OutRsts": 100, "EstabResets": 60}, stored=NO_ABORTS)
    assert "40 established connections more" in said({"OutRsts": 100, "EstabResets": 50, "TCPAbortOnData": 10})
    assert "the other ends of these" in said({"OutRsts": 100, "EstabResets": 200, "TCPAbortOnData": 100})


def test_a_service_that_stops_accepting_shows() -> None:
    """By connections that come no more; a host that had few tells nothing."""
    moved = {"OutRsts": 100, "PassiveOpens": -480}
    assert "connections accepted fell from 50/s to 2.0/s" in said(moved, {"PassiveOpens": 50.0})
    assert not said({"OutRsts": 100, "PassiveOpens": -4}, {"PassiveOpens": 0.5})


@pytest.mark.parametrize(
    ("setting", "words"), [(None, "only where"), (True, "is 1 here now"), (False, "is 0 here now")]
)
def test_a_full_accept_queue_is_told_with_what_it_does_here(setting: bool | None, words: str) -> None:
    """Whether it resets is a setting, of which only the present is known."""
    told = said({"OutRsts": 100, "ListenOverflows": 50}, setting=setting)
    assert "an accept queue was full 50 times" in told
    assert words in told


@given(
    st.dictionaries(st.sampled_from(COUNTERS), st.integers(-(1 << 50), 1 << 50)),
    st.dictionaries(st.sampled_from(COUNTERS), st.floats(0, 1e9)),
    st.frozensets(st.sampled_from(COUNTERS)),
)
def test_any_counters_give_sentences(moved: dict[str, int], usual: dict[str, float], stored: frozenset[str]) -> None:
    """A few, each once."""
    told = list(hints(moved, usual, 10, abort_on_overflow=None, stored=stored))
    assert len(told) == len(set(told)) <= 7
