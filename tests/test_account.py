"""The account: what the kernel counted against what was seen, for each network namespace."""

from collections.abc import Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from whyreset import account as account_module
from whyreset.account import Account
from whyreset.model import Count, Counters, Direction, Facts, Group, Remotes

FIGURES = (
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
)
SENT, RECEIVED = 1, 2
PAST_STACK = Facts(direction="sent", past_stack=True)
Tallies = dict[tuple[int, int], tuple[int, int]]


def counters(cookie: int, sent: int, netns: int = 9, **others: int) -> Counters:
    """What the kernel counted in one namespace."""
    return Counters(netns=netns, netns_cookie=cookie, values={"OutRsts": sent, **others})


def group(cookie: int, count: int = 1, direction: Direction = "sent", netns: int = 9) -> Group:
    """Resets that were seen."""
    return Group(
        number=1,
        facts=Facts(direction=direction),
        count=count,
        first_ns=0,
        last_ns=0,
        netns=netns,
        netns_cookie=cookie,
        port=80,
        remotes=Remotes(distinct=1, exact=True, top=()),
        samples=(),
        twin=None,
    )


def only(lines: list[Count]) -> Count:
    """The one line."""
    [line] = lines
    return line


def figures(line: Count) -> dict[str, int]:
    """Its figures that are not 0."""
    return {name: getattr(line, name) for name in FIGURES if getattr(line, name)}


def test_what_was_read_of_a_namespace_is_told_by_its_cookie() -> None:
    """Its inode number and the kernel's latest counters; of one that is not known nothing."""
    account = Account([counters(7, sent=3)], {})
    account.read([counters(7, sent=5, netns=12, ListenDrops=4)], {})
    assert account.inode(7) == 12
    assert account.latest(7) == {"OutRsts": 5, "ListenDrops": 4}
    assert (account.inode(8), account.latest(8)) == (0, {})


def test_what_was_counted_and_seen_before_is_nobodys() -> None:
    """Both sides begin at their baseline: old counters and old losses are not in the figures."""
    account = Account([counters(1, 1000, RetransSegs=5)], {(1, SENT): (50, 7), (1, RECEIVED): (9, 3)})
    account.read([counters(1, 1000, RetransSegs=5)], {(1, SENT): (50, 7), (1, RECEIVED): (9, 3)})
    assert account.lines(0) == []
    assert set(account.totals().values()) == {0}


def test_resets_that_were_counted_and_seen_close_the_account() -> None:
    """Counted equals seen, and seen is what was explained and what was not."""
    account = Account([counters(1, 1000)], {})
    account.book(group(1, 3), unknown=False)
    account.book(group(1, 2), unknown=True)
    account.book(group(1, 4, "received"), unknown=True)
    account.read([counters(1, 1005)], {(1, SENT): (5, 0), (1, RECEIVED): (4, 0)})
    line = only(account.lines(77))
    assert figures(line) == {"counted": 5, "seen": 5, "explained": 3, "unknown": 2, "received": 4}
    assert (line.time_ns, line.netns, line.netns_cookie, line.gone) == (77, 9, 1, False)
    assert line.delta == {name: getattr(line, name) for name in FIGURES}


@pytest.mark.parametrize(
    ("counted", "seen", "lost", "expected"),
    [
        (5, 3, 0, {"unseen": 2}),
        (5, 3, 2, {"lost": 2}),
        (5, 3, 1, {"lost": 1, "unseen": 1}),
        (3, 5, 0, {"uncounted": 2}),
        (3, 2, 2, {"lost": 2, "uncounted": 1}),
    ],
)
def test_what_differs_has_a_name(counted: int, seen: int, lost: int, expected: dict[str, int]) -> None:
    """What was counted and not seen was lost or unseen; what was seen and not counted is uncounted."""
    account = Account([counters(1, 0)], {})
    account.book(group(1, seen), unknown=False)
    account.read([counters(1, counted)], {(1, SENT): (seen + lost, lost)})
    told = figures(only(account.lines(0)))
    assert told == {"counted": counted, "seen": seen, "explained": seen} | expected


@pytest.mark.parametrize(
    ("traced", "lost", "pending"), [(5, 0, 2), (4, 0, 1), (5, 1, 1), (3, 0, 0), (2, 0, 0), (9, 0, 2)]
)
def test_what_was_traced_and_not_read_yet_is_pending(traced: int, lost: int, pending: int) -> None:
    """It is unseen for a moment only; never more of it than is unseen."""
    account = Account([counters(1, 0)], {(1, SENT): (100, 7)})
    account.book(group(1, 3), unknown=False)
    account.read([counters(1, 5 + lost)], {(1, SENT): (100 + traced, 7 + lost)})
    line = only(account.lines(0))
    assert (line.unseen, line.pending) == (2, pending)


def test_resets_received_that_the_ring_lost_are_told() -> None:
    """Losses are kept by direction."""
    account = Account([counters(1, 0)], {})
    account.read([counters(1, 0)], {(1, RECEIVED): (8, 6)})
    assert figures(only(account.lines(0))) == {"received_lost": 6}


def test_only_namespaces_in_which_something_moved_have_a_line() -> None:
    """Silence costs no lines, unless everything is asked for."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(1, 0), counters(2, 1)], {})
    assert [line.netns_cookie for line in account.lines(0)] == [2]
    account.read([counters(1, 0), counters(2, 1)], {})
    assert account.lines(0) == []
    assert [line.netns_cookie for line in account.lines(0, everything=True)] == [1, 2]


def test_other_counters_that_moved_are_told_once() -> None:
    """Counters beside OutRsts come as what they moved by since the last line; those not read again did not move."""
    account = Account([counters(1, 0, ListenDrops=5, EstabResets=1)], {})
    account.read([counters(1, 0, ListenDrops=7, EstabResets=1)], {})
    assert only(account.lines(0)).moved == {"ListenDrops": 2}
    account.read([counters(1, 0)], {})
    assert account.lines(0) == []
    account.read([counters(1, 0, ListenDrops=8, EstabResets=1)], {})
    assert only(account.lines(0)).moved == {"ListenDrops": 1}


def test_a_namespace_that_began_later_is_counted_from_its_beginning() -> None:
    """All that a new namespace ever counted happened under our eyes."""
    account = Account([], {})
    account.read([counters(5, 3, ListenDrops=4)], {})
    account.book(group(5, 3), unknown=False)
    line = only(account.lines(0))
    assert figures(line) == {"counted": 3, "seen": 3, "explained": 3}
    assert line.moved == {"ListenDrops": 4}


def test_a_namespace_that_took_anothers_inode_number_is_another() -> None:
    """Inode numbers are used again at once; cookies never are."""
    account = Account([counters(1, 100, netns=7)], {})
    account.read([counters(2, 4, netns=7)], {})
    lines = {line.netns_cookie: (line.netns, line.counted, line.gone) for line in account.lines(0)}
    assert lines == {1: (7, 0, True), 2: (7, 4, False)}


def test_a_namespace_that_is_gone_says_so_once() -> None:
    """Its last line says that later resets are not in it; then it is silent, also when everything is asked for."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(2, 0)], {})
    assert [(line.netns_cookie, line.gone) for line in account.lines(0)] == [(1, True)]
    account.read([counters(2, 0)], {})
    assert account.lines(0) == []
    assert [line.netns_cookie for line in account.lines(0, everything=True)] == [2]


def test_namespaces_that_are_watched_are_those_that_are_there() -> None:
    """Not those that are gone, nor what stands for resets of none."""
    account = Account([counters(1, 0, netns=11), counters(2, 0, netns=12)], {})
    account.book(group(0), unknown=False)
    account.read([counters(1, 0, netns=11)], {})
    assert account.namespaces() == [11]


def test_resets_of_a_namespace_that_is_gone_are_still_told() -> None:
    """A reset is judged some milliseconds after it was sent: its namespace may have been said to be gone by then."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(2, 0)], {})
    account.lines(0)
    account.book(group(1, 2), unknown=False)
    line = only(account.lines(0))
    assert (figures(line), line.gone) == ({"seen": 2, "explained": 2, "uncounted": 2}, True)
    assert account.lines(0) == []


def test_a_namespace_that_lived_between_two_readings_is_told() -> None:
    """What was seen of it is booked, though nobody ever read its counters."""
    account = Account([counters(2, 0)], {})
    account.book(group(1, 2, netns=8), unknown=False)
    account.read([counters(2, 0)], {})
    line = only(account.lines(0))
    assert (line.netns, figures(line), line.gone) == (8, {"seen": 2, "explained": 2, "uncounted": 2}, True)


def test_resets_lost_in_a_namespace_of_which_nothing_else_is_known_are_told() -> None:
    """The kernel program's tallies alone tell of a namespace that lived and flooded between two readings."""
    account = Account([counters(2, 0)], {})
    account.read([counters(2, 0)], {(1, SENT): (9, 9)})
    assert figures(only(account.lines(0))) == {"lost": 9, "uncounted": 9}
    assert account.totals()["lost"] == 9


def test_a_reading_of_nothing_ends_no_namespace() -> None:
    """A reading that failed is no news."""
    account = Account([counters(1, 0)], {})
    account.read([], {})
    assert account.lines(0) == []


def test_a_namespace_that_was_missing_and_is_back_was_never_gone() -> None:
    """More namespaces than one reading holds come and go in it; their accounts go on."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(2, 0)], {})
    account.lines(0)
    account.read([counters(1, 3), counters(2, 0)], {})
    line = only(account.lines(0))
    assert (line.counted, line.gone) == (3, False)


def test_resets_of_no_known_namespace_are_never_gone() -> None:
    """What could not be told apart is booked on cookie 0, which no reading ever holds."""
    account = Account([counters(1, 0)], {})
    for _ in range(2):
        account.book(group(0, 5, netns=0), unknown=True)
        account.read([counters(1, 0)], {})
        line = only(account.lines(0))
        assert (line.netns_cookie, line.gone, line.delta["unknown"]) == (0, False, 5)


def test_namespaces_are_bounded_and_totals_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The namespaces that are gone make room for new ones; what they came to stays in the totals."""
    monkeypatch.setattr(account_module, "_CAPACITY", 4)
    account = Account([counters(1000, 0)], {})
    total = 0
    for cookie in range(1, 51):
        account.book(group(cookie, cookie), unknown=cookie % 2 == 0)
        total += cookie
        account.read([counters(1000, 0)], {})
        account.lines(0)
        assert len(account._sides) <= 4
    assert account.totals()["seen"] == total
    assert account.totals()["uncounted"] == total


def test_namespaces_that_are_gone_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose namespaces come and go remembers the latest of them, and all that they came to."""
    monkeypatch.setattr(account_module, "_GONE", 3)
    account = Account([counters(1000, 0)], {})
    for cookie in range(1, 51):
        account.read([counters(1000, 0), counters(cookie, 2)], {})
        account.book(group(cookie, 2), unknown=False)
        account.lines(0)
        account.read([counters(1000, 0)], {})
        account.lines(0)
        assert len(account._sides) <= 6
    assert account.totals() == account.totals() | {"counted": 100, "seen": 100, "explained": 100, "unseen": 0}


def test_more_living_namespaces_than_there_is_room_are_booked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound namespaces are not told apart, and nothing is lost."""
    monkeypatch.setattr(account_module, "_CAPACITY", 4)
    account = Account([], {})
    for cookie in range(1, 101):
        account.book(group(cookie, 2), unknown=False)
    assert len(account._sides) <= 5
    assert account.totals()["seen"] == 200
    lines = {(line.netns_cookie, line.netns): line.seen for line in account.lines(0)}
    assert lines == {(1, 9): 2, (2, 9): 2, (3, 9): 2, (4, 9): 2, (0, 0): 192}


@pytest.mark.parametrize(("direction", "figure"), [(SENT, "lost"), (RECEIVED, "received_lost")])
def test_losses_of_a_namespace_that_was_forgotten_are_not_told_again(
    monkeypatch: pytest.MonkeyPatch, direction: int, figure: str
) -> None:
    """The kernel program's tallies outlive the account's memory of a namespace; only what is new of them counts."""
    monkeypatch.setattr(account_module, "_CAPACITY", 2)
    account = Account([counters(2, 0)], {(1, direction): (4, 4)})
    account.read([counters(2, 0)], {(1, direction): (13, 13)})
    assert figures(only(account.lines(0)))[figure] == 9
    account.read([counters(2, 0), counters(3, 0)], {(1, direction): (13, 13)})
    account.read([counters(2, 0)], {(1, direction): (13, 13)})
    assert [line.netns_cookie for line in account.lines(0)] == [3]
    assert account.totals()[figure] == 9
    account.read([counters(2, 0)], {(1, direction): (15, 15)})
    assert figures(only(account.lines(0)))[figure] == 2
    assert account.totals()[figure] == 11


def test_what_is_not_told_yet_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace that is gone makes no room while something of it is still to be told."""
    monkeypatch.setattr(account_module, "_CAPACITY", 2)
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(2, 0)], {})
    account.lines(0)
    account.book(group(1, 5), unknown=False)
    account.book(group(3, 7), unknown=False)
    assert {line.netns_cookie: line.seen for line in account.lines(0)} == {1: 5, 0: 7}


class Namespace:
    """One namespace as the kernel and its program see it."""

    def __init__(self, cookie: int, inode: int) -> None:
        self.cookie = cookie
        self.inode = inode
        self.counted = 0
        self.seen = 0
        self.lost = 0


def holds(each: Mapping[str, int]) -> bool:
    """The account's two identities."""
    return holds_in_sum(each) and 0 in (each["uncounted"], each["unseen"]) and min(each.values()) >= 0


def holds_in_sum(each: Mapping[str, int]) -> bool:
    """The identities over several namespaces, where one's unseen and another's uncounted stand side by side."""
    return (
        each["counted"] + each["uncounted"] == each["seen"] + each["lost"] + each["unseen"]
        and each["seen"] == each["explained"] + each["unknown"]
    )


class Life(RuleBasedStateMachine):
    """Namespaces come, send, lose, go, and leave their inode numbers to others; the agent comes by now and then."""

    forgets = False

    def __init__(self) -> None:
        super().__init__()
        self.cookies = 0
        self.alive: list[Namespace] = []
        self.tallies: Tallies = {}
        self.pending: list[tuple[Group, bool]] = []
        self.account: Account | None = None
        self.sums = dict.fromkeys(FIGURES, 0)
        self.last: dict[int, dict[str, int]] = {}
        self.booked = 0
        self.unknown = 0
        self.received = 0
        self.lost_before = 0

    @rule(inode=st.integers(1, 3))
    def begin(self, inode: int) -> None:
        """A namespace begins."""
        self.cookies += 1
        self.alive.append(Namespace(self.cookies, inode))

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        """A namespace ends, between two readings as it happens."""
        self.alive.pop(which % len(self.alive))

    @precondition(lambda self: self.alive)
    @rule(
        which=st.integers(0, 99),
        counted=st.integers(0, 5),
        seen=st.integers(0, 5),
        lost=st.integers(0, 5),
        direction=st.sampled_from(["sent", "sent", "received"]),
        unknown=st.booleans(),
    )
    def act(self, which: int, counted: int, seen: int, lost: int, direction: Direction, unknown: bool) -> None:
        """Resets are sent or received; what the kernel counts, traces and loses need not agree."""
        namespace = self.alive[which % len(self.alive)]
        number = SENT if direction == "sent" else RECEIVED
        namespace.counted += counted if direction == "sent" else 0
        traced, gone = self.tallies.get((namespace.cookie, number), (0, 0))
        self.tallies[namespace.cookie, number] = (traced + seen + lost, gone + lost)
        if seen:
            self.pending.append((group(namespace.cookie, seen, direction, namespace.inode), unknown))

    def reading(self) -> list[Counters]:
        """What the walk over namespaces finds now."""
        return [counters(each.cookie, each.counted, each.inode, Moves=each.counted // 2) for each in self.alive]

    @precondition(lambda self: self.account is None)
    @rule()
    def watch(self) -> None:
        """Watching begins; what came before is forgotten."""
        self.pending.clear()
        self.account = Account(self.reading(), dict(self.tallies))
        self.lost_before = sum(lost for (cookie, way), (_, lost) in self.tallies.items() if way == SENT)

    @precondition(lambda self: self.account is not None)
    @rule(everything=st.booleans(), late=st.booleans())
    def tick(self, everything: bool, late: bool) -> None:
        """The agent comes by; records may be judged only after the counters were read."""
        assert self.account is not None
        if not late:
            self.book()
        self.account.read(self.reading(), dict(self.tallies))
        if late:
            self.book()
        self.take(self.account.lines(1, everything=everything))

    def book(self) -> None:
        """The pipeline's results."""
        assert self.account is not None
        for each, unknown in self.pending:
            self.account.book(each, unknown=unknown)
            self.booked += each.count if each.facts.direction == "sent" else 0
            self.unknown += each.count if each.facts.direction == "sent" and unknown else 0
            self.received += each.count if each.facts.direction == "received" else 0
        self.pending.clear()

    def take(self, lines: list[Count]) -> None:
        """Lines continue the ones before."""
        assert len({line.netns_cookie for line in lines}) == len(lines)
        for line in lines:
            now = {name: getattr(line, name) for name in FIGURES}
            assert holds(now)
            before = self.last.get(line.netns_cookie, dict.fromkeys(FIGURES, 0))
            if not self.forgets:
                assert line.delta == {name: now[name] - before[name] for name in FIGURES}
            self.last[line.netns_cookie] = now
            for name in FIGURES:
                self.sums[name] += line.delta[name]

    @precondition(lambda self: self.account is not None)
    @invariant()
    def nothing_is_missing(self) -> None:
        """After a last reading all that was ever told sums to the totals, and these are what happened."""
        assert self.account is not None
        totals = self.account.totals()
        assert totals["seen"] == self.booked
        assert totals["unknown"] == self.unknown
        assert totals["received"] == self.received
        assert totals["seen"] == totals["explained"] + totals["unknown"]

    def teardown(self) -> None:
        """The last visit."""
        if self.account is None:
            return
        self.tick(everything=True, late=False)
        assert self.sums == self.account.totals()
        assert holds_in_sum(self.sums)
        if self.forgets:
            return
        lost = sum(lost for (cookie, way), (_, lost) in self.tallies.items() if way == SENT)
        assert self.sums["lost"] == lost - self.lost_before


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


class CrowdedLife(Life):
    """The same with room for few namespaces: lines may begin anew, but sums and totals still agree."""

    forgets = True

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(account_module, "_CAPACITY", 2)

    def teardown(self) -> None:
        """The last visit."""
        try:
            super().teardown()
        finally:
            self.patch.undo()


TestCrowdedLife = CrowdedLife.TestCase
TestCrowdedLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_the_baseline_of_a_namespace_that_ended_before_is_kept() -> None:
    """Losses of a namespace that was gone before watching began belong to nobody."""
    account = Account([counters(2, 0)], {(1, SENT): (9, 9)})
    account.read([counters(2, 0)], {(1, SENT): (9, 9)})
    assert account.lines(0) == []
    assert account.totals()["lost"] == 0


def test_a_namespace_is_settled_when_its_end_is_told() -> None:
    """The kernel program may forget its tallies then, and what they had come to stays."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.book(group(1, 2), unknown=False)
    account.read([counters(2, 0)], {(1, SENT): (5, 3)})
    assert account.settled() == set()
    assert figures(only(account.lines(0)))["lost"] == 3
    assert account.settled() == {1}
    account.read([counters(2, 0)], {})
    account.read([counters(2, 0)], {(1, SENT): (1, 0)})
    assert account.lines(0) == []
    assert account.totals()["lost"] == 3


def test_what_went_past_the_stack_is_in_no_other_figure() -> None:
    """The kernel did not count it."""
    account = Account([counters(1, 5)], {})
    past = Group(**{**{n: getattr(group(1, 3), n) for n in Group.__struct_fields__}, "facts": PAST_STACK})
    account.book(past, unknown=False)
    assert figures(only(account.lines(0))) == {"past_stack": 3}
    assert account.totals()["past_stack"] == 3


def test_what_never_left_is_told_when_it_is_known() -> None:
    """Some seconds after the reset itself; where packets are not read nothing is said of it."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    left = {1: 0}
    assert account.lines(0, off_wire=left.get) == []
    left[1] = 2
    line = only(account.lines(0, off_wire=left.get))
    assert (line.netns_cookie, line.off_wire) == (1, 2)
    assert account.lines(0, off_wire=left.get) == []


def test_blind_is_what_was_lost_and_what_nobody_traced() -> None:
    """What waits to be read is not: it was traced. Other namespaces do not count."""
    account = Account([counters(1, 0), counters(2, 0)], {})
    account.read([counters(1, 9), counters(2, 4)], {(1, SENT): (7, 3), (2, SENT): (4, 0)})
    assert account.blind([1, 2, 9]) == 3 + 2
    assert account.blind([2]) == 0
