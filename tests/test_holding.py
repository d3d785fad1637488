"""Who holds sockets, by looks at sock_diag and /proc that stand for the real ones: what is known when, and how much."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

import pytest

from tests.outputs.report.seen import observation
from whyreset import holding
from whyreset.holding import Holding
from whyreset.model import Owner, Record, Socket
from whyreset.observation import Role

SECOND = 1_000_000_000
EPOCH = 1_000_000 * SECOND
OURS, PEER = "192.0.2.2", "192.0.2.1"
COOKIE = 7
OWN, OTHER = os.getpid(), os.getppid()


class System:
    """The sockets that are there, and who holds them."""

    def __init__(self) -> None:
        self.sockets: list[tuple[Socket, tuple[int, ...]]] = []
        self.refused = False

    def current(self, states: Container[str], most: int) -> list[Socket]:
        """As `diag.current`."""
        if self.refused:
            raise PermissionError(1, "not allowed")
        return [each for each, _ in self.sockets if each.state in states][:most]

    def holders(self) -> dict[int, list[tuple[int, int]]]:
        """As `sockets.held_here`."""
        return {each.inode: [(pid, pid * SECOND) for pid in pids] for each, pids in self.sockets}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """In the place of the real one."""
    made = System()
    monkeypatch.setattr("whyreset.holding.diag.current", made.current)
    monkeypatch.setattr("whyreset.hands.sockets.held_here", made.holders)
    return made


def socket(state: str, number: int, port: int = 8080, remote: str = "", remote_port: int = 0) -> Socket:
    """One with that number for its file and its cookie."""
    return Socket(
        netns=1,
        netns_cookie=COOKIE,
        cookie=number,
        state=state,
        family=2,
        local=OURS,
        local_port=port,
        remote=remote,
        remote_port=remote_port,
        inode=number,
    )


def owner(
    made: Holding,
    *,
    time_ns: int,
    port: int = 8080,
    cause: str = "abort",
    began_ns: int | None = None,
    opener: Role | None = None,
    alone: bool = True,
) -> tuple[int, str]:
    """Whom it names for a reset that is sent to PEER:5000, and how that is known."""
    sample = Record(
        number=1,
        time_ns=time_ns,
        direction="sent",
        netns=1,
        netns_cookie=COOKIE,
        family=4,
        local=OURS,
        local_port=port,
        remote=PEER,
        remote_port=5000,
    )
    seen = observation(
        began_ns=(began_ns or 0) + EPOCH, opener=opener, handshake="none" if began_ns is None else "complete"
    )
    found: Owner | None = made.owner(sample, seen, cause=cause, alone=alone, epoch_ns=EPOCH)
    return (found.process.pid, found.via) if found else (0, "")


def looked(*times: int) -> Holding:
    """It looked at these seconds."""
    made = Holding()
    look(made, times)
    return made


def look(made: Holding, times: Iterable[int]) -> None:
    """It looks at these seconds, whatever that cost."""
    for second in times:
        made._look_after_ns = made._scan_after_ns = 0
        made.look(second * SECOND)


def test_a_connection_that_was_looked_at_has_its_youngest_holder(system: System) -> None:
    """Who serves it is the child of who accepted it; seconds later it is still known, then no more."""
    system.sockets = [(socket("ESTABLISHED", 1, remote=PEER, remote_port=5000), (5, 9))]
    made = looked(1)
    assert owner(made, time_ns=2 * SECOND) == (9, "open file")
    system.sockets = []
    look(made, [3])
    assert owner(made, time_ns=2 * SECOND) == (9, "open file")
    assert owner(made, time_ns=2 * SECOND, alone=False) == (0, "")
    look(made, [20])
    assert owner(made, time_ns=2 * SECOND) == (0, "")


def test_a_connection_that_began_after_the_look_is_another(system: System) -> None:
    """Though it has the same ends."""
    system.sockets = [(socket("ESTABLISHED", 1, remote=PEER, remote_port=5000), (5,))]
    made = looked(10)
    assert owner(made, time_ns=12 * SECOND, began_ns=9 * SECOND) == (5, "open file")
    assert owner(made, time_ns=12 * SECOND, began_ns=11 * SECOND) == (0, "")


def test_the_listener_is_named_where_it_was_there_when_the_connection_began(system: System) -> None:
    """One that came later than a connection, or of which that is not known, is not."""
    system.sockets = [(socket("LISTEN", 1), (5,))]
    made = looked(10)
    assert owner(made, time_ns=12 * SECOND) == (5, "listener")
    assert owner(made, time_ns=12 * SECOND, opener="sender") == (0, "")
    system.sockets.append((socket("LISTEN", 2, port=81), (6,)))
    look(made, [11])
    assert owner(made, time_ns=12 * SECOND, port=81) == (0, "")
    assert owner(made, time_ns=12 * SECOND, port=81, began_ns=9 * SECOND) == (0, "")
    assert owner(made, time_ns=12 * SECOND, port=81, began_ns=11 * SECOND) == (6, "listener")
    system.sockets.append((socket("LISTEN", 3, port=81), (7,)))
    look(made, [12])
    assert owner(made, time_ns=14 * SECOND, port=81, began_ns=13 * SECOND)[1] == "one of the listeners"


def test_a_former_listener_is_who_was_there_at_an_earlier_look(system: System) -> None:
    """And nobody where none was looked at; a listener that is there refused nothing."""
    system.sockets = [(socket("LISTEN", 1), (5,))]
    made = looked(10, 11)
    assert owner(made, time_ns=12 * SECOND, cause="closed-port") == (0, "")
    system.sockets = []
    look(made, [13])
    assert owner(made, time_ns=12 * SECOND, cause="closed-port") == (5, "former listener")
    assert owner(made, time_ns=10 * SECOND, cause="closed-port") == (0, "")
    assert owner(made, time_ns=12 * SECOND, cause="closed-port", port=81) == (0, "")


def test_what_may_not_be_looked_at_is_not_known(system: System) -> None:
    """And raises nothing."""
    system.refused = True
    assert owner(looked(1), time_ns=SECOND) == (0, "")


def test_connections_are_bounded_and_the_newest_stay(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over looks."""
    monkeypatch.setattr(holding, "_SOCKETS", 4)
    made = looked(1)
    for turn in range(3):
        system.sockets = [
            (socket("ESTABLISHED", n, port=10 * turn + n, remote=PEER, remote_port=5000), (5,)) for n in range(1, 5)
        ]
        look(made, [turn + 2])
        assert len(made._connections) == 4
    assert owner(made, time_ns=5 * SECOND, port=23) == (5, "open file")
    assert owner(made, time_ns=5 * SECOND, port=3) == (0, "")


def test_looks_cost_no_more_than_their_share(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that took 50 ms of a core is followed by another after ten seconds."""
    made, spent = Holding(), [0]

    def holders() -> dict[int, list[tuple[int, int]]]:
        spent[0] += 50_000_000
        return {}

    monkeypatch.setattr("whyreset.hands.sockets.held_here", holders)
    monkeypatch.setattr("whyreset.holding.time.thread_time_ns", lambda: spent[0])
    for second in range(1, 22):
        made.look(second * SECOND)
    assert spent[0] == 3 * 50_000_000
