"""Sockets that several processes share or hand on: who used the connection owns its reset, or less is said."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from subprocess import CalledProcessError
from typing import Literal

import pytest

from tests.hosts import Actor, Connection, Watch
from tests.hosts.cases import Missing, Stage
from tests.hosts.hosts import HARDWARE, INTERFACE
from tests.hosts.uring import Uring
from tests.live.people import Line, closer, only, owner

PORT = 8080
REUSEPORT = 15  # SO_REUSEPORT; include/uapi/asm-generic/socket.h


@pytest.fixture
def shared(stage: Stage) -> Iterator[tuple[Actor, Connection]]:
    """A pre-forked child of `server`, and the listener that it shares with it."""
    listener = stage.listen(PORT)
    child = stage.server.fork("worker")
    with child:
        yield child, Connection(child, listener.number)


def received_and_held(watch: Watch, stage: Stage, accept: Callable[[], object]) -> Line:
    """The reset that a connection receives which is accepted and held open.

    Until who holds it is known, only the listener is told: files are walked no more often than that may cost, so
    connections go on being reset until the next walk.
    """
    deadline = time.monotonic() + 20
    while True:
        client = stage.connect(PORT)
        accept()
        client.linger(0)
        client.close()
        line = watch.settle(stage.b)[-1]
        assert line["direction"] == "received"
        if owner(line)[1] != "listener" or time.monotonic() > deadline:
            return line


def test_a_child_that_accepts_and_aborts_is_owner_and_closer(
    watch: Watch, stage: Stage, shared: tuple[Actor, Connection]
) -> None:
    """The parent listened, but the child accepted and aborted: it is named, alive, with its command line."""
    child, listener = shared
    stage.connect(PORT)
    accepted = listener.accept()
    accepted.linger(0)
    accepted.close()
    line = only(watch.settle(stage.b))
    assert (line["cause"], owner(line), closer(line)) == ("linger-zero", (child.pid, "closer"), child.pid)
    assert line["owner"]["alive"]
    assert line["owner"]["comm"] == "worker"
    assert line["owner"]["command"][-1] == "server"  # it was forked from a process that was started so


def test_a_child_that_had_closed_owns_what_late_data_provokes(
    watch: Watch, stage: Stage, shared: tuple[Actor, Connection]
) -> None:
    """Data after close: nobody closes at that moment, and the child that had closed is remembered."""
    child, listener = shared
    client = stage.connect(PORT)
    listener.accept().close()
    client.await_state("CLOSE_WAIT")
    stage.b.await_states(PORT, "FIN_WAIT2")
    client.send(b"late")
    line = only(watch.settle(stage.b))
    assert (line["cause"], owner(line), closer(line)) == ("data-after-close", (child.pid, "closer"), 0)


def test_a_child_that_holds_the_connection_owns_the_reset_it_receives(
    watch: Watch, stage: Stage, shared: tuple[Actor, Connection]
) -> None:
    """Nobody has closed here: the open files tell that the child holds it."""
    child, listener = shared
    assert owner(received_and_held(watch, stage, listener.accept)) == (child.pid, "open file")


def test_a_child_killed_in_its_first_connection_is_known_in_full(watch: Watch, stage: Stage) -> None:
    """It never opened or closed a socket before, and is gone at once: it ran what its parent runs."""
    listener = stage.listen(PORT)
    with stage.server.fork(stage.server.name) as child:
        client = stage.connect(PORT)
        accepted = Connection(child, listener.number).accept()
        client.send(b"unread")
        accepted.await_unread(6)
        child.kill()
        line = only(watch.settle(stage.b))
        assert (line["cause"], owner(line), closer(line)) == ("unread-data", (child.pid, "closer"), child.pid)
        assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "killed by SIGKILL")
        assert line["owner"]["command"][-1] == stage.server.name


@pytest.mark.parametrize("cause", ["linger-zero", "unread-data"])
def test_a_worker_that_was_passed_the_connection_owns_its_abort(watch: Watch, stage: Stage, cause: str) -> None:
    """The acceptor passes the descriptor over a Unix socket (SCM_RIGHTS) and dies; the worker closes."""
    acceptor, worker = stage.actor(stage.b, "acceptor"), stage.actor(stage.b, "passed-to")
    listener = acceptor.listen(PORT)
    client = stage.connect(PORT)
    passed = worker.adopt(listener.accept())
    acceptor.kill()
    if cause == "linger-zero":
        passed.linger(0)
    else:
        client.send(b"unread")
        passed.await_unread(6)
    passed.close()
    line = only(watch.settle(stage.b))
    assert (line["cause"], owner(line), closer(line)) == (cause, (worker.pid, "closer"), worker.pid)


def test_a_connection_passed_on_and_held_has_its_holder_as_owner(watch: Watch, stage: Stage) -> None:
    """The acceptor passed the descriptor on and closed its own: the worker receives the reset."""
    acceptor, worker = stage.actor(stage.b, "acceptor"), stage.actor(stage.b, "passed-to")
    listener = acceptor.listen(PORT)

    def accept_and_pass() -> None:
        accepted = listener.accept()
        worker.adopt(accepted)
        accepted.close()

    assert owner(received_and_held(watch, stage, accept_and_pass)) == (worker.pid, "open file")


def test_socket_activation_names_who_accepted_and_else_who_listened(watch: Watch, stage: Stage) -> None:
    """One process listens, another is started with the listener as its descriptor 3 and aborts; then it dies.

    SYNs go on being accepted by the kernel, silently; what then comes to an end unaccepted is the listener's.
    """
    listener = stage.listen(PORT)
    with stage.server.activate(listener, "activated")[0] as activated:
        client = stage.connect(PORT)
        accepted = Connection(activated, 3).accept()
        accepted.linger(0)
        accepted.close()
        line = only(watch.settle(stage.b))
        assert (owner(line), closer(line)) == ((activated.pid, "closer"), activated.pid)
        assert (line["owner"]["comm"], line["owner"]["command"][-1]) == ("activated", "activated")
        assert activated.exit(3) == 0  # a forked actor's status is not told here
    waiting = stage.queue(PORT)[0]
    assert len(watch.settle(stage.b)) == 1
    waiting.linger(0)
    waiting.close()
    line = watch.settle(stage.b)[1]
    assert (line["direction"], owner(line)) == ("received", (stage.server.pid, "listener"))
    listener.close()
    assert stage.refused(PORT)
    line = watch.settle(stage.b)[-1]
    assert (line["cause"], owner(line)) == ("closed-port", (stage.server.pid, "former listener"))
    assert client.port not in (line["sport"], line["dport"])


def test_siblings_on_one_port_are_told_apart(watch: Watch, stage: Stage) -> None:
    """SO_REUSEPORT: each connection was one sibling's from the SYN on, also while nobody has accepted it."""
    siblings = [stage.server, stage.actor(stage.b, "sibling")]
    listeners = []
    for sibling in siblings:
        listener = sibling.socket()
        listener.setsockopt(1, REUSEPORT, 1)
        listener.bind(PORT)
        listener.listen()
        listeners.append(listener)
    clients = stage.queue(PORT, 16)
    for client in clients:
        client.linger(0)
        client.close()
    told = {line["sport"]: owner(line) for line in watch.settle(stage.b)}
    # the kernel keeps what was reset in the queue: who takes it from there is whose it was
    truth = {
        port: (sibling.pid, "listener")
        for sibling, listener in zip(siblings, listeners, strict=True)
        for port in listener.accept_waiting()
    }
    assert told == truth
    assert len(set(truth.values())) == 2


def test_a_sibling_that_is_gone_still_owns_what_it_had(watch: Watch, stage: Stage) -> None:
    """One of two siblings dies: its unaccepted connections are its own, and the port is not closed."""
    gone = stage.actor(stage.b, "gone")
    for sibling in (gone, stage.server):
        listener = sibling.socket()
        listener.setsockopt(1, REUSEPORT, 1)
        listener.bind(PORT)
        listener.listen()
    stage.queue(PORT, 16)
    gone.kill()
    told = watch.settle(stage.b)
    assert told
    for line in told:
        assert (line["cause"], owner(line), closer(line)) == ("not-accepted", (gone.pid, "listener"), gone.pid)
        assert line["owner"]["exit"] == "killed by SIGKILL"


def test_exact_owners_names_the_reader_of_each_connection(machine: None, stage: Stage) -> None:
    """With --exact-owners pre-forked children are told apart by what they read, also when they close at once."""
    listener = stage.listen(PORT)
    with Watch("--exact-owners") as watch, stage.server.fork("first") as first, stage.server.fork("second") as second:
        expected = {}
        for child in (first, second):
            client = stage.connect(PORT)
            accepted = Connection(child, listener.number).accept()
            client.send(b"request")
            accepted.recv()
            expected[client.port] = (child.pid, "reader")
            client.linger(0)
            client.close()
            accepted.await_state("CLOSE")
            accepted.close()
        assert {line["sport"]: owner(line) for line in watch.settle(stage.b)} == expected


def test_a_killed_parent_leaves_its_port_to_its_children(watch: Watch, stage: Stage) -> None:
    """The listener outlives the process that called listen(2); the closed port later says who held it last."""
    parent = stage.actor(stage.b, "parent")
    listener = stage.listen(PORT, actor=parent)
    with parent.fork("child") as child:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        stage.connect(PORT)
        child_listener = Connection(child, listener.number)
        child_listener.accept()
        child_listener.close()
        stage.refused(PORT)
        line = watch.settle(stage.b)[-1]
        assert (line["cause"], owner(line)) == ("closed-port", (parent.pid, "former listener"))
        assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "killed by SIGKILL")
        assert any(
            f"(killed by SIGKILL); actor_process.py[{child.pid}] held the socket last and closed it" in sentence
            for sentence in line["evidence"]
        ), line["evidence"]


@pytest.mark.parametrize("kind", ["fd", "direct"])
def test_io_uring_hides_no_owner(watch: Watch, stage: Stage, kind: Literal["fd", "direct"]) -> None:
    """No system call accepts or closes. What only the ring's own table holds is closed by a thread of the kernel's,
    after its process has ended, and is still that process's."""
    try:
        ring = Uring(stage.b, PORT, kind)
    except Missing as missing:
        pytest.skip(f"this machine lacks {missing}")
    with ring:
        client = stage.connect(PORT)
        ring.await_accepted()
        client.send(b"unread")
        client.await_unacknowledged(0)
        if kind == "fd":
            ring.close_connection()
        else:
            ring.end()
        line = only(watch.wait_resets(stage.b, 1))
        assert (line["cause"], line["owner"]["comm"]) == ("unread-data", "uring")
        assert owner(line) == (ring.pid, "closer" if kind == "fd" else "listener")
        assert line["owner"]["alive"] == (kind == "fd")


def test_every_subflow_of_multipath_tcp_is_its_openers(watch: Watch, stage: Stage) -> None:
    """A kernel thread opens the second subflow, on behalf of the process that opened the first."""
    second_address = "192.0.2.11"
    stage.a.run("ip", "addr", "add", f"{second_address}/24", "dev", INTERFACE)
    stage.b.run(*f"ip neigh replace {second_address} lladdr {HARDWARE['a']} nud permanent dev {INTERFACE}".split())
    try:
        for host in (stage.a, stage.b):
            host.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
        stage.a.run("ip", "mptcp", "endpoint", "add", second_address, "dev", INTERFACE, "subflow")
        listener = stage.server.listen(PORT, protocol=socket.IPPROTO_MPTCP)
    except (CalledProcessError, OSError) as error:
        pytest.skip(f"this machine lacks Multipath TCP (CONFIG_MPTCP, net.mptcp.enabled): {error}")
    client = stage.client.socket(protocol=socket.IPPROTO_MPTCP)
    client.connect(stage.address_b, PORT)
    server = listener.accept()
    for sender, receiver in ((client, server), (server, client)):  # the first data prove that both ends can
        sender.send(b"x")
        receiver.recv()
    stage.b.await_states(PORT, "ESTABLISHED", 2)
    client.send(b"unread")
    server.await_unread(6)
    server.close()
    told = watch.told(stage.a, stage.b)
    assert {line["dst"]: owner(line) for line in told["a"]} == {
        stage.address_a: (stage.client.pid, "connect"),
        second_address: (stage.client.pid, "connect"),
    }
    assert [owner(line) for line in told["b"]] == [(stage.server.pid, "closer")] * 2
