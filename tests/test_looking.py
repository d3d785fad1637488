"""Which namespaces are looked into: those whose counters moved, and no others."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.outputs.values import count
from whyreset.account import Account
from whyreset.hands import OwnHands
from whyreset.looking import Looking, is_short
from whyreset.model import Attempt, Counters, Host, Place
from whyreset.sources.queues import Wanted

SECOND = 1_000_000_000
HOME = Host(netns=1)


class Eyes:
    """What was asked for, instead of a look."""

    def __init__(self) -> None:
        self.asked: list[list[Wanted]] = []
        #: Not every look is granted.
        self.open = True

    def begin(self) -> None:
        """Nothing to remember."""

    def look(self, wanted: Iterable[Wanted], now_ns: int) -> list[Place]:
        """Notes it."""
        self.asked.append(list(wanted))
        return [Place(netns=each.netns, netns_cookie=each.netns_cookie) for each in wanted if self.open]


def looking(monkeypatch: pytest.MonkeyPatch) -> tuple[Looking, Eyes]:
    """A Looking with eyes that only note."""
    eyes = Eyes()
    hands = OwnHands()
    monkeypatch.setattr(hands, "queues", lambda: eyes)
    return Looking(hands), eyes


def account(**dropped: int) -> Account:
    """An account of one namespace that has dropped so much since ever."""
    made = Account([], {})
    made.read([Counters(netns=5, netns_cookie=7, values=dict(dropped))], {})
    return made


def moved(**counters: int) -> Any:
    """A second in which counters of that namespace moved."""
    return count(netns=5, netns_cookie=7, moved=counters)


def attempt(seconds: float, **fields: Any) -> Attempt:
    """A connection that got no answer for so long."""
    taken = round(seconds * SECOND)
    return Attempt(
        **{
            "netns": 5,
            "netns_cookie": 7,
            "remote": "192.0.2.9",
            "port": 5432,
            "owner": None,
            "count": 1,
            "shortest_ns": taken,
            "longest_ns": taken,
            "first_ns": 0,
            "last_ns": 0,
            **fields,
        }
    )


def test_nothing_is_looked_at_where_nothing_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where only other counters did."""
    made, eyes = looking(monkeypatch)
    assert made.look([moved(TW=4), moved()], [attempt(0.2)], account(), HOME, 0) == ()
    assert eyes.asked == []


def test_listeners_are_looked_at_where_handshakes_found_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open ones are counted only where the counters speak of them; the worst namespace goes first."""
    made, eyes = looking(monkeypatch)
    other = count(netns=6, netns_cookie=8, moved={"TCPReqQFullDrop": 900})
    made.look([moved(ListenOverflows=3, ListenDrops=3), other], [], account(ListenDrops=3), HOME, 0)
    [[first, second]] = eyes.asked
    assert (first.netns, first.queues, first.half_open) == (6, True, True)
    assert (second.netns, second.queues, second.half_open, second.all_new) == (5, True, False, True)


def test_it_is_looked_again_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue may stay full where counters are read seldom; and that is bounded."""
    made, eyes = looking(monkeypatch)
    for second in range(8):
        made.look([moved(ListenOverflows=1)] if not second else [], [], account(), HOME, second * SECOND)
    assert [[each.netns for each in asked] for asked in eyes.asked] == [[5]] * 4
    made.look(
        [count(netns=n, netns_cookie=n, moved={"ListenDrops": 1}) for n in range(99)], [], account(), HOME, 100 * SECOND
    )
    assert len(made._looked) == 8


def test_drops_from_before_are_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel had counted some before, a listener's own count may be old."""
    made, eyes = looking(monkeypatch)
    made.look([moved(ListenDrops=3)], [], account(ListenDrops=10), HOME, 0)
    assert not eyes.asked[0][0].all_new


def test_settings_are_read_where_somebody_waited_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute, and not for who took another address at once."""
    made, eyes = looking(monkeypatch)
    for second in (0, 1, 59, 61):
        made.look([], [attempt(7)], account(), HOME, second * SECOND)
    assert [[each.queues for each in asked] for asked in eyes.asked] == [[False], [False]]


def test_it_is_asked_for_settings_until_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are told as given up once, and just then the looks may have cost too much already."""
    made, eyes = looking(monkeypatch)
    eyes.open = False
    made.look([], [attempt(7)], account(), HOME, 0)
    eyes.open = True
    for second in (1, 2, 3):
        made.look([], [], account(), HOME, second * SECOND)
    assert len(eyes.asked) == 2


def test_all_sockets_are_looked_at_seldom_and_only_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an abort for memory was counted, and at home, every ten seconds."""
    made, eyes = looking(monkeypatch)
    for second in (100, 101, 111):
        made.look([moved(TCPAbortOnMemory=1)], [], account(), HOME, second * SECOND)
    places = [[(each.netns, each.holders) for each in asked] for asked in eyes.asked]
    assert places == [[(5, True), (1, True)]] * 2


def test_who_holds_memory_is_sought_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge is the whole machine's, so that anybody may hold it: some namespaces a second, each once."""
    made, eyes = looking(monkeypatch)
    all_of_them = Account([], {})
    all_of_them.read([Counters(netns=100 + n, netns_cookie=n, values={}) for n in range(10, 30)], {})
    short = Host(netns=1, gauges={"mem": 110.0}, limits={"tcp_mem_pressure": 100.0})
    for second in range(9):
        made.look([], [], all_of_them, short, second * SECOND)
    assert [len(asked) for asked in eyes.asked] == [8, 8, 5]
    assert {each.netns for asked in eyes.asked for each in asked} == {1, *range(110, 130)}
    made.look([], [], all_of_them, HOME, 10 * SECOND)
    made.look([], [], all_of_them, short, 11 * SECOND)
    assert len(eyes.asked) == 4


@pytest.mark.parametrize(
    ("gauges", "short"),
    [
        ({"mem": 90.0}, False),
        ({"mem": 110.0}, True),
        ({"orphan": 100.0}, False),
        ({"orphan": 600.0}, True),
        ({}, False),
    ],
)
def test_gauges_say_whether_memory_is_short(gauges: dict[str, float], short: bool) -> None:
    """Above the second value of tcp_mem, or half of the orphans that may be."""
    assert is_short(Host(gauges=gauges, limits={"tcp_mem_pressure": 100.0, "tcp_max_orphans": 1000.0})) is short
    assert not is_short(Host(gauges=gauges))


def test_what_is_remembered_of_settings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces come and go for ever."""
    made, eyes = looking(monkeypatch)
    for eyes.open in (True, False):
        for number in range(1, 1000):
            made.look([], [attempt(7, netns_cookie=number)], account(), HOME, 100 * SECOND * eyes.open + number)
    assert len(made._settings_at) == 256
    assert len(made._unsettled) == 256
