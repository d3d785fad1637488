"""Lines for people: what they say, and that nothing in them can steer a terminal."""

import os
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outputs.values import EPOCH, count, notice, owner, process, reset
from whyreset.model import Cause, FamilyShare, Remotes, Stop
from whyreset.outputs import plain
from whyreset.words import escape

UNREAD = Cause(name="unread-data", family="abort", certainty="certain")
STOP = Stop(time_ns=EPOCH - 3_000_000_000, exit_code=11)
TWO = Remotes(distinct=2, exact=True, top=(("192.0.2.1", 1), ("192.0.2.3", 1)))
MANY = Remotes(distinct=40, exact=True, top=())
ABOUT = Remotes(distinct=40, exact=False, top=())


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
    """When, which way, what happened in words, where, from whom, the slug, and the evidence."""
    expected = "05:43:15  sent      closed port 8080, from 192.0.2.1 [closed-port]: nobody listens on port 8080"
    assert plain.reset_text(reset()) == expected


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "one": ({}, "  closed port 8080, from 192.0.2.1 ["),
    "two": ({"count": 2}, "2 x closed port 8080, from 192.0.2.1 ["),
    "two of two remotes": (
        {"count": 2, "remotes": TWO},
        "2 x closed port 8080, from 192.0.2.1 and 1 more [",
    ),
    "a group of one remote": ({"count": 5}, "5 x closed port 8080, from 192.0.2.1 ["),
    "a group of many remotes": ({"count": 50, "remotes": MANY}, "50 x closed port 8080, from 40 addresses ["),
    "an estimate": ({"count": 50, "remotes": ABOUT}, "50 x closed port 8080, from about 40 addresses ["),
    "opened here": (
        {"cause": UNREAD, "facts": {"active_open": True}, "port": 443},
        "closed with data unread to port 443, to 192.0.2.1 [",
    ),
    "opened there": ({"cause": UNREAD, "port": 443}, "closed with data unread on port 443, from 192.0.2.1 ["),
    "crowded": ({"count": 50, "remotes": ABOUT, "port": None}, "50 x closed ports, many, from about 40 addresses ["),
    "crowded otherwise": ({"cause": UNREAD, "port": None}, "closed with data unread on many ports, from"),
    "a namespace": ({"netns_name": "blue"}, "closed port 8080, from 192.0.2.1, in blue ["),
    "not certain": (
        {"cause": Cause(name="half-open", family="half-open", certainty="likely")},
        "dead connection on port 8080 (likely), from",
    ),
    "an owner": ({"owner": owner()}, "closed port 8080, nginx[911], from 192.0.2.1 ["),
    "an owner in a unit": ({"owner": owner(unit="nginx.service")}, ", nginx[911] (nginx.service), from"),
    "an owner in a container": ({"owner": owner(container="0123456789abcdef")}, ", nginx[911] (0123456789ab), from"),
    "an owner that is gone": ({"owner": owner(alive=False)}, ", nginx[911], gone, from"),
    "an owner that was killed": (
        {"owner": owner(alive=False, exit_code=9)},
        ", nginx[911], killed by SIGKILL, from",
    ),
    "one of several": ({"owner": owner("one of the listeners")}, ", perhaps nginx[911], from"),
    "who listened before": ({"owner": owner("former listener", alive=False)}, ", before: nginx[911], gone, from"),
    "until when, and how it ended": (
        {"owner": owner("former listener", alive=False, unit="api.service"), "stop": STOP},
        "closed port 8080, until 05:43:12 nginx[911] (api.service), killed by SIGSEGV, from",
    ),
    "who closed its socket and lives": (
        {"owner": owner("former listener"), "stop": Stop(time_ns=EPOCH)},
        ", until 05:43:15 nginx[911], then closed, from",
    ),
    "whose child held it longer": (
        {
            "owner": owner("former listener", exit_code=9),
            "stop": Stop(time_ns=EPOCH, exit_code=0, holder=process(pid=912, comm="worker")),
        },
        ", until 05:43:15 nginx[911], killed by SIGKILL; held last by worker[912], exited normally, from",
    ),
    "whose listener is gone too, but somebody else closed": (
        {"cause": UNREAD, "owner": owner(), "stop": STOP, "facts": {"in_closer": True}, "closer": process(comm="ss")},
        ", nginx[911], closed by ss[911], from",
    ),
    "closed by another": (
        {"cause": UNREAD, "owner": owner(), "closer": process(pid=5, comm="ss")},
        ", nginx[911], closed by ss[5], from",
    ),
    "closed by one of its own": ({"owner": owner(), "closer": process(pid=912)}, ", nginx[911], from"),
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


def test_families_are_told_as_what_counters_make_likely() -> None:
    """What a counter speaks for, and what the rest may be."""
    families = (
        FamilyShare(family="abort", count=30, certainty="likely", counters=("TCPAbortOnClose", "TCPAbortOnData")),
        FamilyShare(family="unknown", count=10, certainty="unknown", candidates=("closed-port", "half-open", "abort")),
    )
    told = plain.families_text(count(counted=40, delta={"counted": 1}, families=families))
    assert told.endswith(
        "sent      1 reset; 40 so far: about 30 abort (TCPAbortOnClose, TCPAbortOnData),"
        " 10 perhaps closed-port, half-open or abort"
    )


def test_a_namespace_without_a_name_has_its_number() -> None:
    """And one that is gone says so; one where nothing happened too."""
    assert plain.count_text(count(gone=True)) == "account of namespace 4026531840 (gone): nothing counted"


def test_totals_tell_every_figure_that_is_not_zero() -> None:
    """The last line of a watch."""
    figures = dict.fromkeys(
        (
            "counted",
            "uncounted",
            "seen",
            "explained",
            "unknown",
            "lost",
            "unseen",
            "received",
            "received_lost",
            "past_stack",
        ),
        0,
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


def test_a_certain_cause_is_told_without_doubt() -> None:
    """Doubt is shown, certainty is not."""
    assert "likely" not in plain.reset_text(reset())
