"""Packets of long ago with what was said of them then, whatever the pieces they were kept in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.packets import NOW, SECOND
from tests.evidence.test_join import NETNS, reset, rst, syn
from whyreset.evidence.frames import Frame
from whyreset.evidence.replay import replay
from whyreset.model import Reset

PLACES = {0: NETNS}


def test_a_reset_has_its_explanation_of_then() -> None:
    """Though that was kept a piece or two later; and so has what provoked it."""
    pieces: list[tuple[list[Frame], list[Reset]]] = [
        ([syn(time_ns=NOW), rst(time_ns=NOW + 1)], []),
        ([], []),
        ([], [reset(time_ns=NOW + 1)]),
    ]
    before, found = replay(PLACES, pieces)
    assert (before.provoked, found.reset) == (reset(time_ns=NOW + 1), reset(time_ns=NOW + 1))


@given(st.lists(st.integers(1, 20 * SECOND), min_size=1, max_size=40), st.integers(1, 40))
def test_ports_come_again(gaps: list[int], size: int) -> None:
    """Each reset by what was said in its own time, in the order of time, in pieces of any size."""
    times = [NOW + sum(gaps[: number + 1]) + number * 2 * SECOND for number in range(len(gaps))]
    whole = [(rst(time_ns=at), reset(number, time_ns=at, last_ns=at)) for number, at in enumerate(times)]
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    found = list(replay(PLACES, [([frame for frame, _ in piece], [said for _, said in piece]) for piece in pieces]))
    assert [each.reset.number if each.reset else None for each in found] == list(range(len(whole)))


def test_nothing_is_made_of_nothing() -> None:
    """Without packets there is nothing to explain; without explanations packets stay as they are."""
    assert list(replay(PLACES, [])) == []
    assert list(replay(PLACES, [([], [reset()])])) == []
    (found,) = replay(PLACES, [([rst()], [])])
    assert found.reset is None
