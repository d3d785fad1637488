"""What the screen tells besides its rows: rates, trends, the account, what is watched. Without a terminal."""

import pytest

from tests.outputs.terminal.boards import HOME, at, board, only, sent, take
from tests.outputs.values import count, notice, reset
from whyreset.filter import Filter
from whyreset.model import Missing, Tick

# ---- rates ----


def test_rates_are_of_seconds_that_are_over() -> None:
    """The last one, ten and sixty of them; fewer while the watch is younger."""
    one = board()
    take(one, 0, reset(count=40))
    take(one, 1, reset(count=20))
    take(one, 2, reset(count=7))
    side = sent(one.view(at(2)))
    assert (side.now, side.ten, side.minute, side.seconds[-2:]) == (20, 30, 30, (40, 20))
    assert side.recent == 67
    later = sent(one.view(at(30)))
    assert (later.now, later.ten) == (0, 0)
    assert later.minute == pytest.approx(67 / 30)
    assert sent(one.view(at(59.9))).recent == 67
    assert sent(one.view(at(100))).recent == 0


@pytest.mark.parametrize(
    ("before", "now", "trend"), [(10, 10, "steady"), (10, 20, "rising"), (20, 10, "falling"), (0.1, 0.2, "steady")]
)
def test_a_trend_is_the_last_ten_seconds_against_the_minute_before(before: float, now: float, trend: str) -> None:
    """Few resets make none."""
    one = board()
    for second in range(60):
        many = round((before if second < 50 else now) * 10)
        if second % 10 == 9:
            take(one, second, *([reset(count=many)] if many else []))
    assert only(sent(one.view(at(60)))).trend == trend


def test_a_row_is_new_for_ten_seconds_and_over_after_twenty_of_silence() -> None:
    """Then it says since when."""
    one = board()
    take(one, 0, reset(count=50))
    assert only(sent(one.view(at(5)))).trend == "new"
    assert only(sent(one.view(at(12)))).trend == "steady"
    assert only(sent(one.view(at(21)))).trend == "over"


def test_what_was_lost_has_its_share() -> None:
    """A flood loses detail, never the shares; a filter by port cannot know whose those were."""
    for chosen, names in (
        (Filter(), ["too fast to see each", "closed port"]),
        (Filter(ports=frozenset({8080})), ["closed port"]),
    ):
        one = board(chosen=chosen)
        one.take(
            Tick(resets=(reset(count=10),), counts=(count(counted=100, seen=10, lost=90, delta={"lost": 90}),)), at(0)
        )
        side = sent(one.view(at(1)))
        assert [row.what for row in side.rows] == names
        assert side.rows[0].share == (0.9 if len(names) == 2 else 1)


# ---- the account ----


def test_a_closed_account_says_so() -> None:
    """In one line."""
    one = board()
    assert one.view(at(0)).account == "no reset sent, 0 received"
    take(one, 0, reset())
    assert one.view(at(0)).account == "1 sent, not counted yet"
    one.take(Tick(counts=(count(counted=5, seen=5, explained=5, received=3),)), at(1))
    view = one.view(at(1))
    assert view.account == "5 sent, all explained; the kernel's count agrees; 3 received"
    assert view.complete


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"seen": 4, "unknown": 1, "explained": 3, "unseen": 1}, "5 sent, 3 explained, 1 of unknown cause, 1 not seen"),
        ({"seen": 3, "lost": 2, "explained": 3}, "5 sent, 3 explained, 2 too fast to see each; the kernel's count"),
        ({"seen": 7, "uncounted": 2, "explained": 7}, "7 sent, all explained; the kernel counted 5"),
        ({"seen": 5, "explained": 5, "received_lost": 4}, "agrees; 4 received, 4 of them too fast to see each"),
    ],
)
def test_what_is_missing_in_an_account_has_a_name(figures: dict[str, int], told: str) -> None:
    """Each of them makes the account incomplete, but what the kernel did not count."""
    one = board()
    for second in range(1, 6):
        one.take(Tick(counts=(count(counted=5, **figures),)), at(second))
        one.view(at(second))
    view = one.view(at(6))
    assert told in view.account
    assert view.complete == ("uncounted" in figures)


def test_what_the_wire_tells_of_the_account_stands_in_it() -> None:
    """What never left, and what left past the stack; of several namespaces together, and only where there is any."""
    one = board()
    there = {"counted": 5, "seen": 5, "explained": 5}
    one.take(Tick(counts=(count(**there, past_stack=2, off_wire=0), count(**there, off_wire=3, netns_cookie=9))), at(1))
    told = one.view(at(1)).account
    assert told.startswith(
        "10 sent, all explained; the kernel's count agrees; 3 of them never left; 0 received; 2 left"
    )
    assert told.endswith("2 left past the TCP stack")
    one = board()
    one.take(Tick(counts=(count(past_stack=2),)), at(1))
    assert one.view(at(1)).account == "no reset sent, 0 received; 2 left past the TCP stack"


def test_what_only_waits_to_be_read_is_not_called_unseen() -> None:
    """Neither what the kernel says was traced, nor what looks unseen for less than three seconds."""
    one = board()
    one.take(Tick(counts=(count(counted=5, seen=3, explained=3, unseen=2, pending=2),)), at(1))
    assert one.view(at(1)).account == "3 sent, all explained; the kernel's count agrees; 0 received"
    one.take(Tick(counts=(count(counted=9, seen=9, explained=9),)), at(2))
    one.view(at(2))
    one.take(Tick(counts=(count(counted=12, seen=9, explained=9, unseen=3),)), at(3))
    assert "not seen" not in one.view(at(3)).account
    told = [one.view(at(second)).account for second in range(4, 8)]
    assert "3 not seen" in told[-1]


def test_a_notice_that_comes_again_is_told_once_with_its_sum() -> None:
    """The latest last; what was told long ago is another time."""
    one = board()
    for second, given in ((0, notice(count=7)), (1, notice(text="other")), (60, notice(count=5))):
        one.take(Tick(notices=(given,)), at(second))
    assert one.view(at(61)).notices == ("note: other", "note: 12 resets not told apart")
    one.take(Tick(notices=(notice(count=3),)), at(600))
    assert one.view(at(601)).notices == ("note: 3 resets not told apart",)


# ---- what is watched ----


@pytest.mark.parametrize(
    ("namespaces", "told"),
    [
        ([], "this host"),
        ([(HOME, "")], "this host"),
        ([(HOME, ""), (1, "")], "this host and 1 more namespace"),
        ([(1, "red"), (2, "blue"), (3, "")], "this host and 3 more namespaces (blue, red, 1 without a name)"),
        (
            [(number, f"n{number}") for number in range(1, 6)],
            "this host and 5 more namespaces (n1, n2, n3, 2 more)",
        ),
    ],
)
def test_namespaces_are_told_by_name(namespaces: list[tuple[int, str]], told: str) -> None:
    """The user's own is this host."""
    assert board().view(at(1), namespaces=namespaces).scope == told


def test_what_cannot_be_seen_is_told_with_its_reason() -> None:
    """And what is shown of all."""
    missing = [Missing(source="packets", why="no right: run as root", lost="the wire's view")]
    view = board(chosen=Filter(direction="sent", ports=frozenset({80, 443}))).view(at(1), missing=missing)
    assert view.unseen == ("the wire's view (no right: run as root)",)
    assert view.only == "sent, port 80 or 443"
    assert view.received is None


def test_at_the_end_shares_are_of_it_all() -> None:
    """Most first, whenever they were."""
    one = board()
    take(one, 0, reset(port=1, count=75))
    take(one, 200, reset(port=2, count=25))
    rows_ = sent(one.view(at(201), whole=True)).rows
    assert [(row.port, row.share) for row in rows_] == [("1", 0.75), ("2", 0.25)]
