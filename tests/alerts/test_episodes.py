"""Surges in a series that is over: where they began and ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.alerts.episodes import episodes

QUIET = [0.0] * 60


def test_a_surge_is_told_from_its_first_to_its_last_second() -> None:
    """Though the detector is sure of it only later, and of its end half a minute later."""
    [episode] = episodes([*QUIET, *[80.0] * 10, *QUIET], 1)
    assert (episode.first, episode.last, episode.ongoing) == (60, 69, False)


def test_a_ramp_is_followed_back() -> None:
    """To where it rose above what is usual and two a second."""
    [episode] = episodes([*QUIET, *map(float, range(1, 60)), *QUIET], 1)
    assert episode.first == 62
    assert episode.last == 118


def test_two_surges_are_two_when_it_was_calm_between_them() -> None:
    """Half a minute is calm; a pause of some seconds is none."""
    surge, pause = [80.0] * 5, [0.0] * 10
    found = list(episodes([*QUIET, *surge, *QUIET, *surge, *pause, *surge, *QUIET], 1))
    assert [(each.first, each.last) for each in found] == [(60, 64), (125, 144)]


@pytest.mark.parametrize(("after", "ongoing"), [(0, True), (1, True), (5, False)])
def test_a_surge_at_the_end_may_go_on(after: int, ongoing: bool) -> None:
    """Unless some seconds of calm were seen."""
    [episode] = episodes([*QUIET, *[80.0] * 10, *[0.0] * after], 1)
    assert (episode.last, episode.ongoing) == (69, ongoing)


def test_fractions_are_carried_over() -> None:
    """A second that others have drawn between two readings is no whole number."""
    [episode] = episodes([*QUIET, *[80.4, 79.6] * 5, *QUIET], 1)
    assert (episode.first, episode.last) == (60, 69)
    assert not list(episodes([0.4] * 1000, 1))


def test_a_busy_host_has_what_is_usual_told() -> None:
    """The surge is what comes on top."""
    [episode] = episodes([*[100.0] * 600, *[900.0] * 20, *[100.0] * 60], 1)
    assert (episode.first, episode.last) == (600, 619)
    assert episode.usual == pytest.approx(100, rel=0.1)


@given(st.lists(st.floats(0, 1e15), max_size=300), st.sampled_from([1, 15, 600]))
def test_any_series_gives_episodes_in_order(counts: list[float], step: int) -> None:
    """Each within the series, none overlapping the next, none empty."""
    before = -1
    for episode in episodes(counts, step):
        assert 0 <= episode.first <= episode.last < len(counts)
        assert episode.last > before
        before = episode.last
