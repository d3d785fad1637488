"""Looks into namespaces: whose queue is full, what was dropped by whom, and which settings bear on it."""

import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hosts import Actor, Host, Pair
from tests.hosts.cases import Stage
from whyreset.model import Place
from whyreset.sources import diag, queues
from whyreset.sources.queues import QueueSource, Wanted

PORT = 8080
SECOND = 1_000_000_000


@pytest.fixture
def stage(machine: None) -> Iterator[Stage]:
    """Two hosts and actors."""
    with Stage(4) as hosts:
        yield hosts


def look(source: QueueSource, host: Host, now: int, **asked: bool) -> Place:
    """One look into a host; `now` in hours, so that no look is too near the one before."""
    wanted = Wanted(netns=host.inode, netns_cookie=host.cookie, **asked)
    [place] = source.look([wanted], now * 3600 * SECOND)
    return place


def test_each_listeners_own_drops_tell_who_had_no_room(stage: Stage) -> None:
    """The queue that is full is seen with its limit; of two listeners only the one that dropped counts."""
    stage.b.sysctl("net.core.somaxconn", 77)
    stage.listen(PORT, backlog=1)
    stage.listen(PORT + 1, backlog=200)
    source = QueueSource()
    look(source, stage.b, 0, queues=True)
    stage.queue(PORT, 2)
    for _ in range(3):
        stage.connect(PORT, wait=False)
    stage.b.await_counter("ListenOverflows", 3)
    place = look(source, stage.b, 1, queues=True)
    told = {queue.port: (queue.waiting, queue.limit) for queue in place.queues}
    assert told == {PORT: (2, 1), PORT + 1: (0, 77)}
    drops = {queue.port: queue.drops for queue in place.queues}
    assert (drops[PORT] or 0) >= 3
    assert drops[PORT + 1] == 0
    assert (place.settings["somaxconn"], place.settings["tcp_abort_on_overflow"]) == (77, 0)


@pytest.mark.parametrize("all_new", [True, False])
def test_a_first_look_knows_drops_only_where_all_are_new(stage: Stage, all_new: bool) -> None:
    """A listener's count began with it: how much of it is of late cannot be told."""
    stage.listen(PORT, backlog=1)
    stage.queue(PORT, 2)
    stage.connect(PORT, wait=False)
    stage.b.await_counter("ListenDrops", 1)
    [queue] = look(QueueSource(), stage.b, 0, queues=True, all_new=all_new).queues
    assert (queue.drops is not None and queue.drops >= 1) is all_new


def test_half_open_handshakes_are_counted_by_port(stage: Stage) -> None:
    """Three SYNs whose answers nobody hears; not asked for, they are not counted."""
    stage.listen(PORT)
    with stage.a.dropping("input"):
        for number in range(3):
            stage.raw("S", 33333 + number, PORT, seq=1000)
        stage.b.await_states(PORT, "SYN_RECV", 3)
        source = QueueSource()
        [queue] = look(source, stage.b, 0, queues=True, half_open=True).queues
        assert queue.half_open == 3
        [queue] = look(source, stage.b, 1, queues=True).queues
        assert queue.half_open is None


def test_who_holds_memory_and_orphans_is_told_by_port(stage: Stage) -> None:
    """A closed connection with unsent data is an orphan of its listener's port."""
    _, _, server = stage.converse(PORT)
    server.fill()
    server.await_in_flight(0)
    server.close()
    [holder] = look(QueueSource(), stage.b, 0, holders=True).holders
    assert (holder.port, holder.served, holder.sockets, holder.orphans) == (PORT, True, 1, 1)
    assert holder.memory_bytes > 4096
    assert holder.socket_cookie
    [client] = look(QueueSource(), stage.a, 0, holders=True).holders
    assert (client.port, client.served, client.orphans) == (PORT, False, 0)


def test_a_namespace_that_is_gone_or_another_by_now_is_said_to_be_so(pair: Pair) -> None:
    """Inode numbers are used again: what is behind one must have the cookie that is meant."""
    source = QueueSource()
    [gone] = source.look([Wanted(netns=1, netns_cookie=2, queues=True)], 0)
    assert gone.unread
    with Actor(pair.b, "inside"):
        [other] = source.look([Wanted(netns=pair.b.inode, netns_cookie=2**60, queues=True)], 3600 * SECOND)
        assert other.unread
        assert not look(source, pair.b, 2, queues=True).unread


def test_looks_are_no_more_frequent_than_their_cost_allows(stage: Stage) -> None:
    """The next one waits until it is a small share of a core."""
    stage.listen(PORT)
    source = QueueSource()
    look(source, stage.b, 0, queues=True)
    wanted = Wanted(netns=stage.b.inode, netns_cookie=stage.b.cookie, queues=True)
    assert list(source.look([wanted], 1)) == []
    assert len(source.look([wanted], 600 * SECOND)) == 1


def test_looks_are_bounded(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many namespaces, listeners and remembered counts at the most."""
    monkeypatch.setattr(queues, "LISTENERS", 3)
    monkeypatch.setattr(queues, "REMEMBERED", 2)
    source = QueueSource()
    wanted = [Wanted(netns=1, netns_cookie=number) for number in range(50)]
    assert len(source.look(wanted, 0)) == queues.NAMESPACES
    with Host("a") as host, host.inside():
        sockets = [socket.create_server(("127.0.0.1", PORT + number)) for number in range(5)]
        inside = QueueSource()
        home = Wanted(netns=diag.here()[0], netns_cookie=diag.here()[1], queues=True)
        assert len(inside.look([home], 0)[0].queues) == 3
        assert len(inside._dropped) == 2
        for each in sockets:
            each.close()


def test_a_costly_walk_does_not_make_other_looks_seldom(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open handshakes are counted when that is due again; queues are looked at all the time."""
    clock = iter(range(0, 1_000 * SECOND, SECOND // 1000))
    monkeypatch.setattr("time.thread_time_ns", lambda: next(clock))
    monkeypatch.setattr(diag, "half_open", lambda _: [next(clock) for _ in range(100)] and Counter({PORT: 3}))
    stage.listen(PORT, backlog=1)
    source, found = QueueSource(), []
    wanted = Wanted(netns=stage.b.inode, netns_cookie=stage.b.cookie, queues=True, half_open=True)
    for second in range(0, 64, 2):
        found += [place.queues[0].half_open for place in source.look([wanted], second * SECOND)]
    assert len(found) == 32
    assert [index for index, each in enumerate(found) if each is not None] == [0, 26]


def test_finding_a_way_costs_little(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process is gone that led into a namespace, all are walked over: after 100 ms of that not for 10 s."""
    clock = iter(range(0, 1_000 * SECOND, SECOND // 1000))
    monkeypatch.setattr("time.thread_time_ns", lambda: next(clock))

    def everybody() -> dict[int, str]:
        for _ in range(99):
            next(clock)
        return {stage.b.inode: "/proc/0/ns/net"}

    monkeypatch.setattr(diag, "namespaces", everybody)
    source = QueueSource()
    wanted = Wanted(netns=stage.b.inode, netns_cookie=stage.b.cookie)
    looked = [second for second in range(0, 32, 2) if source.look([wanted], second * SECOND)]
    assert looked == [0, 10, 20, 30]
