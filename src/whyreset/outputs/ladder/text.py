"""A sequence diagram in a terminal: letters of ASCII alone, so that any terminal and any file can hold it."""

from __future__ import annotations

from collections.abc import Iterator

from whyreset.outputs.ladder.rungs import Ladder, Rung
from whyreset.words import escape

#: Between the two lines that stand for the ends.
_SHAFT = 50


def draw(ladder: Ladder) -> Iterator[str]:
    """Line by line, safe to print."""
    yield escape(ladder.title)
    width = max(len(f"{rung.seconds:.6f}") for rung in ladder.rungs)
    indent = " " * (width + 2)
    gap = max(2, _SHAFT + 2 - len(ladder.left))
    yield escape(f"{indent}{ladder.left}{' ' * gap}{ladder.right}")
    for rung in ladder.rungs:
        yield escape(_line(rung, width))


def _line(rung: Rung, width: int) -> str:
    if rung.left_out:
        return f"{'':>{width}}  |{f'{rung.left_out:,} segments left out':^{_SHAFT}}|"
    label = f" {rung.label} "
    mark = "=" if rung.reset else "-"
    room = max(4, _SHAFT - len(label) - 1)
    before, after = mark * (room // 2), mark * (room - room // 2)
    shaft = f"{before}{label}{after}>" if rung.rightward else f"<{before}{label}{after}"
    text = f"{rung.seconds:>{width}.6f}  |{shaft}|  frame {rung.frame}"
    return f"{text}  {rung.why}" if rung.why else text
