"""What went past the stack is held against the firewall as it was before and as it is now."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from whyreset import onwire
from whyreset.core.taps import Listing
from whyreset.hands import OwnHands
from whyreset.model import Facts, Group, Record, Remotes
from whyreset.onwire import OnWire
from whyreset.sources.base import SourceError
from whyreset.sources.conntrack import Conntrack
from whyreset.sources.firewall import Rule, Rules

SECOND = 1_000_000_000
COOKIE = 7


class FakeFirewall:
    """Answers with what it is given, one at a time."""

    path = ""

    def __init__(self) -> None:
        self.answers: list[Rules] = []
        self.asked = 0

    def ask(self) -> None:
        """Counts."""
        self.asked += 1

    def answer(self) -> Rules | None:
        """The next, if there is one."""
        return self.answers.pop(0) if self.answers else None

    def close(self) -> None:
        """Nothing runs."""


class FakePackets:
    """A source of nothing."""

    cookie, inode = COOKIE, 1

    def __init__(self) -> None:
        self.lost = 0

    def count_dropped(self) -> int:
        """What was lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost

    def losses(self) -> dict[str, tuple[int, str]]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


class FakeHands(OwnHands):
    """192.0.2.2 is ours, and nmap has a raw socket."""

    def is_local(self, path: str, address: str) -> bool:
        return address == "192.0.2.2"

    def raw_sockets(self, *_: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return ("raw socket of nmap[5]",), ()


@pytest.fixture
def wire() -> tuple[OnWire, FakeFirewall]:
    """The wire with a firewall of its own; 192.0.2.2 is ours."""
    made, firewall = OnWire(hands=FakeHands()), FakeFirewall()
    place = onwire._Place(
        path="",
        source=FakePackets(),  # type: ignore[arg-type]
        sink=Listing(),
        firewall=firewall,  # type: ignore[arg-type]
        translations=Conntrack(),
    )
    made._places = [place]
    return made, firewall


def group(count: int = 1, *, first_ns: int = 10 * SECOND, local: str = "192.0.2.2", port: int = 8080) -> Group:
    """Resets that only the wire showed."""
    empty: dict[str, Any] = dict.fromkeys(Record.__struct_fields__, 0)
    sample = Record(**{**empty, "number": 3, "local": local, "local_port": port, "direction": "sent"})
    return Group(
        number=3,
        last_number=4,
        facts=Facts(direction="sent", past_stack=True),
        count=count,
        first_ns=first_ns,
        last_ns=first_ns,
        netns=1,
        netns_cookie=COOKIE,
        port=port,
        remotes=Remotes(distinct=1, exact=True, top=()),
        samples=(sample,),
        twin=None,
    )


def rules(time_ns: int, packets: int | None, port: int = 8080) -> Rules:
    """A reading with one rule."""
    rule = Rule(key="a", text=f"the rule, counter {packets}", packets=packets, ports=((port, port),))
    return Rules(time_ns=time_ns, rules=(rule,))


def explained(wire: tuple[OnWire, FakeFirewall], found: Group, *readings: Rules) -> list[Group]:
    """What is told of a group, after these readings."""
    made, firewall = wire
    for each in readings[:-1]:
        firewall.answers = [each]
        assert made.take() == []
    made._places[0].waiting = [found]
    firewall.answers = [readings[-1]]
    return made.take()


def test_a_counter_that_moved_by_as_many_explains_them(wire: tuple[OnWire, FakeFirewall]) -> None:
    """And the rule is named."""
    (told,) = explained(wire, group(3), rules(9 * SECOND, 5), rules(12 * SECOND, 8))
    assert told.facts.reject == "moved"
    assert told.surroundings is not None
    assert told.surroundings.rules == ("the rule, counter 8",)
    assert (told.number, told.last_number, told.samples[0].number) == (-3, -4, -3)


@pytest.mark.parametrize(
    ("before", "after", "reject"),
    [
        (rules(9 * SECOND, 5), rules(12 * SECOND, 7), ""),
        (rules(9 * SECOND, 5), rules(12 * SECOND, 5), ""),
        (rules(9 * SECOND, None), rules(12 * SECOND, None), "uncounted"),
        (rules(9 * SECOND, 5, 99), rules(12 * SECOND, 9, 99), ""),
        # the only reading before is younger than the resets: the counter may have moved before it
        (rules(11 * SECOND, 5), rules(12 * SECOND, 5), "uncounted"),
        (rules(11 * SECOND, 0), rules(12 * SECOND, 0), ""),
        # the rule was loaded anew
        (rules(9 * SECOND, 50), rules(12 * SECOND, 3), "moved"),
    ],
)
def test_a_counter_that_does_not_explain_them_claims_nothing(
    wire: tuple[OnWire, FakeFirewall], before: Rules, after: Rules, reject: str
) -> None:
    """Too few, none, no counter, another port, or unknown."""
    (told,) = explained(wire, group(3), before, after)
    assert told.facts.reject == reject
    assert told.surroundings is not None
    assert told.surroundings.sockets == ("raw socket of nmap[5]",)


def test_a_firewall_that_cannot_be_read_is_not_said_to_have_no_rule(wire: tuple[OnWire, FakeFirewall]) -> None:
    """What stood in the way is told instead."""
    nothing = Rules(time_ns=12 * SECOND, unread=("nft cannot be run: No such file or directory",))
    (told,) = explained(wire, group(), nothing)
    assert told.facts.reject == "unread"
    assert told.surroundings is not None
    assert told.surroundings.rules == nothing.unread


def test_groups_that_find_no_room_are_counted(wire: tuple[OnWire, FakeFirewall]) -> None:
    """Nothing is told of them, and nothing is lost in silence."""
    made, _ = wire
    made._places[0].waiting = [group()] * onwire._MOST_WAITING

    class Merge:
        undecided = 1

        def judge(self, *_: object) -> None:
            """Nothing to do."""

        def take(self) -> list[Group]:
            return [group(5)]

        def off_wire_of(self, _cookie: int) -> int:
            return 0

    made.merge = Merge()  # type: ignore[assignment]
    made.judge(SECOND, 0, blind=0)
    assert made.losses()["wire-undecided"][0] == 6


def test_resets_in_the_name_of_others_are_counted_and_not_told(wire: tuple[OnWire, FakeFirewall]) -> None:
    """Unless a rule's counter says that it was the firewall here."""
    foreign = group(3, local="203.0.113.9")
    assert explained(wire, foreign, rules(9 * SECOND, 5), rules(12 * SECOND, 5)) == []
    assert wire[0].losses()["wire-foreign"][0] == 3
    (told,) = explained(wire, foreign, rules(12 * SECOND, 8))
    assert told.facts.reject == "moved"


def test_the_firewall_is_not_asked_for_each_group(wire: tuple[OnWire, FakeFirewall]) -> None:
    """What was found a moment ago holds for the same port."""
    explained(wire, group(3), rules(9 * SECOND, 5), rules(12 * SECOND, 8))
    asked = wire[1].asked
    wire[0]._places[0].waiting = [replace(group(2), number=9)]
    (told,) = wire[0].take()
    assert (told.facts.reject, told.number, told.count) == ("moved", -9, 2)
    assert wire[1].asked == asked


def test_after_a_loss_nothing_is_concluded_for_a_while(wire: tuple[OnWire, FakeFirewall]) -> None:
    """A loss of packets, or a reset that the kernel counted and nobody traced."""
    made, _ = wire
    doubts: list[bool] = []

    class Merge:
        undecided = 0

        def judge(self, _now: int, _epoch: int, doubtful: bool, _everything: bool) -> None:
            doubts.append(doubtful)

        def take(self) -> list[Group]:
            return []

    made.merge = Merge()  # type: ignore[assignment]
    for second, lost, blind in ((1, 0, 0), (2, 5, 0), (4, 0, 0), (5, 0, 0), (6, 0, 1), (8, 0, 1), (9, 0, 1)):
        made._places[0].source.lost = lost  # type: ignore[attr-defined]
        made.judge(second * SECOND, 0, blind=blind)
    assert doubts == [False, True, True, False, True, True, False]


def test_a_namespace_that_nobody_uses_any_more_is_let_go(
    wire: tuple[OnWire, FakeFirewall], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for its firewall is counted as undecided, and what comes of it later too."""
    made, firewall = wire
    monkeypatch.setattr(made._hands, "is_used", lambda _path: False)
    made._places[0].waiting = [group(3)]

    class Merge:
        undecided = 0

        def judge(self, *_: object) -> None:
            """Nothing to do."""

        def take(self) -> list[Group]:
            return [group(2)]

        def off_wire_of(self, _cookie: int) -> int:
            return 0

    made.merge = Merge()  # type: ignore[assignment]
    made.judge(SECOND, 0, blind=0)
    firewall.answers = [rules(9 * SECOND, 5)]
    assert made.take() == []
    assert made.losses()["wire-undecided"][0] == 5
    assert firewall.asked == 0


def test_more_namespaces_than_it_reads_are_refused_in_a_sentence() -> None:
    """What is wrong, and what to do; before any is entered."""
    with pytest.raises(SourceError, match=r"in 16 network namespaces at the most, and 64 were asked for: name fewer"):
        OnWire([f"/run/netns/{number}" for number in range(64)]).start()


@pytest.mark.parametrize(("count", "blocks"), [(1, 32), (2, 32), (4, 16), (16, 4)])
def test_the_rings_of_many_namespaces_share_their_memory(count: int, blocks: int) -> None:
    """One has four megabytes, sixteen have eight together."""
    assert OnWire([str(number) for number in range(count)])._blocks == blocks
