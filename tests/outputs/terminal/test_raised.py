"""Alerts on the screen: seen while they are raised, at any width, and not a moment longer."""

from typing import Any

import pytest
from rich.cells import cell_len

from tests.outputs.terminal.boards import HOME, at, board
from tests.outputs.values import alert, reset
from whyreset.model import Alert, Tick
from whyreset.outputs.terminal.render import Size, render
from whyreset.words import clock

SINCE = clock(alert().since_ns)


def lines(*raised: Alert, width: int = 80, height: int = 24) -> list[str]:
    """The screen's lines while these are raised and resets come."""
    one = board()
    one.take(Tick(resets=(reset(),)), at(0))
    view = one.view(at(1), alerts=raised)
    return [line.plain.rstrip() for line in render(view, Size(width, height), "12:00:14")]


def shown(*raised: Alert, **size: int) -> list[str]:
    """Those that tell of alerts."""
    return [line for line in lines(*raised, **size) if "WARNING" in line or "CRITICAL" in line or "more alert" in line]


def elsewhere(**fields: Any) -> Alert:
    """A surge in a namespace that has a name."""
    return alert(**{"netns": 4026532001, "netns_cookie": 7, "netns_name": "shop", **fields})


def test_an_alert_stands_above_all_rows() -> None:
    """With since when, what, how much, how much is usual."""
    assert lines(alert())[1] == (f"WARNING since {SINCE} (212/s over 2 s, usually 0.123): surge of TCP resets sent")
    assert "closed port" in "".join(lines(alert()))


def test_nothing_is_said_where_nothing_is_raised() -> None:
    """As after an alert is over."""
    assert shown() == []


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (120, f"WARNING since {SINCE} (212/s over 2 s, usually 0.123): surge of TCP resets sent, in netns shop"),
        (80, f"WARNING since {SINCE} (212/s): surge of TCP resets sent, in netns shop"),
        (60, f"WARNING since {SINCE} (212/s): surge of TCP resets sent"),
        (40, "WARNING: surge of TCP resets sent"),
    ],
)
def test_an_alert_fits_its_line(width: int, told: str) -> None:
    """What matters most is left: that something is raised, and what."""
    assert shown(elsewhere(), width=width) == [told]
    assert all(cell_len(line) <= width for line in lines(elsewhere(), width=width))


def test_who_is_not_told_is_said() -> None:
    """A silence hides nothing."""
    [told] = shown(alert(muted_by="silence: backup"), width=150)
    assert told.endswith("nobody is told (silence: backup)")


def test_the_worst_comes_first_and_what_is_muted_last() -> None:
    """Then the eldest, so that none changes its place by itself."""
    raised = (
        alert(rule="muted", summary="muted", muted_by="expected"),
        alert(rule="young", summary="young", since_ns=alert().since_ns + 1),
        alert(rule="old", summary="old"),
        alert(rule="bad", summary="bad", new_status="critical"),
    )
    told = shown(*raised, height=40)
    assert [line.split(": ")[1] for line in told] == ["bad", "old", "young", "muted"]


@pytest.mark.parametrize(
    ("height", "many", "last"), [(12, 1, "WARNING"), (24, 2, "and 8 more alerts"), (40, 4, "and 6")]
)
def test_many_alerts_leave_room_for_the_rows(height: int, many: int, last: str) -> None:
    """How many there are more is said."""
    raised = [alert(rule=f"rule{number}") for number in range(9)]
    told = shown(*raised, height=height)
    assert len(told) == many
    assert told[-1].startswith(last)
    assert any("closed port" in line for line in lines(*raised, height=height))
    assert len(lines(*raised, height=height)) <= height


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"value": None}, f"WARNING since {SINCE}: surge of TCP resets sent"),
        (
            {"value": 31.0, "units": "%", "usual": None, "window": 0},
            f"WARNING since {SINCE} (31%): surge of TCP resets sent",
        ),
        (
            {"value": 7.0, "units": "overflows", "usual": None, "window": 60},
            f"WARNING since {SINCE} (7 overflows over 60 s): surge of TCP resets sent",
        ),
        ({"summary": "", "value": None}, f"WARNING since {SINCE}: resets_sent_surge"),
    ],
)
def test_what_is_not_known_is_not_said(fields: dict[str, Any], told: str) -> None:
    """Rules have other units than ours, or no figure at all."""
    assert shown(alert(**fields)) == [told]


def test_names_of_others_cannot_steer_the_terminal() -> None:
    """Namespaces and rules are named by anybody."""
    hostile = elsewhere(netns_name="a\x1b[2J\nb", summary="x\x1b]0;y", muted_by="silence: \x07")
    assert all(line.isprintable() for line in lines(hostile, width=200))


def test_the_users_own_namespace_needs_no_name() -> None:
    """It is «this host»."""
    assert "netns" not in shown(alert(netns=HOME), width=200)[0]
