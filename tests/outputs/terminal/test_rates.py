"""Counts by second over the last minute."""

from hypothesis import given
from hypothesis import strategies as st

from whyreset.outputs.terminal.rates import WINDOW, Seconds


def test_seconds_that_are_over_are_told_oldest_first() -> None:
    """The one that runs is not among them."""
    seconds = Seconds(100)
    seconds.add(100, 1)
    seconds.add(102, 3)
    seconds.add(103, 9)
    assert seconds.complete(103, 4) == [0, 1, 0, 3]
    assert seconds.recent(103) == 13


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    """After a minute, and after a pause of any length."""
    seconds = Seconds(0)
    seconds.add(0, 5)
    assert seconds.recent(60) == 5
    assert seconds.recent(61) == 0
    seconds.add(62, 7)
    assert seconds.recent(10_000_000) == 0


def test_two_counts_are_joined_second_by_second() -> None:
    """As if one had counted all."""
    one, other = Seconds(0), Seconds(0)
    one.add(5, 1)
    other.add(3, 2)
    other.add(5, 4)
    one.join(other, 6)
    assert one.complete(6, 6) == [0, 0, 0, 2, 0, 5]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), max_size=50))
def test_any_sequence_is_counted_as_a_list_would(steps: list[tuple[int, int]]) -> None:
    """Of events at growing times those of the last minute are counted, each in its second."""
    seconds, now, kept = Seconds(0), 0, []
    for step, count in steps:
        now += step
        seconds.add(now, count)
        kept.append((now, count))
    assert seconds.recent(now) == sum(count for at, count in kept if now - at <= WINDOW)
    assert seconds.complete(now) == [
        sum(count for at, count in kept if at == each) for each in range(now - WINDOW, now)
    ]
