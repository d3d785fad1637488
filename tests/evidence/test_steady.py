"""The clock that never steps: what belongs together stays together when somebody sets the time of day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.packets import NOW, SECOND
from whyreset.evidence.steady import Steady


def test_without_a_clock_the_time_of_day_is_held_to_be_steady() -> None:
    """Nobody has told of another."""
    steady = Steady()
    assert (steady.now(NOW), steady.near(NOW, 5)) == (NOW, NOW)


def test_slewing_is_followed_and_is_no_step() -> None:
    """As NTP corrects a clock: by little at a time."""
    steady = Steady()
    for tick in range(100):
        steady.read(NOW + tick * SECOND + tick * SECOND // 2000, tick * SECOND)
    assert steady.steps == 0
    assert steady.now(NOW + 99 * SECOND + 99 * SECOND // 2000) == 99 * SECOND


def test_the_readings_own_jitter_changes_nothing() -> None:
    """Two clocks are read one after the other: followed, that would change the order of packets."""
    steady = Steady()
    steady.read(NOW, 0)
    steady.read(NOW + SECOND + 1_200, SECOND)
    assert steady.now(NOW + SECOND) == SECOND


@pytest.mark.parametrize("step", [-7200 * SECOND, -2 * SECOND, 2 * SECOND, 7200 * SECOND])
def test_what_was_told_before_a_step_is_read_by_the_clock_of_then(step: int) -> None:
    """A packet that was stamped just before, and taken just after."""
    steady = Steady()
    steady.read(NOW, 100 * SECOND)
    steady.read(NOW + step + SECOND // 10, 100 * SECOND + SECOND // 10)
    now = 100 * SECOND + SECOND // 10
    assert steady.near(NOW + SECOND // 20, now) == 100 * SECOND + SECOND // 20
    assert steady.near(NOW + step + SECOND // 10, now) == now
    assert steady.steps == 1


@given(st.lists(st.sampled_from([0, 0, 0, 3600, -3600, 86400, -86400, 2, -2]), min_size=1, max_size=40), st.data())
def test_each_time_is_read_through_every_step(steps: list[int], data: st.DataObject) -> None:
    """However often the clock is set, and whichever packet is asked for long after."""
    steady, told = Steady(), []
    offset = NOW
    steady.read(offset, 0)
    for tick, step in enumerate(steps):
        at = (tick + 1) * 10 * SECOND
        # one is stamped before the step, the others after it; all are taken when it is known
        told += [(at - SECOND // 20 + offset, at, at - SECOND // 20)]
        offset += step * SECOND
        steady.read(at + offset, at)
        told += [(at - SECOND // 50 + offset, at, at - SECOND // 50), (at + 9 * SECOND + offset, at + 9 * SECOND, 0)]
    time_ns, seen_ns, expected = data.draw(st.sampled_from(told))
    assert steady.near(time_ns, seen_ns) == (expected or seen_ns)


def test_steps_without_end_take_no_memory_without_end() -> None:
    """The latest are remembered."""
    steady = Steady()
    for tick in range(1000):
        steady.read(NOW + tick * tick * SECOND, tick * SECOND)
    assert steady.steps > 900
    assert len(steady._spans) <= 64
