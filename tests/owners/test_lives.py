"""Who listened where, from when until when."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyreset.model import Listener, ListenerEnd
from whyreset.owners.lives import Lives

V4, V6 = 2, 10
NETNS = 77


def listener(cookie: int = 1, **fields: Any) -> Listener:
    """A listener at port 80 of everything, since moment 10."""
    text = fields.get("address", "0.0.0.0")
    return Listener(
        **{
            "netns_cookie": NETNS,
            "port": 80,
            "address": text,
            "family": V6 if ":" in text else V4,
            "ipv6_only": False,
            "socket_cookie": cookie,
            "owner": (100 + cookie, 1),
            "since_ns": 10,
            **fields,
        }
    )


def end(cookie: int = 1, time_ns: int = 20, **fields: Any) -> ListenerEnd:
    """The end of a listener."""
    return ListenerEnd(
        **{
            "netns_cookie": NETNS,
            "socket_cookie": cookie,
            "time_ns": time_ns,
            "closer": (5, 6),
            "exit_code": None,
            "out_of_memory": False,
            **fields,
        }
    )


def lives(*events: Listener | ListenerEnd, capacity: int = 100) -> Lives:
    """What these made."""
    out = Lives(capacity)
    for event in events:
        if isinstance(event, Listener):
            out.opened(event)
        else:
            out.closed(event)
    return out


def who(found: Listener | None) -> int | None:
    """Its cookie."""
    return found.socket_cookie if found else None


@pytest.mark.parametrize(("time_ns", "found"), [(9, None), (10, 1), (15, 1), (20, 1), (21, None)])
def test_a_listener_is_there_from_its_beginning_to_its_end(time_ns: int, found: int | None) -> None:
    """Both moments included; before and after nobody listens."""
    assert who(lives(listener(), end()).at(NETNS, 80, time_ns=time_ns)) == found


def test_a_listener_that_lives_is_there_now() -> None:
    """Without an end it goes on."""
    assert who(lives(listener()).at(NETNS, 80, time_ns=1 << 62)) == 1


def test_of_several_on_one_port_the_cookie_tells_which() -> None:
    """SO_REUSEPORT: the listener that a connection came from, living or dead, and no other in its stead."""
    known = lives(listener(1), listener(2), listener(3), end(3, 20))
    for cookie in (1, 2, 3):
        assert who(known.at(NETNS, 80, time_ns=15, cookie=cookie)) == cookie
    assert who(known.at(NETNS, 80, time_ns=21, cookie=3)) is None
    assert who(known.at(NETNS, 80, time_ns=15, cookie=4)) is None


SHARED: dict[str, tuple[list[Listener | ListenerEnd], bool]] = {
    "alone": ([], False),
    "another process": ([listener(2)], True),
    "another process, since gone": ([listener(2), end(2, 20)], True),
    "another process, gone before": ([listener(2), end(2, 14)], False),
    "another process, later": ([listener(2, since_ns=16)], False),
    "the same process": ([listener(2, owner=(101, 1))], False),
    "another address": ([listener(2, address="192.0.2.2")], False),
}


@pytest.mark.parametrize(("others", "shared"), SHARED.values(), ids=list(SHARED))
def test_whether_others_listened_there_too(others: list[Listener | ListenerEnd], shared: bool) -> None:
    """On the very same address and port at that time, by another process."""
    known = lives(listener(1), *others)
    assert known.shared(listener(1), time_ns=15) is shared


def test_of_holders_from_before_the_eldest_is_the_owner() -> None:
    """Whatever the order in which they are found: the others inherited the socket."""
    found = [listener(since_ns=0, owner=owner) for owner in ((30, 500), (40, 300), (50, 400), (40, 300))]
    known = lives(*found).at(NETNS, 80, time_ns=15)
    assert known is not None
    assert (known.owner, set(known.holders)) == ((40, 300), {(30, 500), (50, 400)})


def test_who_called_listen_goes_before_who_was_found_to_hold_it() -> None:
    """A walk over open files may find a listener before its own beginning is read."""
    known = lives(listener(since_ns=0, owner=(30, 300)), listener(since_ns=12, owner=(40, 400)))
    assert known.at(NETNS, 80, time_ns=11) is None
    found = known.at(NETNS, 80, time_ns=15)
    assert found is not None
    assert (found.owner, found.holders) == ((40, 400), ((30, 300),))


@pytest.mark.parametrize("place", [(NETNS, 81), (NETNS + 1, 80)])
def test_another_port_or_namespace_has_no_listener(place: tuple[int, int]) -> None:
    """A listener serves one port of one namespace, living or dead."""
    assert lives(listener()).at(*place, time_ns=15) is None
    assert lives(listener(), end()).former(*place, time_ns=99) is None


SERVES = {
    "everything serves an address": ({"address": "0.0.0.0"}, "192.0.2.2", V4, True),
    "everything does not serve IPv6": ({"address": "0.0.0.0"}, "2001:db8::2", V6, False),
    "everything of IPv6 serves IPv6": ({"address": "::"}, "2001:db8::2", V6, True),
    "everything of IPv6 serves IPv4 too": ({"address": "::"}, "192.0.2.2", V4, True),
    "IPv6 alone does not serve IPv4": ({"address": "::", "ipv6_only": True}, "192.0.2.2", V4, False),
    "IPv6 alone serves IPv6": ({"address": "::", "ipv6_only": True}, "2001:db8::2", V6, True),
    "an address serves itself": ({"address": "192.0.2.2"}, "192.0.2.2", V4, True),
    "an address serves no other": ({"address": "192.0.2.2"}, "192.0.2.3", V4, False),
    "an IPv6 address serves itself": ({"address": "2001:db8::2"}, "2001:db8::2", V6, True),
    "an IPv4 address of an IPv6 socket": ({"address": "::ffff:192.0.2.2"}, "192.0.2.2", V4, True),
    "an IPv4 address of an IPv6 socket serves no other": ({"address": "::ffff:192.0.2.2"}, "192.0.2.3", V4, False),
    "everything of IPv4 at an IPv6 socket": ({"address": "::ffff:0.0.0.0"}, "192.0.2.2", V4, True),
    "everything of IPv4 at an IPv6 socket is not IPv6": ({"address": "::ffff:0.0.0.0"}, "2001:db8::2", V6, False),
    "an IPv6 address that looks so": ({"address": "::ffff:1:2"}, "::ffff:1:2", V6, True),
    "no address asked": ({"address": "192.0.2.2"}, "", 0, True),
    "no family asked": ({"address": "0.0.0.0"}, "2001:db8::2", 0, True),
}


@pytest.mark.parametrize(("fields", "address", "family", "serves"), SERVES.values(), ids=list(SERVES))
def test_whom_a_listener_serves(fields: dict[str, Any], address: str, family: int, serves: bool) -> None:
    """By address and family, as the kernel looks listeners up, while it lives and afterwards."""
    living, dead = lives(listener(**fields)), lives(listener(**fields), end())
    assert (living.at(NETNS, 80, time_ns=15, address=address, family=family) is not None) is serves
    assert (dead.at(NETNS, 80, time_ns=15, address=address, family=family) is not None) is serves
    assert (dead.former(NETNS, 80, time_ns=30, address=address, family=family) is not None) is serves


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_listener_of_the_address_goes_before_one_of_everything(order: tuple[int, int]) -> None:
    """The kernel asks the more specific one first, whichever came first."""
    both = {1: listener(1, address="0.0.0.0", since_ns=12), 2: listener(2, address="192.0.2.2", since_ns=11)}
    known = lives(*[both[cookie] for cookie in order])
    assert who(known.at(NETNS, 80, time_ns=15, address="192.0.2.2", family=V4)) == 2
    assert who(known.at(NETNS, 80, time_ns=15, address="192.0.2.3", family=V4)) == 1


def test_each_time_has_its_listener() -> None:
    """A port that one process after the other served belongs to the one of that moment."""
    known = lives(listener(1), end(1, 20), listener(2, since_ns=30), end(2, 40), listener(3, since_ns=50))
    moments = {15: 1, 25: None, 35: 2, 45: None, 55: 3}
    assert {moment: who(known.at(NETNS, 80, time_ns=moment)) for moment in moments} == moments
    assert {moment: who(known.former(NETNS, 80, time_ns=moment)) for moment in moments} == {
        15: None,
        25: 1,
        35: 1,
        45: 2,
        55: 2,
    }


def test_a_former_listener_tells_how_it_ended() -> None:
    """By whom it was closed, whether that one was dying and of what."""
    known = lives(listener(), end(closer=(7, 8), exit_code=9, out_of_memory=True, time_ns=33))
    former = known.former(NETNS, 80, time_ns=40)
    assert former is not None
    assert (former.until_ns, former.closer, former.exit_code, former.out_of_memory) == (33, (7, 8), 9, True)
    assert (former.owner, former.since_ns) == ((101, 1), 10)


def test_siblings_on_one_port_live_and_die_alone() -> None:
    """With SO_REUSEPORT several sockets listen on one port: one that ends leaves the others there."""
    siblings = [listener(cookie) for cookie in (1, 2, 3)]
    known = lives(*siblings, end(2, 20))
    found = known.at(NETNS, 80, time_ns=25)
    assert who(found) in (1, 3)
    assert who(known.former(NETNS, 80, time_ns=25)) == 2
    for cookie, moment in ((1, 30), (3, 40)):
        known.closed(end(cookie, moment))
    assert known.at(NETNS, 80, time_ns=45) is None
    assert who(known.former(NETNS, 80, time_ns=45)) == 3
    assert (len(known), known.remembered) == (0, 3)


def test_a_socket_that_several_hold_is_one_listener() -> None:
    """Found again in other processes, it keeps its first owner and names the others once each."""
    known = lives(listener())
    for _ in range(3):
        for owner in ((101, 1), (5, 5), (6, 6)):
            known.opened(listener(owner=owner))
    found = known.at(NETNS, 80, time_ns=15)
    assert found is not None
    assert found.owner == (101, 1)
    assert found.holders == ((5, 5), (6, 6))
    assert len(known) == 1


def test_since_when_it_listens_is_news() -> None:
    """A walk over open files may show it before the kernel program's word of its beginning was read."""
    known = Lives(100)
    told = [known.opened(listener(since_ns=since)) for since in (0, 0, 10, 10)]
    assert [each and each.since_ns for each in told] == [0, None, 10, None]


def test_a_socket_may_listen_again() -> None:
    """After shutdown(2) the same socket can listen anew: two lives."""
    known = lives(listener(since_ns=10), end(time_ns=20), listener(since_ns=30))
    assert who(known.at(NETNS, 80, time_ns=25)) is None
    assert who(known.at(NETNS, 80, time_ns=35)) == 1
    assert who(known.former(NETNS, 80, time_ns=35)) == 1


def test_a_socket_whose_end_was_lost_listens_where_it_listens_now() -> None:
    """Told at another port without an end in between, it has left the port before."""
    known = lives(listener(port=80), listener(port=81, since_ns=30))
    assert known.at(NETNS, 80, time_ns=40) is None
    assert who(known.at(NETNS, 81, time_ns=40)) == 1
    assert len(known) == 1


def test_the_end_of_an_unknown_listener_leaves_nothing() -> None:
    """What began unseen and ended is not remembered: nobody would know who it was."""
    known = lives(end())
    assert (len(known), known.remembered) == (0, 0)


def test_a_listener_found_open_has_listened_always() -> None:
    """One that was there before watching began answers for any earlier moment."""
    assert who(lives(listener(since_ns=0)).at(NETNS, 80, time_ns=1)) == 1


# ---- bounds ----


def test_former_listeners_of_one_port_are_bounded() -> None:
    """A service that restarts for ever keeps its last lives only."""
    known = Lives(100)
    for cookie in range(1, 101):
        known.opened(listener(cookie, since_ns=cookie * 10))
        known.closed(end(cookie, cookie * 10 + 5))
    assert known.remembered == 8
    assert who(known.former(NETNS, 80, time_ns=10_000)) == 100
    assert known.at(NETNS, 80, time_ns=15) is None


def test_ports_with_former_listeners_are_bounded_and_the_loss_is_counted() -> None:
    """Ports whose last listener ended longest ago are forgotten first."""
    known = Lives(100, memory=10)
    for port in range(1, 101):
        known.opened(listener(port, port=port))
        known.closed(end(port, 20 + port))
    assert (known.remembered, known.forgotten) == (10, 90)
    assert known.former(NETNS, 90, time_ns=999) is None
    assert who(known.former(NETNS, 91, time_ns=999)) == 91


def test_listeners_whose_end_was_lost_do_not_pile_up() -> None:
    """When ends are lost the table of living listeners is bounded too; the eldest go first, and are counted."""
    known = Lives(10)
    for port in range(1, 101):
        known.opened(listener(port, port=port))
    assert (len(known), known.forgotten) == (10, 90)
    assert known.at(NETNS, 90, time_ns=15) is None
    assert who(known.at(NETNS, 91, time_ns=15)) == 91


def test_holders_of_one_socket_are_bounded() -> None:
    """A socket that thousands of children inherited names some of them."""
    known = lives(listener())
    for pid in range(1000):
        known.opened(listener(owner=(pid, 9)))
    found = known.at(NETNS, 80, time_ns=15)
    assert found is not None
    assert len(found.holders) <= 64


COOKIES = st.integers(1, 6)
EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda cookie, port, address, since: listener(cookie, port=port, address=address, since_ns=since),
            COOKIES,
            st.integers(1, 3),
            st.sampled_from(["0.0.0.0", "::", "192.0.2.2", "::ffff:192.0.2.2"]),
            st.integers(0, 50),
        ),
        st.builds(end, COOKIES, st.integers(0, 50)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(events=EVENTS, time_ns=st.integers(0, 60))
def test_any_order_of_events_stays_bounded_and_answers_truly(
    events: list[Listener | ListenerEnd], time_ns: int
) -> None:
    """Whatever comes in whatever order, an answer is of that port and that moment, and the bounds hold."""
    known = lives(*events, capacity=2)
    assert len(known) <= 2
    assert known.remembered <= 2 * 8
    for port in (1, 2, 3):
        found = known.at(NETNS, port, time_ns=time_ns, address="192.0.2.2", family=V4)
        if found is not None:
            assert found.port == port
            assert found.since_ns <= time_ns
            assert found.until_ns == 0 or time_ns <= found.until_ns
        former = known.former(NETNS, port, time_ns=time_ns)
        if former is not None:
            assert (former.port, former.until_ns <= time_ns) == (port, True)
