"""Connections that nobody answered: counted by destination and process, in a table that never grows."""

import pytest

from tests.core.fake_ring import MILLISECOND, NOW, SECOND, Bench, close, received
from tests.core.layout import CloseEvent
from whyreset.core.attempts import Attempts
from whyreset.model import Attempt


def given_up(**fields: object) -> CloseEvent:
    """A SYN of this host that had no answer for seven seconds."""
    return close(
        **{
            "state_before": "SYN_SENT",
            "remote": "192.0.2.9",
            "remote_port": 5432,
            "local_port": 40000,
            "named": ("ACTIVE_OPEN",),
            "time_ns": NOW,
            "opened_ns": NOW - 7 * SECOND,
            "owner_pid": 77,
            "owner_start_ns": 5,
            **fields,
        }  # type: ignore[arg-type]
    )


def taken(*events: CloseEvent) -> tuple[Attempt, ...]:
    """What the core tells of these."""
    bench = Bench()
    bench.write(*events)
    bench.drain()
    return bench.memory.attempts.take()


@pytest.mark.parametrize("remote", ["192.0.2.9", "2001:db8::9"])
def test_who_got_no_answer_is_told_with_how_long_it_took(remote: str) -> None:
    """Several of one process to one destination are one row, with the shortest and the longest time."""
    local = "2001:db8::2" if ":" in remote else "192.0.2.2"
    second = given_up(local=local, remote=remote, time_ns=NOW + SECOND, opened_ns=NOW - 2 * SECOND, local_port=40001)
    [attempt] = taken(given_up(local=local, remote=remote), second)
    assert (attempt.remote, attempt.port, attempt.owner, attempt.count) == (remote, 5432, (77, 5), 2)
    assert (attempt.shortest_ns, attempt.longest_ns) == (3 * SECOND, 7 * SECOND)
    assert (attempt.first_ns, attempt.last_ns) == (NOW, NOW + SECOND)


def test_processes_and_destinations_are_told_apart() -> None:
    """Another process, port, address or namespace is another row."""
    rows = taken(
        given_up(),
        given_up(owner_pid=78),
        given_up(remote_port=5433),
        given_up(remote="192.0.2.10"),
        given_up(netns_cookie=78),
    )
    assert [each.count for each in rows] == [1] * 5


def test_an_answer_is_an_answer() -> None:
    """A connection that was reset, or that was open, was not without an answer."""
    assert taken(given_up(named=("ACTIVE_OPEN", "RESET_RECEIVED_HERE")), given_up(state_before="LAST_ACK")) == ()


def test_a_beginning_that_was_not_seen_gives_no_time() -> None:
    """Nor does one after the end, as a clock that differs between processors may show it."""
    [attempt] = taken(given_up(opened_ns=0), given_up(opened_ns=NOW + MILLISECOND, local_port=2))
    assert (attempt.count, attempt.shortest_ns, attempt.longest_ns) == (2, 0, 0)


def test_what_was_taken_is_not_told_again() -> None:
    """The table is empty afterwards."""
    bench = Bench()
    bench.write(given_up())
    bench.drain()
    assert len(bench.memory.attempts.take()) == 1
    assert bench.memory.attempts.take() == ()


def test_the_table_is_bounded_and_what_is_beyond_is_counted() -> None:
    """A program that tries very many destinations does not fill memory, nor push the first out."""
    bench = Bench(capacity=4096)
    bench.write(*[given_up(remote_port=port) for port in range(1, 1001)])
    bench.drain()
    rows = bench.memory.attempts.take()
    assert [each.port for each in rows] == list(range(1, 65))
    assert bench.memory.attempts.beyond == 1000 - 64


def test_no_room_at_all_is_refused() -> None:
    """A table has room for one at least."""
    with pytest.raises(ValueError, match="limits"):
        Attempts(0)


def test_resets_do_not_count() -> None:
    """What was received of others leaves the table alone."""
    bench = Bench()
    bench.groups(received())
    assert bench.memory.attempts.take() == ()
