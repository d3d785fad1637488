"""What is kept of a flood: like ones are one, rare ones keep their room, and what is not told apart still counts."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from tests.outputs import values
from tests.outputs.values import EPOCH
from whyreset.model import Count, Remotes, Reset
from whyreset.outputs.store import bodies, merging
from whyreset.outputs.store.kinds import BY_TYPE, KINDS, Kind
from whyreset.outputs.store.window import REST, Window

KIND: Kind = BY_TYPE[Reset]


def window(*resets: Reset) -> Window:
    """A window that took these."""
    out = Window(KIND, 1, 0)
    for reset in resets:
        out.add(reset)
    return out


def test_like_resets_become_one() -> None:
    """With both counts, the first's beginning, the last's evidence, and the addresses of both."""
    one = values.reset(number=1, count=2, evidence=("before",))
    other = values.reset(
        number=9,
        count=3,
        time_ns=EPOCH + 5,
        last_ns=EPOCH + 9_000,
        evidence=("after",),
        remotes=Remotes(distinct=2, exact=True, top=(("192.0.2.9", 2), ("192.0.2.1", 1))),
    )
    for pair in ((one, other), (other, one)):
        (merged,) = window(*pair).piece().values
        assert (merged.number, merged.count, merged.time_ns, merged.last_ns) == (1, 5, EPOCH, EPOCH + 9_000)
        assert merged.evidence == ("after",)
        assert merged.remotes == Remotes(distinct=2, exact=True, top=(("192.0.2.1", 3), ("192.0.2.9", 2)))


def test_what_differs_stays_apart() -> None:
    """By direction, cause, port, owner, closer and namespace."""
    resets = (
        values.reset(),
        values.reset(facts={"direction": "received"}),
        values.reset(port=443),
        values.reset(owner=values.owner()),
        values.reset(closer=values.process()),
        values.reset(sample={"netns_cookie": 4}),
    )
    assert len(window(*resets)) == len(resets)


def test_an_estimate_stays_a_lower_bound() -> None:
    """Nobody knows whether two estimates are of the same addresses."""
    many = values.reset(remotes=Remotes(distinct=9_000, exact=False, top=(("192.0.2.1", 3),)))
    (merged,) = window(many, many).piece().values
    assert (merged.remotes.distinct, merged.remotes.exact) == (9_000, False)


def test_a_scan_leaves_room_for_services() -> None:
    """Its ports fill half of a window at most; a service's reset after it still has its owner."""
    scan = [values.reset(port=port) for port in range(1, 60_000)]
    full = window(*scan, values.reset(port=443, owner=values.owner()))
    assert len(full) <= KIND.most // 2 + 2
    assert sum(reset.count for reset in full.piece().values) == len(scan) + 1
    assert any(reset.owner and reset.port == 443 for reset in full.piece().values)
    crowd = max(full.piece().values, key=lambda reset: reset.count)
    assert (crowd.port, crowd.owner, crowd.facts.crowded, crowd.sample.remote) == (None, None, True, "")
    assert full.lost == 0


@given(st.lists(st.tuples(st.integers(0, 9_999), st.booleans(), st.integers(0, 9_999)), max_size=3_000))
def test_a_window_is_bounded_and_counts_everything(those: list[tuple[int, bool, int]]) -> None:
    """Whatever comes: what is in it and what was lost is all that came."""
    full = window()
    for port, owned, cookie in those:
        owner = values.owner(pid=port) if owned else None
        full.add(values.reset(port=port, owner=owner, sample={"netns_cookie": cookie}))
    assert len(full) <= KIND.most + REST
    kept = full.piece().values if len(full) else ()
    assert sum(reset.count for reset in kept) + full.lost == len(those)
    assert full.weight + full.lost == len(those)


def test_an_account_goes_on() -> None:
    """Its figures are the later's, what moved meanwhile is added up."""
    one = values.count(counted=3, delta={"counted": 3}, moved={"a": 1})
    other = values.count(counted=5, delta={"counted": 2, "seen": 2}, moved={"a": 1, "b": 4})
    both = Window(BY_TYPE[Count], 1, 0)
    both.add(one)
    both.add(other)
    (merged,) = both.piece().values
    assert (merged.counted, merged.delta, merged.moved) == (5, {"counted": 5, "seen": 2}, {"a": 2, "b": 4})


def test_each_value_comes_back_as_it_was() -> None:
    """Of every kind, from the bytes of a row."""
    samples = (
        values.reset(owner=values.owner(), closer=values.process(), count=3),
        values.count(),
        values.notice(),
        values.alert(),
    )
    for value in samples:
        body, bad = bodies.encode([value])
        assert bad == 0
        assert bodies.decode(BY_TYPE[type(value)], body) == [value]


def test_what_is_no_text_costs_only_itself() -> None:
    """A value that cannot be written is counted; the others of its row are."""
    bad = values.notice(text="\udc80")
    body, lost = bodies.encode([values.notice(), bad])
    assert (bodies.decode(BY_TYPE[type(bad)], body), lost) == ([values.notice()], 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_harm(body: bytes) -> None:
    """What a damaged row holds is values of that kind, or nothing."""
    for kind in KINDS:
        found = bodies.decode(kind, body)
        assert found is None or all(type(each) is kind.of for each in found)


def test_a_bomb_is_not_unpacked() -> None:
    """A row that would be larger than any of ours is none."""
    assert bodies.decode(KIND, zlib.compress(bytes(bodies.BODY_MAX + 1))) is None


def test_kinds_have_names_and_shares_of_their_own() -> None:
    """One name and one type each; nothing is without room."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) == len(BY_TYPE)
    assert all(kind.share > 0 and kind.most > 1 for kind in KINDS)
    assert merging.ADDRESSES > 1
