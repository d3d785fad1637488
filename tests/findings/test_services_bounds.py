"""What the findings of services remember is bounded, whatever a hostile crowd does."""

from typing import Any

import pytest

from tests.findings.story import EPOCH, SECOND
from tests.outputs.values import reset
from whyreset.findings import (
    abort_habit,
    cuts,
    deploy,
    limit_reached,
    ports,
    relayed_abort,
    self_inflicted,
    service_down,
    service_flapping,
    service_missing,
    worker_crash,
)
from whyreset.findings.base import Batch, Finder, Table
from whyreset.model import Cause, Host, Life, Listener, Owner, Process, Remotes, Reset, Stop

MANY, ROUNDS = 2500, 4
BOOT = EPOCH - 1000 * SECOND
FINDERS: tuple[type[Finder], ...] = (
    abort_habit.AbortHabit,
    deploy.Deploy,
    limit_reached.LimitReached,
    relayed_abort.RelayedAbort,
    self_inflicted.SelfInflicted,
    service_down.ServiceDown,
    service_flapping.ServiceFlapping,
    service_missing.ServiceMissing,
    worker_crash.WorkerCrash,
)
CAUSES = ("closed-port", "unread-data", "data-after-close", "linger-zero", "not-accepted", "half-open")


def process(number: int) -> Process:
    """One of many programs, each with a name of its own."""
    return Process(pid=number + 2, start_ns=(number + 1) * SECOND, comm=f"p{number}", exit_code=9, ended_ns=SECOND)


def reset_of(number: int, cause: str, direction: str) -> Reset:
    """A reset with a port, an owner and a remote of its own."""
    own = None if number % 3 == 0 else Owner(process=process(number), via="listener", alive=False)
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return reset(
        number=number,
        cause=Cause(name=cause, family="abort" if cause not in CAUSES[::5] else cause, certainty="certain"),
        facts={"direction": direction, "exiting": number % 2 == 0, "active_open": number % 5 == 0},
        sample={"netns_cookie": number % 700, "local_port": number % 65536, "remote": address, "opened_ns": SECOND},
        port=number % 65536,
        time_ns=EPOCH,
        last_ns=EPOCH,
        owner=own,
        closer=process(number) if number % 7 == 0 else None,
        stop=Stop(time_ns=EPOCH - SECOND, exit_code=9) if own else None,
        remotes=Remotes(distinct=16, exact=True, top=tuple((f"{address[:-1]}{last}", 1) for last in range(16))),
    )


def life(number: int, until_ns: int) -> Life:
    """A listener of one of many programs, on one of two ports."""
    listener = Listener(
        netns_cookie=number % 40,
        port=8080 + number % 2,
        address="0.0.0.0",
        family=2,
        ipv6_only=False,
        socket_cookie=number + 1,
        owner=(number + 2, SECOND),
        since_ns=number + 1,
        until_ns=until_ns,
        exit_code=0 if until_ns else None,
    )
    return Life(listener=listener, owner=Owner(process=process(number % 50), via="listener", alive=True))


def size(value: Any, seen: set[int]) -> int:
    """Values held, however deep."""
    if id(value) in seen or isinstance(value, (str, int, type(None), Process, Life)):
        return 0
    seen.add(id(value))
    if isinstance(value, Table):
        return size([each for _, each in value.items()], seen)
    if isinstance(value, dict):
        return len(value) + sum(size(each, seen) for each in value.values())
    if isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "deque":
        return len(value) + sum(size(each, seen) for each in value)
    names = [*getattr(value, "__struct_fields__", ()), *getattr(value, "__dict__", ())]
    return sum(size(getattr(value, name), seen) for name in names)


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.NAME)
def test_memory_is_bounded(finder: type[Finder]) -> None:
    """Once the tables are full, more programs, ports and remotes take no more room."""
    found = finder()
    sizes = []
    for beginning in range(0, ROUNDS * MANY, MANY):
        for first in range(beginning, beginning + MANY, 50):
            numbers = range(first, first + 50)
            batch = Batch(
                now_ns=EPOCH,
                epoch_ns=BOOT,
                resets=tuple(
                    reset_of(each, CAUSES[each % len(CAUSES)], "received" if each % 11 == 0 else "sent")
                    for each in numbers
                ),
                lives=tuple(life(each, until_ns) for each in numbers for until_ns in (0, each + 2)),
                ends=tuple(process(each) for each in numbers),
                host=Host(uptime=60.0) if first == 0 else None,
            )
            found.see(batch)
        assert len(list(found.drafts(EPOCH))) <= cuts.PROCESSES
        sizes.append(size(found, set()))
    assert sizes[-1] <= 1.1 * sizes[-2]


def test_listeners_of_one_port_are_bounded() -> None:
    """Of very many that listen on one port some are remembered, and as many that have ended."""
    known = ports.Ports()
    for number in range(0, 40 * 2 * 200, 40 * 2):
        known.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(life(number, 0),)))
    port = known.get(0, 8080)
    assert port is not None
    assert len(port.living) == ports.LIVING
    for number in range(0, 40 * 2 * 200, 40 * 2):
        known.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=(life(number, number + 2),)))
    assert len(port.former) == ports.FORMER
    assert not port.living


def test_processes_that_cut_connections_are_forgotten_in_time() -> None:
    """Those that live sooner than those that ended, whose clients may write late."""
    known = cuts.Cuts(ports.Ports())
    resets = (reset_of(1, "unread-data", "sent"), reset_of(2, "unread-data", "sent"))
    known.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, resets=resets))
    assert size(known, set()) > 0
    known.see(Batch(now_ns=EPOCH + cuts.ENDED_NS + 2 * SECOND, epoch_ns=BOOT))
    assert list(known.ended(EPOCH)) == []
