"""Like values become one: what is counted, merged over some seconds, so that a flood does not fill the history."""

from __future__ import annotations

from collections.abc import Hashable

from msgspec.structs import replace

from whyreset.model import Count, Notice, Process, Remotes, Reset

#: Addresses that are named of merged resets.
ADDRESSES = 16


def reset_key(reset: Reset) -> Hashable:
    """What resets have in common that become one."""
    sample, owner = reset.sample, reset.owner
    return (
        reset.facts.direction,
        reset.cause.name,
        reset.cause.certainty,
        sample.netns_cookie or sample.netns,
        reset.port,
        _process_key(owner.process if owner else None),
        _process_key(reset.closer),
        reset.stop is not None,
    )


def merge_resets(one: Reset, other: Reset) -> Reset:
    """Both as one: all but the counts, the beginning and the remotes is of the later."""
    earlier, later = (one, other) if one.last_ns <= other.last_ns else (other, one)
    return replace(
        later,
        number=earlier.number,
        count=one.count + other.count,
        on_wire=one.on_wire + other.on_wire,
        time_ns=min(one.time_ns, other.time_ns),
        remotes=_merge_remotes(_remotes(one), _remotes(other)),
    )


def crowd(reset: Reset) -> Reset:
    """What is left of a reset where there is no room for its port and its owner: cause, direction and namespace."""
    sample = replace(reset.sample, local="", local_port=0, remote="", remote_port=0, trigger=None)
    return replace(
        reset,
        port=None,
        owner=None,
        stop=None,
        closer=None,
        peer=None,
        twin=None,
        sample=sample,
        facts=replace(reset.facts, crowded=True),
    )


def merge_counts(one: Count, other: Count) -> Count:
    """The account is the later's, since its figures go on; what is of one line alone is added up."""
    return replace(other, delta=_sum(one.delta, other.delta), moved=_sum(one.moved, other.moved))


def merge_notices(one: Notice, other: Notice) -> Notice:
    """One of its text, with both counts."""
    return replace(other, time_ns=one.time_ns, count=one.count + other.count)


def _process_key(process: Process | None) -> tuple[int, int]:
    return (process.pid, process.start_ns) if process else (0, 0)


def _remotes(reset: Reset) -> Remotes:
    if reset.remotes is not None:
        return reset.remotes
    top = ((reset.sample.remote, reset.count),) if reset.sample.remote else ()
    return Remotes(distinct=len(top), exact=True, top=top)


def _merge_remotes(one: Remotes, other: Remotes) -> Remotes:
    """Joined by the addresses that they name; where not all are named, the number is a lower bound and not exact."""
    counts = dict(one.top)
    for address, many in other.top:
        counts[address] = counts.get(address, 0) + many
    complete = all(each.exact and each.distinct == len(each.top) for each in (one, other))
    named = sorted(counts.items(), key=lambda each: -each[1])
    return Remotes(
        distinct=max(len(counts), one.distinct, other.distinct),
        exact=complete and len(named) <= ADDRESSES,
        top=tuple(named[:ADDRESSES]),
    )


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}
