"""What is told of a surge that is over, for people."""

import time

import pytest
from msgspec.structs import replace

from whyreset.model import FamilyShare, Missing
from whyreset.outputs.past import text
from whyreset.stored import Incident, IncidentKind, Past, StoredSurge, Suspect

BEGIN = time.mktime((2026, 11, 22, 12, 0, 4, 0, 0, -1))
REST = ("closed-port", "half-open", "abort")
SURGE = StoredSurge(
    begin=BEGIN,
    end=BEGIN + 88,
    ongoing=False,
    count=4210,
    rate=47.8,
    peak=92.2,
    peak_at=BEGIN + 26,
    usual=0.02,
    moved={"OutRsts": 4210},
    beyond={"OutRsts": 4210},
    families=(
        FamilyShare(
            family="abort", count=170, certainty="likely", counters=("TCPAbortOnClose",), causes=("unread-data",)
        ),
        FamilyShare(family="unknown", count=4040, certainty="unknown", candidates=REST),
    ),
    hints=("connections accepted fell",),
)
PAST = Past(
    tool="netdata",
    where="http://localhost:19999",
    host="web1",
    since=BEGIN - 3600,
    until=BEGIN + 3600,
    step=1,
    count=4300,
    surges=(SURGE,),
    lacking=("EmbryonicRsts",),
    notes=("something to know",),
    unknown=(Missing(source="packets", why="counters hold none", lost="which ports"),),
)


def suspect(
    kind: IncidentKind, near: str, offset: float, unit: str = "api.service", said: str = "It ended."
) -> Suspect:
    """One, so many seconds after what it is near to."""
    at = (SURGE.end if near == "end" else BEGIN) + offset
    incident = Incident(time_ns=round(at * 1e9), log="journal", kind=kind, unit=unit, text=said)
    return Suspect(incident=incident, near=near, offset=offset)  # type: ignore[arg-type]


def told(past: Past = PAST, width: int = 200) -> list[str]:
    """The lines, without what leads them."""
    return [line.strip() for line in text(past, width).splitlines()]


def test_the_first_line_answers() -> None:
    """How many surges, when, and how many resets; then by whom."""
    first, second, *_ = told()
    assert first == "1 surge of resets sent from 2026-11-22 11:00:04 to 13:00:04; 4,300 resets in all"
    assert second == "by netdata, http://localhost:19999 of host web1: a value every second"


def test_a_surge_is_told_with_its_families_the_largest_first() -> None:
    """With what speaks for each, and what the rest may be."""
    lines = told()
    at = lines.index("12:00:04 to 12:01:32: 4,210 resets in 88 s, at most 92/s; usual is 0.02/s")
    assert lines[at + 1].startswith("96 %  4,040 cannot be told apart any more")
    assert lines[at + 1].endswith("closed-port, half-open or abort")
    assert "4 %  170 abort, likely: unread-data (closed with data unread); by TCPAbortOnClose" in lines


def test_suspects_stand_with_their_distance() -> None:
    """In words of time, and said to be no proof."""
    near = (
        suspect("crash", "begin", -1.6),
        suspect("restart", "middle", 40),
        suspect("started", "end", -1, said="Started api.service."),
    )
    lines = told(replace(PAST, surges=(replace(SURGE, suspects=near),)))
    at = lines.index("near in time, which is no proof:")
    assert lines[at + 1] == "12:00:02  2 s before it began: api.service: It ended. (journal)"
    assert lines[at + 2] == "12:00:44  40 s into it: api.service: It ended. (journal)"
    assert lines[at + 3] == "12:01:31  as it ended: Started api.service. (journal)"
    assert "- `journalctl -u api.service --since '2026-11-22 11:58:04'`" in lines


@pytest.mark.parametrize("unit", ["$(reboot).service", "-x.service", "a;b.service", "`id`.service", "\x1b[2J.service"])
def test_a_units_name_is_no_shell_command(unit: str) -> None:
    """Who writes to the journal puts no words into an operator's shell, and none on the terminal."""
    lines = told(replace(PAST, surges=(replace(SURGE, suspects=(suspect("crash", "begin", -1, unit),)),)))
    assert not any("journalctl" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_what_is_not_over_and_what_is_left_out_is_said() -> None:
    """A surge that was on when the store ends; smaller ones that have no room."""
    lines = told(replace(PAST, surges=(replace(SURGE, ongoing=True),), more=3, more_resets=99, step=15))
    assert any(line.startswith("12:00:04 it was not over: 4,210 resets in about 88 s") for line in lines)
    assert "3 smaller surges with 99 resets are not shown: ask for a shorter time" in lines


def test_what_cannot_be_known_ends_it() -> None:
    """Also where nothing was found."""
    for past in (PAST, replace(PAST, surges=())):
        lines = told(past)
        at = lines.index("what can no longer be known")
        assert lines[at + 1] == "- which ports (counters hold none)"
        assert lines[at + 2] == "- what EmbryonicRsts would tell (netdata does not store them)"
        assert lines[-1] == "note: something to know"


@pytest.mark.parametrize("width", [0, 50, 80, 1000])
def test_any_width_will_do(width: int) -> None:
    """Lines are wrapped between words."""
    assert all(len(line) <= max(width, 50) for line in text(PAST, width).splitlines())
