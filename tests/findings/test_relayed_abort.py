"""Whose aborts follow whose clients'."""

from tests.findings.story import BOOT, EPOCH, SECOND
from tests.outputs.values import reset
from whyreset.findings.base import Batch
from whyreset.findings.relayed_abort import RelayedAbort
from whyreset.model import Cause, Owner, Process, Reset


def nginx(pid: int, parent: int = 1) -> Process:
    """One of its processes, started by hand."""
    return Process(pid=pid, start_ns=pid * SECOND, comm="nginx", parent_pid=parent)


def cut(process: Process, port: int, *, sent: bool) -> Reset:
    """A client's abort that it received, or its own of a connection to an upstream."""
    return reset(
        cause=Cause(name="unread-data", family="abort", certainty="certain"),
        facts={"direction": "sent" if sent else "received", "active_open": sent},
        owner=Owner(process=process, via="connect" if sent else "listener", alive=True),
        port=port,
        time_ns=EPOCH,
        last_ns=EPOCH,
    )


def told(worker: Process, *lefts: Process) -> int:
    """How many findings, where clients left some and one aborted each time."""
    finder = RelayedAbort()
    for left in lefts:
        resets = (cut(left, 80, sent=False), cut(worker, 9000, sent=True))
        finder.see(Batch(now_ns=EPOCH, epoch_ns=BOOT, resets=resets))
    return len(list(finder.drafts(EPOCH)))


def test_a_worker_aborts_what_its_masters_clients_left() -> None:
    """Now the master is known for a connection's owner, since it listens, and now the worker, which holds it."""
    master, worker = nginx(10), nginx(11, parent=10)
    assert told(worker, *[master] * 3) == 1
    assert told(worker, *[worker] * 3) == 1
    assert told(worker, master, worker, worker) == 1
    assert told(worker, worker, master, worker, master) == 1


def test_two_programs_of_one_name_are_not_one_proxy() -> None:
    """Clients of one have nothing to do with what the other aborts."""
    assert told(nginx(21, parent=20), *[nginx(10)] * 4) == 0
