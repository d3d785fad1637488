"""Groups are bounded: what finds no room is put together, and still counted."""

import itertools
from typing import Any

from tests.core.fake_ring import LETTERS, REASONS, Bench, received, reset
from tests.core.layout import ResetEvent
from whyreset.model import Group


def syn(**fields: Any) -> ResetEvent:
    """A SYN for a closed port."""
    return reset(**{"trigger": "S", **fields})


def test_a_group_keeps_a_few_samples_and_counts_all() -> None:
    """More samples than one group may hold are only counted; those kept are the first."""
    group = Bench(samples_per_group=2).group(*[syn(remote_port=port) for port in range(1, 11)])
    assert group.count == 10
    assert [each.remote_port for each in group.samples] == [1, 2]


def test_all_samples_together_are_limited_and_later_groups_still_get_one() -> None:
    """Groups that came first do not eat up the room: each one after them has its first sample."""
    bench = Bench(group_limit=8, sample_limit=16, samples_per_group=10)
    groups = bench.groups(*[syn(local_port=port) for port in range(1, 9) for _ in range(10)])
    kept = [len(group.samples) for group in groups]
    assert sum(kept) <= 16
    assert min(kept) == 1
    assert kept[0] > 1
    assert all(group.count == 10 for group in groups)


def test_without_room_a_group_has_no_sample_and_counts() -> None:
    """Beyond the last sample there are groups without one."""
    groups = Bench(group_limit=8, sample_limit=2).groups(*[syn(local_port=port) for port in range(1, 5)])
    assert [len(group.samples) for group in groups] == [1, 1, 0, 0]
    assert [group.count for group in groups] == [1, 1, 1, 1]


def crowded(groups: list[Group]) -> list[Group]:
    """Those that stand for all that did not fit."""
    return [group for group in groups if group.facts.crowded]


def test_beyond_the_limit_ports_and_processes_are_not_told_apart() -> None:
    """What finds no room is put together by facts and namespace, and every record is counted."""
    bench = Bench(group_limit=4)
    records = [
        syn(local_port=port, owner_pid=port, owner_start_ns=port, closer_pid=port, exit_code=port)
        for port in range(1, 101)
    ]
    groups = bench.groups(*records)
    [rest] = crowded(groups)
    assert (len(groups), rest.count, bench.recorder.crowded) == (5, 96, 96)
    assert (rest.port, rest.facts.reason, rest.facts.trigger) == (None, "NO_SOCKET", "S")
    assert (rest.netns_cookie, rest.netns) == (77, 4026532000)
    assert sum(group.count for group in groups) == len(records)


def test_a_group_that_is_there_goes_on_when_others_find_no_room() -> None:
    """The limit holds for new groups; known ones go on counting."""
    bench = Bench(group_limit=1)
    groups = bench.groups(syn(), syn(local_port=1), syn(), syn(local_port=2), syn())
    assert [(group.count, group.facts.crowded) for group in groups] == [(3, False), (2, True)]


def test_crowded_groups_keep_namespaces_and_facts_apart() -> None:
    """What is beyond the limit in one namespace is not booked on another, and reasons are kept."""
    bench = Bench(group_limit=1)
    records = [
        syn(netns_cookie=cookie, netns_inode=cookie, local_port=port, reason=reason)
        for cookie in (1, 2)
        for port in (1, 2, 3)
        for reason in ("NO_SOCKET", "TCP_FLAGS")
    ]
    told = {(each.netns_cookie, each.facts.reason): each.count for each in crowded(bench.groups(*records))}
    assert told == {(1, "NO_SOCKET"): 2, (1, "TCP_FLAGS"): 3, (2, "NO_SOCKET"): 3, (2, "TCP_FLAGS"): 3}


def every_kind(cookies: range) -> list[ResetEvent]:
    """More kinds of resets than the table has groups, in each of these namespaces."""
    return [
        reset(
            trigger="".join(letter for i, letter in enumerate(LETTERS) if bits >> i & 1),
            trigger_length=length,
            reason=reason,
            netns_cookie=cookie,
            netns_inode=cookie,
        )
        for cookie in cookies
        for bits, length, reason in itertools.product(range(64), (0, 1), REASONS[:10])
    ]


def test_more_kinds_than_the_table_holds_are_counted_by_namespace() -> None:
    """A peer who sends every kind of segment fills the table, and yet each namespace's account stays right."""
    bench = Bench(size=1 << 22)
    groups = bench.groups(*every_kind(range(1, 6)))
    counts: dict[int, int] = {}
    for group in groups:
        counts[group.netns_cookie] = counts.get(group.netns_cookie, 0) + group.count
    assert counts == dict.fromkeys(range(1, 6), 1280)
    assert len(groups) <= 1024


def test_more_namespaces_than_the_table_holds_are_counted() -> None:
    """Beyond all limits only the direction is told, and still every record is in some group."""
    bench = Bench(size=1 << 22)
    records = every_kind(range(1, 2))
    records += [syn(netns_cookie=cookie, local_port=cookie % 7) for cookie in range(1, 3000)]
    records += [received(netns_cookie=cookie) for cookie in range(1, 3000)]
    groups = bench.groups(*records)
    assert sum(group.count for group in groups) == len(records)
    assert len(groups) <= 1024
    last = {group.facts.direction: group.count for group in groups if group.netns_cookie == 0}
    assert set(last) == {"sent", "received"}
    assert all(group.facts.crowded and group.port is None for group in groups if group.netns_cookie == 0)
    # and the table works again after that
    assert bench.group(syn()).port == 8080


def test_one_kind_leaves_room_for_single_records_of_the_others() -> None:
    """However many ports a flood goes to, what it keeps is bounded by kind, and others keep theirs."""
    bench = Bench(group_limit=64, sample_limit=100, samples_per_group=50, samples_per_kind=10)
    flood = [syn(local_port=port, remote_port=number) for number in range(1, 41) for port in (80, 81)]
    groups = bench.groups(*flood, *[reset(trigger="F", remote_port=number) for number in range(1, 11)])
    kept = {(group.facts.trigger, group.port): len(group.samples) for group in groups}
    assert kept["S", 80] + kept["S", 81] == 2 + 10
    assert kept["F", 8080] == 10
