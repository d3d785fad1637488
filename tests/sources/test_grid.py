"""Values of any interval on steps of one length: nothing is lost, nothing made up, whatever comes."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.sources.base import SourceError
from whyreset.sources.grid import MOST_STEPS, Grid, usual_step

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 30), st.integers(0, 1000))), st.integers(1, 20))
def test_what_lies_within_keeps_its_sum(values: list[tuple[int, int, int]], step: int) -> None:
    """However steps and intervals cut each other."""
    grid = Grid(1000, 1200, step)
    for begin, seconds, count in values:
        grid.add("OutRsts", 1000 + begin, 1000 + begin + seconds, count)
    counts: Sequence[float] = grid.series().counts.get("OutRsts", [])
    assert sum(counts) == pytest.approx(sum(count for _, _, count in values))
    assert all(count >= 0 for count in counts)


def test_values_that_come_a_little_late_stay_in_their_step() -> None:
    """A scrape jitters by fractions of a second; what it brings is not torn apart."""
    grid = Grid(1000, 1050, 15, phase=7)
    for number, late in enumerate((0.2, 0.4, 0.1, 0.3)):
        grid.add("OutRsts", 987 + 15 * number + late, 1002 + 15 * number + late, number + 1)
    assert grid.series().start == 997
    assert list(grid.series().counts["OutRsts"]) == [2, 3, 4, 0]


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
def test_any_numbers_are_taken(values: list[tuple[float, float, float]]) -> None:
    """What cannot be is left out."""
    grid = Grid(0, 100, 10)
    for begin, end, count in values:
        grid.add("OutRsts", begin, end, count)
    grid.totals("OutRsts", sorted((at, total) for at, total, _ in values if not math.isnan(at)), leading=True)
    assert all(math.isfinite(count) for count in grid.series().counts.get("OutRsts", []))


def test_counters_that_begin_anew_are_told() -> None:
    """After a boot what they came to since counts, and when that was is known."""
    grid = Grid(0, 40, 10)
    grid.totals("OutRsts", [(0, 100), (10, 130), (20, 5), (30, 6)], leading=True)
    series = grid.series()
    assert list(series.counts["OutRsts"]) == pytest.approx([30, 5, 1, 0])
    assert series.restarts == (20,)


def test_a_pause_is_a_gap() -> None:
    """What came in it is known in sum only."""
    grid = Grid(0, 100, 10)
    grid.totals("OutRsts", [(0, 0), (10, 10), (60, 60), (70, 60)], leading=True)
    assert grid.series().gaps == ((10, 60),)


def test_gaps_side_by_side_are_one_and_their_number_is_bounded() -> None:
    """Whatever a store leaves out."""
    grid = Grid(0, 100_000, 1)
    for at in range(10, 20):
        grid.gap(at, at + 1)
    assert grid.series().gaps == ((10, 20),)
    for at in range(100, 90_000, 2):
        grid.gap(at, at + 1)
    assert len(grid.series().gaps) == 1000


def test_gaps_are_told_in_their_order() -> None:
    """Whichever was found first; those that touch are one."""
    grid = Grid(0, 100, 1)
    for begin, end in ((90, 200), (50, 60), (0, 10), (10, 12), (55, 70)):
        grid.gap(begin, end)
    assert grid.series().gaps == ((0, 12), (50, 70), (90, 100))


def test_a_time_without_end_is_refused() -> None:
    """Memory is bounded."""
    with pytest.raises(SourceError, match="ask for a shorter one"):
        Grid(0, MOST_STEPS + 1, 1)


def test_the_usual_step_is_the_median() -> None:
    """A scrape that failed does not change it."""
    assert usual_step([0, 15, 30.2, 45, 90, 105.1]) == 15
    assert usual_step([5]) == 0
