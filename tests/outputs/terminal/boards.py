"""A board and what it is asked in tests."""

from typing import Any

from whyreset.model import Cause, Reset, Tick
from whyreset.outputs.terminal.board import Board
from whyreset.outputs.terminal.view import RowView, SideView, View

SECOND = 1_000_000_000
START = 1_000 * SECOND
HOME = 4026531840
UNREAD = Cause(name="unread-data", family="abort", certainty="certain")
IN_FLIGHT = Cause(name="in-flight", family="abort", certainty="certain")


def at(seconds: float) -> int:
    """The board's clock so many seconds after its beginning."""
    return START + round(seconds * SECOND)


def board(**options: Any) -> Board:
    """A board that begins now."""
    return Board(START, home=HOME, **options)


def take(one: Board, seconds: float, *resets: Reset) -> bool:
    """Resets of one tick."""
    return one.take(Tick(resets=tuple(resets)), at(seconds))


def sent(view: View) -> SideView:
    """What was sent."""
    assert view.sent is not None
    return view.sent


def received(view: View) -> SideView:
    """What was received."""
    assert view.received is not None
    return view.received


def only(side: SideView) -> RowView:
    """Its one row."""
    [row] = side.rows
    return row


def ports(view: View) -> list[str]:
    """The ports of the rows, as they stand."""
    return [row.port for row in sent(view).rows]
