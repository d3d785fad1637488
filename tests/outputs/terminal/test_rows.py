"""The rows of the screen: what is one, how they are ordered, and that all is bounded. Without a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.outputs.terminal.boards import IN_FLIGHT, SECOND, UNREAD, at, board, only, ports, received, sent, take
from tests.outputs.values import CAUSE, EPOCH, count, notice, owner, process, reset
from whyreset.filter import Filter
from whyreset.model import Remotes, Reset, Stop, Tick
from whyreset.outputs.terminal import board as boards
from whyreset.outputs.terminal import rows

SEVERAL = Remotes(distinct=2, exact=True, top=(("192.0.2.1", 1), ("192.0.2.9", 1)))


# ---- rows ----


def test_resets_that_read_alike_are_one_row() -> None:
    """Over any number of ticks; the row says what, where, who and from whom, and keeps the last of them."""
    one = board()
    gunicorn = owner("former listener", alive=False, comm="gunicorn", pid=2214, unit="api.service")
    stop = Stop(time_ns=EPOCH, exit_code=11)
    fresh = [take(one, tick, reset(count=3, owner=gunicorn, stop=stop)) for tick in range(10)]
    assert fresh == [True] + [False] * 9
    row = only(sent(one.view(at(10))))
    assert (row.what, row.meaning) == ("closed port", "nobody listens there, clients are refused")
    assert row.port == "8080"
    assert row.who.startswith("until ")
    assert row.who.endswith(" gunicorn[2214] (api.service), killed by SIGSEGV")
    assert row.whom == "from 192.0.2.1"
    assert (row.minute, row.total, row.share, row.rate) == (30, 30, 1.0, 3.0)
    assert (row.cause, row.evidence) == ("closed-port", ("nobody listens on port 8080",))
    assert len(row.details) == rows.KEPT
    assert row.details[0].route == "192.0.2.2:8080 -> 192.0.2.1:51234"
    assert row.details[0].trigger == "answers SYN"


@pytest.mark.parametrize(
    "other",
    [
        reset(port=8081),
        reset(cause=UNREAD),
        reset(owner=owner()),
        reset(sample={"netns": 7}),
        reset(cause=UNREAD, facts={"active_open": True}),
        reset(facts={"direction": "received"}),
    ],
    ids=["port", "cause", "owner", "namespace", "who opened it", "direction"],
)
def test_what_reads_otherwise_is_another_row(other: Reset) -> None:
    """Each of these is another thing to an operator."""
    one = board()
    assert take(one, 0, reset())
    assert take(one, 0, other)


def test_processes_of_one_kind_are_one_row() -> None:
    """Eight workers of nginx are nginx; one alone is told by its pid."""
    one = board()
    take(one, 0, reset(cause=UNREAD, owner=owner(pid=1, unit="nginx.service")))
    assert only(sent(one.view(at(1)))).who == "nginx[1] (nginx.service)"
    for pid in range(2, 9):
        take(one, 0, reset(cause=UNREAD, owner=owner(pid=pid, unit="nginx.service")))
    assert only(sent(one.view(at(1)))).who == "nginx (nginx.service), 8 processes"
    take(one, 2, reset(cause=UNREAD, owner=owner(pid=9, unit="nginx.service"), closer=process(comm="ss", pid=5)))
    assert only(sent(one.view(at(3)))).who == "nginx (nginx.service), 9 processes, closed by ss[5]"


def test_processes_that_ended_alike_are_told_to_have() -> None:
    """Workers that are killed one after the other; once one of them ends otherwise, no end is told of all."""
    one = board()
    for pid in (1, 2):
        take(one, 0, reset(cause=UNREAD, owner=owner(pid=pid, alive=False, exit_code=9)))
    assert only(sent(one.view(at(1)))).who == "nginx, 2 processes, killed by SIGKILL"
    take(one, 0, reset(cause=UNREAD, owner=owner(pid=3)))
    assert only(sent(one.view(at(1)))).who == "nginx, 3 processes"


def test_another_namespace_is_named() -> None:
    """By name or number; the user's own needs none."""
    one = board()
    take(one, 0, reset(port=1, owner=owner()), reset(port=2, owner=owner(), sample={"netns": 7}))
    take(one, 0, reset(port=3, owner=owner(), sample={"netns": 8}, netns_name="blue"))
    told = {row.port: row.where for row in sent(one.view(at(1))).rows}
    assert told == {"1": "", "2": "in netns 7", "3": "in netns blue"}


def test_a_port_that_nobody_had_open_says_so() -> None:
    """It tells a wrong configuration from a service that stopped."""
    one = board()
    take(one, 0, reset())
    assert only(sent(one.view(at(1)))).who == "no listener seen since watching began"


def test_the_other_end_on_this_host_is_named() -> None:
    """Who was refused is known too, where it is a process here."""
    one = board()
    take(one, 0, reset(peer=owner("connect", comm="curl", pid=7)))
    assert only(sent(one.view(at(1)))).whom == "from 192.0.2.1 (curl[7] on this host)"
    take(one, 1, reset(peer=owner("connect", comm="curl", pid=7), remotes=SEVERAL))
    assert only(sent(one.view(at(1)))).whom == "from 192.0.2.1 and 1 more"


def test_connections_opened_here_go_to_somebody() -> None:
    """Then the port is the other side's."""
    one = board()
    take(one, 0, reset(cause=UNREAD, facts={"active_open": True}))
    assert only(sent(one.view(at(1)))).whom == "to 192.0.2.1"


def test_estimates_of_addresses_are_told_as_lower_bounds() -> None:
    """Those of one tick may be others than those of the next."""
    one = board()
    take(one, 0, reset(remotes=Remotes(distinct=4000, exact=False, top=(("192.0.2.1", 4000),))))
    assert only(sent(one.view(at(1)))).whom == "from at least 4,000 addresses"


def test_what_is_harmless_is_one_quiet_row_of_its_kind() -> None:
    """Of all ports and owners; it stands below trouble however many there are."""
    one = board()
    take(one, 0, *[reset(cause=IN_FLIGHT, port=port, owner=owner(pid=port), count=100) for port in range(1, 9)])
    take(one, 0, reset())
    trouble, quiet = sent(one.view(at(1))).rows
    assert (trouble.quiet, quiet.quiet) == (False, True)
    assert (quiet.what, quiet.port, quiet.who, quiet.total) == ("in flight", "", "", 800)


def test_resets_within_this_host_are_told_where_they_were_sent() -> None:
    """The same resets received are one quiet row; what came from elsewhere is told."""
    one = board()
    twin = {"direction": "received", "twin_cause": UNREAD}
    take(one, 0, *[reset(cause=UNREAD, port=port, facts=twin) for port in range(1, 9)])
    take(one, 0, reset(facts={"direction": "received"}))
    trouble, quiet = received(one.view(at(1))).rows
    assert (trouble.what, trouble.quiet) == ("refused", False)
    assert (quiet.quiet, quiet.total) == (True, 8)
    alone = board(chosen=Filter(direction="received"))
    take(alone, 0, *[reset(cause=UNREAD, port=port, facts=twin) for port in range(1, 4)])
    assert len(received(alone.view(at(1))).rows) == 3


def test_many_ports_become_one_row() -> None:
    """A scan is one thing; the row names the first of its ports."""
    one = board()
    for port in range(20, 120):
        take(one, 0, reset(port=port))
    row = only(sent(one.view(at(1))))
    assert (row.what, row.port, row.total) == ("closed ports", "many", 100)
    assert row.whom == "from 192.0.2.1; ports 20, 21, 22 and 97 more"


def test_a_port_that_stands_out_keeps_its_row() -> None:
    """A service that is down is not hidden by a scan."""
    one = board()
    take(one, 0, reset(port=8080, count=500))
    for port in range(20, 120):
        take(one, 0, reset(port=port))
    assert ports(one.view(at(1))) == ["8080", "many"]
    take(one, 1, reset(port=8080))
    assert [row.total for row in sent(one.view(at(2))).rows] == [501, 100]


def test_ports_of_several_remotes_are_joined_only_where_they_are_many() -> None:
    """A scan and a client that asks for something else are two stories."""
    one = board()
    elsewhere = {"sample": {"remote": "192.0.2.30"}, "remotes": None}
    take(one, 0, reset(port=9100, **elsewhere), reset(port=9101, **elsewhere))
    for port in range(20, 60):
        take(one, 0, reset(port=port))
    assert sorted(ports(one.view(at(1)))) == ["9100", "9101", "many"]
    for number in range(rows.APART_REMOTES):
        take(one, 1, reset(port=number + 1, remotes=None, sample={"remote": f"198.51.100.{number}"}))
    told = [(row.port, row.total) for row in sent(one.view(at(2))).rows]
    assert told == [("many", 40), ("many", 2 + rows.APART_REMOTES)]


def test_joined_rows_remember_that_addresses_were_estimated() -> None:
    """Or a number would be told as exact that is none."""
    one = board()
    for netns in range(1, 9):
        estimate = Remotes(distinct=4000, exact=False, top=(("192.0.2.1", 4000),))
        take(one, 0, reset(sample={"netns": netns}, remotes=estimate))
    assert only(sent(one.view(at(1)))).whom == "from at least 4,000 addresses"


def test_many_closed_ports_say_whether_one_address_asks_for_them() -> None:
    """It is told as what it is, and whether that is a scan is left to the reader."""
    one = board()
    for port in range(1, 9):
        take(one, 0, reset(port=port))
    assert only(sent(one.view(at(1)))).meaning == "one address asks for port after port, nobody listens there"
    other = board()
    for port in range(1, 40):
        take(other, 0, reset(port=port, remotes=SEVERAL))
    assert only(sent(other.view(at(1)))).meaning == "nobody listens there, clients are refused"


def test_many_namespaces_become_one_row() -> None:
    """Fifty containers that do one thing are not fifty rows."""
    one = board()
    for netns in range(1, 50):
        take(one, 0, reset(sample={"netns": netns}))
    row = only(sent(one.view(at(1))))
    assert (row.port, row.total) == ("8080", 49)
    assert (row.who, row.where) == ("no listener seen since watching began", "in many network namespaces")


def test_groups_that_were_crowded_already_are_one_row_too() -> None:
    """The core puts together what is too much for one tick: no port is known of those."""
    one = board()
    take(one, 0, reset(port=None, count=40), reset(port=22))
    row = only(sent(one.view(at(1))))
    assert (row.port, row.total) == ("many", 41)
    assert row.whom == "from 192.0.2.1; ports 22 and others"


# ---- bounds ----


def hostile(number: int) -> Reset:
    """No two of them read alike in any way that joins rows."""
    return reset(port=number, owner=owner(pid=number, comm=f"p{number}"), sample={"netns": number})


def test_rows_are_bounded_and_nothing_is_uncounted() -> None:
    """What has no row of its own is counted with others; what is there keeps its row."""
    one = board()
    for number in range(1, 1001):
        take(one, 0, hostile(number))
    side = sent(one.view(at(1)))
    assert len(side.rows) == rows.ROWS + 1
    assert side.rows[-1].what == "others"
    assert sum(row.total for row in side.rows) == side.total == 1000
    assert sum(row.share for row in side.rows) == pytest.approx(1)


def test_rows_that_are_over_make_room() -> None:
    """After a minute without resets the one that is idle longest is counted with others."""
    one = board()
    for number in range(1, rows.ROWS + 1):
        take(one, 0, hostile(number))
    assert take(one, 100, hostile(500))
    side = sent(one.view(at(101)))
    assert len(side.rows) == rows.ROWS
    assert "500" in [row.port for row in side.rows]


def test_rows_are_forgotten_after_a_while() -> None:
    """A quarter of an hour after their last reset."""
    one = board()
    take(one, 0, reset())
    assert len(sent(one.view(at(rows.FORGET_NS / SECOND - 1))).rows) == 1
    view = one.view(at(rows.FORGET_NS / SECOND + 1))
    assert (sent(view).rows, sent(view).total) == ((), 1)


def test_what_a_row_holds_is_bounded() -> None:
    """Ports, processes, addresses and kept resets."""
    one = rows.Row(rows._REST, 0, 0)
    for number in range(1, 2001):
        one.add(reset(port=number, owner=owner(pid=number), remotes=None, sample={"remote": f"a{number}"}), 0, 0)
    assert len(one.ports) == rows.COUNTED_PORTS
    assert len(one.processes) == rows.PROCESSES
    assert len(one.kept) == rows.KEPT


def test_notices_and_namespaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgotten namespaces stay in the account."""
    monkeypatch.setattr(boards, "NAMESPACES", 3)
    one = board()
    one.take(
        Tick(
            counts=tuple([count(netns_cookie=number, counted=2, seen=2, explained=2) for number in range(10)]),
            notices=tuple([notice(text=f"n{number}") for number in range(10)]),
        ),
        at(0),
    )
    view = one.view(at(1))
    assert view.account.startswith("20 sent, all explained")
    assert view.notices == ("note: n6", "note: n7", "note: n8", "note: n9")
    assert len(one._figures) == 3
    assert one.view(at(200)).notices == ()


# ---- order ----


def test_rows_keep_their_places_unless_one_is_clearly_more() -> None:
    """Two that are about the same do not jump about."""
    one = board()
    take(one, 0, reset(port=1, count=10), reset(port=2, count=12))
    assert ports(one.view(at(1))) == ["1", "2"]
    take(one, 1, reset(port=2, count=2))
    assert ports(one.view(at(2))) == ["1", "2"]
    take(one, 2, reset(port=2, count=20))
    assert ports(one.view(at(3))) == ["2", "1"]
    take(one, 3, reset(port=1, count=30))
    assert ports(one.view(at(4))) == ["2", "1"]


def test_a_new_row_comes_to_its_place_at_once() -> None:
    """The important first."""
    one = board()
    take(one, 0, reset(port=1, count=10), reset(port=2, count=3))
    one.view(at(1))
    take(one, 1, reset(port=3, count=500))
    assert ports(one.view(at(2)))[0] == "3"


def test_what_has_paused_stands_below_what_goes_on() -> None:
    """After twenty seconds, but above what is harmless."""
    one = board()
    take(one, 0, reset(port=1, count=100))
    take(one, 25, reset(port=2), reset(cause=IN_FLIGHT, count=900))
    assert ports(one.view(at(26))) == ["2", "1", ""]


def test_what_is_over_stands_below_what_goes_on() -> None:
    """A minute after its last reset, however many there were."""
    one = board()
    take(one, 0, reset(port=1, count=1000))
    take(one, 70, reset(port=2))
    first, last = sent(one.view(at(71))).rows
    assert (first.port, last.port, last.trend, last.share, last.total) == ("2", "1", "over", 0.0, 1000)
    assert last.idle_seconds == pytest.approx(71)


# ---- properties ----

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 90),
        st.builds(
            lambda port, pid, netns, count, quiet: reset(
                port=port,
                owner=owner(pid=pid, comm=f"p{pid % 3}") if pid else None,
                sample={"netns": netns},
                count=count,
                cause=IN_FLIGHT if quiet else CAUSE,
            ),
            st.none() | st.integers(1, 30),
            st.integers(0, 9),
            st.integers(1, 12),
            st.integers(1, 100),
            st.booleans(),
        ),
    ),
    max_size=80,
)


@given(EVENTS)
def test_whatever_comes_is_counted_once(events: list[tuple[int, Reset]]) -> None:
    """Totals and shares of rows add up, in any order and at any pace; no row appears twice."""
    one, now = board(), 0
    for step, each in events:
        now += step
        take(one, now, each)
        side = sent(one.view(at(now)))
        assert sum(row.minute for row in side.rows) == side.recent
        assert sum(row.share for row in side.rows) == pytest.approx(1)
    side = sent(one.view(at(now), whole=True))
    assert side.total == sum(each.count for _, each in events)
    forgotten = one._sent.rest.total
    assert sum(row.total for row in side.rows if row.what != "others") + forgotten == side.total


def test_processes_are_told_once() -> None:
    """A process that resets again is no second process."""
    one = board()
    for _ in range(3):
        take(one, 0, reset(cause=UNREAD, owner=owner(), closer=process()))
    assert only(sent(one.view(at(1)))).who == "nginx[911]"
