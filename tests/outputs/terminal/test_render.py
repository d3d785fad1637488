"""The screen as text: what fits, what comes first, and that nothing of others can steer a terminal."""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, Group

from tests.outputs.values import EPOCH, count, notice, owner, reset
from whyreset.filter import Filter
from whyreset.model import Cause, Missing, Notice, Reset, Stop, Tick
from whyreset.outputs.terminal.board import Board
from whyreset.outputs.terminal.render import Size, render, summary
from whyreset.outputs.terminal.view import View

SECOND = 1_000_000_000
HOME = 4026531840
CLOCK = "12:00:14"
UNREAD = Cause(name="unread-data", family="abort", certainty="certain")
IN_FLIGHT = Cause(name="in-flight", family="abort", certainty="certain")
HALF_OPEN = Cause(name="half-open", family="half-open", certainty="likely", missing="how it ended")
MISSING = (Missing(source="packets", why="not asked for: --packets", lost="resets that the TCP stack did not send"),)


def view(*resets: Reset, seconds: int = 12, **options: Any) -> View:
    """A board's view after so many seconds, with the same resets in each of them."""
    board = Board(0, home=HOME, **{key: options.pop(key) for key in ("chosen",) if key in options})
    total = sum(each.count for each in resets if each.facts.direction == "sent")
    figures = {"counted": total * seconds, "seen": total * seconds, "explained": total * seconds}
    for second in range(seconds):
        board.take(Tick(resets=tuple(resets)), second * SECOND)
    counts = (count(**figures),) if total else ()
    board.take(Tick(counts=counts, notices=tuple(options.pop("notices", ()))), seconds * SECOND)
    return board.view(seconds * SECOND, missing=MISSING, **options)


def lines(shown: View, width: int = 80, height: int = 24, **options: Any) -> list[str]:
    """The screen's lines."""
    return [line.plain.rstrip() for line in render(shown, Size(width, height, **options), CLOCK)]


def crashed(**fields: Any) -> Reset:
    """A service was killed, and clients still ask for it."""
    gunicorn = owner("former listener", alive=False, comm="gunicorn", pid=2214, unit="api.service")
    stop = Stop(time_ns=EPOCH, exit_code=11)
    return reset(**{"count": 9, "owner": gunicorn, "stop": stop, **fields})


def aborted(**fields: Any) -> Reset:
    """A server closed without reading."""
    return reset(
        **{"cause": UNREAD, "port": 443, "owner": owner(unit="nginx.service"), "facts": {"unread": True}, **fields}
    )


def test_eighty_columns_tell_what_who_and_from_whom() -> None:
    """The whole screen as somebody sees it who has never seen it."""
    shown = lines(view(crashed(), aborted(), reset(cause=IN_FLIGHT), reset(facts={"direction": "received"})))
    until = next(line for line in shown if "until" in line).split()[1]
    assert shown == [
        "whyreset: TCP resets of this host, for 12 s                             12:00:14",
        "",
        "SENT     11/s now   11/s over 10 s   11/s over 1 min        ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████",
        "share  port  what happened in the last minute, and what it means",
        " 82 %  8080  closed port: nobody listens there, clients are refused          9/s",
        f"             until {until} gunicorn[2214] (api.service), killed by SIGSEGV",
        "             from 192.0.2.1",
        "  9 %   443  closed with data unread: the client's last data is lost         1/s",
        "             nginx[911] (nginx.service); from 192.0.2.1",
        "  9 %        in flight: follow-ups of connections that were cut already      1/s",
        "",
        "RECEIVED 1/s now   1/s over 10 s   1/s over 1 min           ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████",
        "100 %  8080  refused: nobody listens there, or a firewall rejects it         1/s",
        "             from 192.0.2.1",
        *[""] * 7,
        "Account: 132 sent, all explained; the kernel's count agrees; 0 received",
        "Not seen: resets that the TCP stack did not send (not asked for: --packets)",
        "Keys: v shows the evidence, q ends.",
    ]


def test_a_wide_terminal_has_room_for_more_on_a_line() -> None:
    """What fits beside it is not put below."""
    shown = lines(view(aborted()), width=140)
    row = "closed with data unread: the client's last data is lost; nginx[911] (nginx.service); from 192.0.2.1"
    assert any(line.startswith(f"100 %   443  {row}") for line in shown)


def test_a_small_terminal_keeps_what_matters() -> None:
    """Forty columns and ten lines: rates, the first row with its port and owner, the account."""
    shown = lines(view(crashed(), aborted(), reset(facts={"direction": "received"})), 40, 10)
    assert len(shown) == 10
    assert shown[0].startswith("whyreset")
    assert shown[1] == "SENT     10/s now, 10/s over 1 min"
    assert shown[2].startswith(" 90 %  8080 closed port")
    assert any("gunicorn" in line or "until" in line for line in shown)
    assert any(line.startswith("RECEIVED 1/s now") for line in shown)
    assert shown[-1].startswith("Account: 120 sent, all explained")


def test_a_small_terminal_shows_more_rows_rather_than_more_of_one() -> None:
    """A crash is not hidden behind the lines of a scan."""
    scan = [reset(port=port, count=9) for port in range(20, 60)]
    shown = lines(view(*scan, crashed(), aborted()), 40, 10)
    assert [line.split()[2] for line in shown if " %" in line][:3] == ["many", "8080", "443"]
    elsewhere = lines(view(reset(sample={"netns": 7}, facts={"direction": "received"})), 40, 10)
    assert any("8080 refused: nobody listens" in line for line in elsewhere)


@pytest.mark.parametrize("only", ["sent", "received", "both"])
def test_silence_is_told_calmly(only: str) -> None:
    """What is watched, that it is still counted, and how to see one."""
    text = "\n".join(lines(view(chosen=Filter(direction=only))))
    which = "sent or received" if only == "both" else only
    assert f"TCP reset has been {which} since watching began." in text
    assert "Still counting in this host: the next one is shown here at once." in text
    assert ("To see one, ask a closed port: curl http://127.0.0.1:9/" in text) == (only == "both")


def test_silence_after_resets_is_silence_again() -> None:
    """When the last row is forgotten."""
    board = Board(0)
    board.take(Tick(resets=(reset(),)), 0)
    text = "\n".join(lines(board.view(2000 * SECOND)))
    assert "No TCP reset has been sent or received for a quarter of an hour." in text


def test_a_filter_is_told() -> None:
    """Shares and rates are of what is shown; the side that was not asked for is not shown as silent."""
    shown = lines(view(crashed(), chosen=Filter(direction="sent", ports=frozenset({8080}))))
    assert shown[1] == "only sent, port 8080: rates and shares are of these"
    assert not any(line.startswith("RECEIVED") for line in shown)


def test_doubt_is_told() -> None:
    """A likely cause says so."""
    assert any("dead connection (likely): " in line for line in lines(view(reset(cause=HALF_OPEN))))


def test_an_opened_row_tells_its_evidence() -> None:
    """What it follows from, what would tell more, and the last resets with what provoked them."""
    text = "\n".join(lines(view(crashed(cause=HALF_OPEN, evidence=("kernel reason NO_SOCKET", "so"))), opened=True))
    assert "evidence: kernel reason NO_SOCKET; so" in text
    assert "to know more: how it ended" in text
    assert "9 x 192.0.2.2:8080 -> 192.0.2.1:51234, answers SYN" in text
    assert "v hides the evidence" in text


def test_rows_that_do_not_fit_are_counted() -> None:
    """With their share together; the first rows are told in full all the same."""
    shown = lines(view(*[aborted(port=port, owner=owner(comm=f"p{port}")) for port in range(1, 41)], crashed(count=60)))
    assert any("killed by SIGSEGV" in line for line in shown)
    [more] = [line for line in shown if " more" in line]
    rows = [line for line in shown if " %" in line and line is not more]
    assert f"and {41 - len([line for line in rows if 'others' not in line])} more" in more


def test_notices_are_told() -> None:
    """Losses and limits are on the screen, above the account."""
    shown = lines(view(crashed(), notices=[notice(count=7)]))
    assert "note: 7 resets not told apart" in shown


def test_terminals_without_block_characters_get_plain_ones() -> None:
    """Nothing but ASCII then, as far as it is ours."""
    assert "\n".join(lines(view(crashed(), aborted()), blocks=False)).isascii()


def test_keys_are_told_only_where_they_are_heard() -> None:
    """Without a terminal to read from there is Ctrl-C."""
    assert lines(view())[-1] == "Keys: v shows the evidence, q ends."
    assert lines(view(), keys=False)[-1] == "Ctrl-C ends."


def test_the_summary_tells_it_all() -> None:
    """What is left on the terminal at the end has counts instead of rates."""
    told = [line.plain for line in summary(view(crashed(), aborted(), whole=True), Size(80, 24, summary=True))]
    assert told[0] == "TCP resets of this host for 12 s"
    assert told[1] == "120 sent"
    assert told[2].startswith(" 90 %  8080  closed port: ")
    assert told[2].endswith(" 108 x")
    assert told[-1].startswith("Account: 120 sent, all explained")


def test_the_summary_fits_any_terminal_and_its_account_is_whole() -> None:
    """It is what somebody copies into a ticket."""
    spaces = [(number, f"namespace-{number}") for number in range(2, 5)]
    told = [line.plain for line in summary(view(crashed(), namespaces=spaces), Size(40, 24, summary=True))]
    assert all(cell_len(line) <= 40 for line in told)
    account = " ".join(line.strip() for line in told[-3:])
    assert account.endswith("the kernel's count agrees; 0 received")


def test_the_summary_is_bounded() -> None:
    """A long list is of no use at the end."""
    many = [aborted(port=port, owner=owner(comm=f"p{port}")) for port in range(1, 41)]
    told = [line.plain for line in summary(view(*many, whole=True), Size(80, 24, summary=True))]
    assert len(told) < 40
    assert any("and 28 more" in line for line in told)


HOSTILE = ["[red]x[/red]", "\x1b[2J", "\x9b31m", "\u202e", "a\nb", "日本語" * 30, "e\u0301" * 40, "x" * 500, ":smile:"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_of_others_is_shown_and_never_obeyed(text: str) -> None:
    """Neither by the terminal nor as markup; and it breaks no line."""
    hostile = crashed(
        owner=owner(comm=text, unit=text, container_name=text), netns_name=text, evidence=(text,), sample={"netns": 7}
    )
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, color_system=None, force_terminal=True, highlight=False)
    noticed = [Notice(time_ns=0, name="x", text=text)]
    console.print(
        Group(*render(view(hostile, notices=noticed, namespaces=[(1, text)]), Size(80, 24, opened=True), CLOCK))
    )
    told = out.getvalue().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert all(line.isprintable() for line in told.split("\n"))
    assert len(told.splitlines()) == 24
    if text == "[red]x[/red]":
        assert text in told


@settings(deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 60),
    opened=st.booleans(),
    kinds=st.lists(st.sampled_from([crashed(), aborted(), reset(cause=IN_FLIGHT), reset(cause=HALF_OPEN)]), max_size=9),
    name=st.text(max_size=30),
)
def test_every_size_is_kept(width: int, height: int, opened: bool, kinds: list[Reset], name: str) -> None:
    """No line is wider, no screen higher, whatever is to be shown and however small the terminal is."""
    shown = view(*kinds, aborted(owner=owner(comm=name)), reset(facts={"direction": "received"}), seconds=3)
    told = render(shown, Size(width, height, opened=opened), CLOCK)
    assert len(told) <= height
    assert all(cell_len(line.plain) <= width for line in told)
    assert all(cell_len(line.plain) <= width for line in summary(shown, Size(width, height, summary=True)))
