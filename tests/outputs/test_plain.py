"""Lines for people: what they say, and that nothing in them can steer a terminal."""

import os
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outputs.values import CAUSE, count, notice, owner, reset
from whyreset.model import Cause, Remotes
from whyreset.outputs import plain
from whyreset.words import escape

TWO = Remotes(distinct=2, exact=True, top=())
MANY = Remotes(distinct=40, exact=True, top=())
ABOUT = Remotes(distinct=40, exact=False, top=())
V6 = Remotes(distinct=1, exact=True, top=(("2001:db8::1", 5),))


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    """Clock times are local: let that be UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_one_reset_is_one_line() -> None:
    """When, which way, why, where, and the evidence."""
    expected = "05:43:15  sent      closed-port  :8080 <- 192.0.2.1: nobody listens on port 8080"
    assert plain.reset_text(reset()) == expected


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "one": ({}, "closed-port  :8080 <- 192.0.2.1:"),
    "two": ({"count": 2}, "2 x closed-port  :8080 <- 192.0.2.1:"),
    "two of two remotes": ({"count": 2, "remotes": TWO}, "2 x closed-port  :8080 <- 2 remotes:"),
    "a group of one remote": ({"count": 5}, "5 x closed-port  :8080 <- 192.0.2.1:"),
    "a group of many remotes": ({"count": 50, "remotes": MANY}, "50 x closed-port  :8080 <- 40 remotes:"),
    "an estimate": ({"count": 50, "remotes": ABOUT}, "50 x closed-port  :8080 <- about 40 remotes:"),
    "opened here": ({"facts": {"active_open": True}, "port": 443}, "closed-port  192.0.2.1:443:"),
    "opened here over IPv6": (
        {"facts": {"active_open": True}, "port": 443, "sample": {"remote": "2001:db8::1"}},
        "closed-port  [2001:db8::1]:443:",
    ),
    "crowded": ({"count": 50, "remotes": ABOUT, "port": None}, "50 x closed-port  many ports, about 40 remotes:"),
    "a namespace": ({"netns_name": "blue"}, "closed-port  :8080 <- 192.0.2.1 in blue:"),
    "not certain": (
        {"cause": Cause(name="half-open", family="half-open", certainty="likely")},
        "half-open?  :8080 <- 192.0.2.1:",
    ),
    "an owner": ({"owner": owner()}, "<- 192.0.2.1  nginx[911]:"),
    "an owner in a unit": ({"owner": owner(unit="nginx.service")}, "  nginx[911] (nginx.service):"),
    "an owner in a container": ({"owner": owner(container="0123456789abcdef")}, "  nginx[911] (0123456789ab):"),
    "an owner that is gone": ({"owner": owner(alive=False)}, "  nginx[911] (gone):"),
    "one of several": ({"owner": owner("one of the listeners")}, "<- 192.0.2.1, perhaps: nginx[911]:"),
    "who listened before": ({"owner": owner("former listener", alive=False)}, ", before: nginx[911]:"),
}


@pytest.mark.parametrize(("fields", "part"), PLACES.values(), ids=list(PLACES))
def test_where_and_who(fields: dict[str, Any], part: str) -> None:
    """Ports, remotes and processes as an operator would write them."""
    assert part in plain.reset_text(reset(**fields))


HOSTILE = [
    "\n",
    "\r",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x08",
    "\u202e",
    "\u2028",
    "\u200b",
    "\ud800",
    "\x00",
    "\x7f",
    "\ue000",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_could_steer_a_terminal_is_made_visible(text: str) -> None:
    """Line ends, escapes, direction marks and invisible characters show their codes."""
    shown = escape(f"a{text}b")
    assert shown.isprintable()
    assert shown.startswith("a")
    assert shown.endswith("b")
    assert len(shown) > 3


def test_what_people_write_is_left_as_it_is() -> None:
    """Letters of any language are no danger."""
    text = "naïve Grüße 日本語 [ok] 'x' \\n"
    assert escape(text) == text


@settings(deadline=None)
@given(st.text())
def test_any_text_is_one_safe_line(text: str) -> None:
    """No control, format, private or unassigned character is ever printed, and the line can be encoded."""
    shown = escape(text)
    assert not {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} & {unicodedata.category(each) for each in shown}
    shown.encode()


@settings(deadline=None)
@given(name=st.text(max_size=20))
def test_names_of_others_cannot_break_a_line(name: str) -> None:
    """Processes, units, containers, namespaces, interfaces and evidence are all other people's text."""
    line = plain.reset_text(
        reset(
            owner=owner(comm=name, unit=name, container_name=name),
            netns_name=name,
            evidence=(name,),
            sample={"interface": name},
        )
    )
    assert line.isprintable()
    assert plain.count_text(count(netns_name=name)).isprintable()
    assert plain.notice_text(notice(text=name)).isprintable()


# ---- the account ----


def test_an_account_tells_figures_that_are_not_zero() -> None:
    """In the order in which they explain each other."""
    line = plain.count_text(count(counted=5, seen=3, explained=3, lost=2, received_lost=1, netns_name="blue"))
    assert line == "account of blue: counted 5, seen 3, explained 3, lost 2, received lost 1"


def test_a_namespace_without_a_name_has_its_number() -> None:
    """And one that is gone says so; one where nothing happened too."""
    assert plain.count_text(count(gone=True)) == "account of namespace 4026531840 (gone): nothing counted"


def test_totals_tell_every_figure_that_is_not_zero() -> None:
    """The last line of a watch."""
    figures = dict.fromkeys(
        ("counted", "uncounted", "seen", "explained", "unknown", "lost", "unseen", "received", "received_lost"), 0
    )
    assert plain.totals_text(figures) == "account: nothing counted"
    told = plain.totals_text({name: number for number, name in enumerate(figures, 1)})
    assert sorted(told.removeprefix("account: ").split(", ")) == sorted(
        f"{name.replace('_', ' ')} {number}" for number, name in enumerate(figures, 1)
    )


def test_a_notice_tells_how_much_where_that_is_known() -> None:
    """A count only where there is something to count."""
    assert plain.notice_text(notice(count=7)) == "note: 7 resets not told apart"
    assert plain.notice_text(notice()) == "note: resets not told apart"


def test_a_certain_cause_has_no_question_mark() -> None:
    """Doubt is shown, certainty is not."""
    assert "?" not in plain.reset_text(reset(cause=CAUSE))
