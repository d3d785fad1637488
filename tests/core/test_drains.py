"""Visits: when the reader comes by, and how often, changes nothing in what it finds."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench, close, received, reset
from tests.core.layout import CloseEvent, ResetEvent
from whyreset.model import Group

Records = list[ResetEvent | CloseEvent]
MICROSECOND = 1_000
KINDS = ("closed port", "own reset", "in flight", "stray", "echo", "twin", "received", "TIME-WAIT", "ss -K")


def story(kind: str, number: int, at: int) -> Records:
    """What the kernel writes in one little story on a four-tuple of its own."""
    tuple_: dict[str, Any] = {"local_port": 1000 + number % 3, "remote_port": 10_000 + number}
    own: dict[str, Any] = {"socket_cookie": 100 + number, **tuple_}
    shut = close(time_ns=at, state_before="ESTABLISHED", **own)
    ended = reset(time_ns=at + 2 * MICROSECOND, state="CLOSE", reason="TCP_ABORT_ON_CLOSE", **own)
    match kind:
        case "closed port":
            return [reset(time_ns=at, trigger="S", **tuple_)]
        case "own reset":
            return [shut, ended]
        case "in flight":
            return [shut, reset(time_ns=at + MICROSECOND, trigger="A", **tuple_), ended]
        case "stray":
            last = close(time_ns=at, state_before="LAST_ACK", **own)
            return [last, reset(time_ns=at + SECOND, trigger="PA", trigger_length=1, **tuple_)]
        case "echo":
            echo = received(time_ns=at, state="FIN_WAIT2", **own)
            return [
                echo,
                reset(time_ns=at + MICROSECOND, state="CLOSE", trigger="PA", reason="TCP_ABORT_ON_DATA", **own),
            ]
        case "twin":
            there: dict[str, Any] = {"local": "192.0.2.1", "remote": "192.0.2.2", "local_port": 10_000 + number}
            there |= {"remote_port": 1000 + number % 3, "named": ["ACTIVE_OPEN"]}
            return [shut, ended, received(time_ns=at + 9 * MICROSECOND, **there)]
        case "received":
            return [received(time_ns=at, **own)]
        case "TIME-WAIT":
            wait = close(time_ns=at, state_before="FIN_WAIT2", **own)
            return [
                wait,
                reset(time_ns=at + SECOND, state="TIME_WAIT", reason="TCP_TIMEWAIT_SOCKET", trigger="PA", **own),
            ]
        case _:
            killed = reset(time_ns=at, state="ESTABLISHED", reason="TCP_STATE", **own)
            return [killed, close(time_ns=at + MICROSECOND, state_before="ESTABLISHED", **own)]


def written(stories: list[tuple[str, int]]) -> Records:
    """All stories, in the order of time."""
    records = [record for n, (kind, at) in enumerate(stories) for record in story(kind, n, NOW + at * MICROSECOND)]
    return sorted(records, key=lambda record: record.time_ns)


def totals(groups: list[Group], *, flushed: bool = False) -> Counter[tuple[object, ...]]:
    """How many resets of each kind. A sent group that was flushed before its twin came does not know of it."""
    sums: Counter[tuple[object, ...]] = Counter()
    for group in groups:
        has_twin = group.twin is not None and not (flushed and group.facts.direction == "sent")
        sums[group.facts, group.netns_cookie, group.port, has_twin] += group.count
    return sums


STORIES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 20_000)), max_size=25)


@settings(max_examples=200, deadline=None)
@given(stories=STORIES, visits=st.lists(st.integers(0, 1_100_000), max_size=12))
def test_one_visit_finds_what_many_find(stories: list[tuple[str, int]], visits: list[int]) -> None:
    """Visits at any moments, each seeing what was written by then, find the same in sum as one at the end."""
    records = written(stories)
    once = Bench(sample_limit=128)
    expected = totals(once.groups(*records))

    often = Bench(sample_limit=128)
    left = list(records)
    for visit in sorted(visits):
        now_ns = NOW + visit * MICROSECOND
        while left and left[0].time_ns <= now_ns:
            often.write(left.pop(0))
        often.drain(now_ns)
    assert totals(often.groups(*left)) == expected


@settings(max_examples=200, deadline=None)
@given(stories=STORIES, cuts=st.lists(st.integers(0, 80), max_size=8))
def test_one_flush_finds_what_many_find(stories: list[tuple[str, int]], cuts: list[int]) -> None:
    """Flushing between records, at any place, changes only how often a group is told."""
    records = written(stories)
    bench = Bench(sample_limit=128)
    bench.write(*records)
    groups: list[Group] = []
    for cut in sorted(cuts):
        if cut < len(records):
            bench.drain(records[cut].time_ns + 2 * MILLISECOND)
            groups += bench.recorder.flush()
    groups += bench.groups()
    assert totals(groups, flushed=True) == totals(Bench(sample_limit=128).groups(*records), flushed=True)
