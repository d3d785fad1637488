"""Who listened where, and what kind of end it was."""

import pytest

from tests.findings.story import BOOT, EPOCH, SECOND
from tests.findings.test_service_down import life
from whyreset.findings.base import Batch
from whyreset.findings.ports import Ports, ending, ends_in_order, same
from whyreset.findings.services import Services
from whyreset.model import Process

OLD = Process(pid=10, start_ns=SECOND, comm="api")
NEW = Process(pid=11, start_ns=2 * SECOND, comm="api")


@pytest.mark.parametrize(
    ("exit_code", "in_order"),
    [
        *((0, True), (15, True), (2, True), (1, True), (3, True), (143 << 8, True), (130 << 8, True)),
        *((9, False), (11, False), (6, False), (0x8B, False), (1 << 8, False), (137 << 8, False), (2 << 8, False)),
    ],
)
def test_what_ends_in_order(exit_code: int, *, in_order: bool) -> None:
    """Asked to by a signal, with a shell's status for that or not, or by itself with status 0."""
    assert ends_in_order(exit_code) == in_order


def test_words_for_an_end() -> None:
    """The OOM killer is named where it was that; a process that ended by itself before was not its victim."""
    assert ending(9, out_of_memory=True) == "killed by the OOM killer (SIGKILL)"
    assert ending(0, out_of_memory=True) == "exited normally"
    assert ending(None) == ""


def test_the_same_service() -> None:
    """By its unit or container, whatever its processes are called; else by its program."""
    assert same(OLD, NEW)
    assert same(Process(pid=1, comm="a", unit="x.service"), Process(pid=2, comm="b", unit="x.service"))
    assert not same(Process(pid=1, comm="a", unit="x.service"), Process(pid=2, comm="a", unit="y.service"))
    assert not same(OLD, Process(pid=12, comm="other"))


def batch(*lives: object, ends: tuple[Process, ...] = ()) -> Batch:
    """Listeners that began or ended."""
    return Batch(now_ns=EPOCH, epoch_ns=BOOT, lives=lives, ends=ends)  # type: ignore[arg-type]


def test_a_restart_is_another_process_of_the_same_service_in_the_same_place() -> None:
    """Not one on another address, and not the same process that listens again."""
    ports = Ports()
    ports.see(batch(life(1, "0.0.0.0", since=0, until=3, owner=OLD, exit_code=0)))
    assert ports.see(batch(life(2, "127.0.0.1", since=4, owner=NEW))) == []
    assert ports.see(batch(life(3, "0.0.0.0", since=4, owner=OLD))) == []
    [restart] = ports.see(batch(life(4, "0.0.0.0", since=5, owner=NEW)))
    assert restart.again_ns - restart.ended_ns == 2 * SECOND
    assert restart.in_order


def test_how_a_listener_went_is_how_its_process_did() -> None:
    """It closed its socket and ended a moment later: that end counts."""
    ports = Ports()
    closed = life(1, "0.0.0.0", since=0, until=3, owner=OLD)
    assert ports.in_order(closed)
    ports.see(batch(closed, ends=(Process(pid=10, start_ns=SECOND, comm="api", exit_code=11),)))
    assert not ports.in_order(closed)


def test_a_batch_that_several_finders_show_counts_once() -> None:
    """They share what is remembered; each asks it after it has shown what came."""
    services = Services()
    came = batch(life(1, "0.0.0.0", since=0, until=3, owner=OLD, exit_code=0), life(2, "0.0.0.0", since=5, owner=NEW))
    for _ in range(3):
        services.see(came)
        assert len(services.restarts) == 1
    services.see(batch())
    assert services.restarts == []
    port = services.ports.get(came.lives[0].listener.netns_cookie, came.lives[0].listener.port)
    assert port is not None
    assert len(port.former) == 1
