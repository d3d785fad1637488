"""The sequence diagram of a connection, in a terminal and as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from tests.outputs.report.seen import EPOCH, HOSTILE, reset
from whyreset.observation import SeenSegment, Step
from whyreset.outputs.ladder import svg, text
from whyreset.outputs.ladder.rungs import RUNGS_MAX, ladder

CLIENT, SERVER = ("192.0.2.1", 51234), ("192.0.2.2", 8080)


def step(source: tuple[str, int], flags: str, frame: int, **fields: Any) -> Step:
    """One segment, a millisecond for each frame."""
    numbers = {"seq": 4_294_967_295, "ack": 0, "length": 0, **fields}
    segment = SeenSegment(file=0, frame=frame, time_ns=EPOCH + frame * 1_000_000, flags=flags, **numbers)
    return Step(segment=segment, src=source[0], sport=source[1], window=1, ttl=64)


REFUSED = [step(CLIENT, "S", 1), step(SERVER, "RA", 2, seq=0, ack=0)]


def test_ladder_has_the_opener_on_the_left_and_relative_numbers() -> None:
    """Numbers count from the first that each side sent, over the end of the 32 bits too."""
    steps = [
        step(CLIENT, "S", 1),
        step(SERVER, "SA", 2, seq=7, ack=0),
        step(CLIENT, "PA", 3, seq=0, ack=8, length=5),
        step(SERVER, "R", 4, seq=8),
    ]
    drawn = ladder(steps, [reset({"frame": 4})])
    assert (drawn.left, drawn.right) == ("192.0.2.1:51234", "192.0.2.2:8080")
    assert [rung.label for rung in drawn.rungs] == [
        "SYN seq 0",
        "SYN ACK seq 0 ack 1",
        "PSH ACK seq 1 ack 1, 5 bytes",
        "RST seq 1",
    ]
    assert [rung.rightward for rung in drawn.rungs] == [True, False, True, False]
    assert [rung.why for rung in drawn.rungs] == ["", "", "", "#1 closed-port?"]


def test_terminal_shows_each_segment_on_one_line() -> None:
    """Only ASCII, arrows of one width, resets drawn with another line."""
    lines = list(text.draw(ladder(REFUSED, [reset()])))
    assert lines[0] == "connection 1 of x.pcap"
    assert lines[2].startswith("0.000000  |---")
    assert lines[2].endswith("->|  frame 1")
    assert "<====" in lines[3]
    assert lines[3].endswith("frame 2  #1 closed-port?")
    assert all(line.isascii() for line in lines)


def test_long_connection_is_shortened() -> None:
    """The beginning and the end stay, and what is between is counted, also what the core had left out."""
    steps = [step(CLIENT, "A", frame) for frame in range(1, 500)]
    drawn = ladder(steps, [reset()], left_out=1000)
    assert len(drawn.rungs) == RUNGS_MAX + 1
    gap = next(rung for rung in drawn.rungs if rung.left_out)
    assert gap.left_out == 499 - RUNGS_MAX + 1000
    assert any(f"{gap.left_out:,} segments left out" in line for line in text.draw(drawn))
    assert f"{gap.left_out:,} segments left out" in svg.draw(drawn)


def test_picture_is_well_formed_and_escaped() -> None:
    """An XML parser reads it, and what others wrote is text in it."""
    drawn = ladder(REFUSED, [reset(file=HOSTILE)])
    picture = svg.draw(drawn)
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    assert "<script" not in picture
    assert "\x1b" not in picture
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        *("svg", "style", "title", "text", "line", "g", "polygon"),
    }
    assert all(line.isprintable() for line in text.draw(drawn))


def test_clock_that_runs_backwards_draws_too() -> None:
    """Times below the first are shown as its own."""
    drawn = ladder([step(CLIENT, "S", 5), step(SERVER, "RA", 2)], [reset()])
    assert [rung.seconds for rung in drawn.rungs] == [0, 0]


def test_missing_beginning_leaves_numbers_as_they_are() -> None:
    """Where the other side was never seen, its numbers have no beginning to count from."""
    drawn = ladder([step(CLIENT, "A", 1, seq=5, ack=77)], [reset()])
    assert drawn.rungs[0].label == "ACK seq 0 ack 77"
