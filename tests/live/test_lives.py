"""What was there before: who listened on a closed port, whose connection a late segment belonged to, how both ended."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import Actor, Connection, Watch
from tests.hosts.cases import Stage
from tests.hosts.groups import Groups
from tests.live.people import only, owner

Line = dict[str, Any]
PORT = 8080
REUSEPORT = 15  # SO_REUSEPORT; include/uapi/asm-generic/socket.h
LATER_SECONDS = 0.1  # later than what was in flight when a connection ended can come
LIMIT_BYTES = 64 << 20
LOOPBACK = "127.0.0.1"
NOBODY = (0, "")


def says(line: Line, words: str) -> bool:
    """Whether a sentence of the evidence holds these words."""
    return any(words in sentence for sentence in line["evidence"])


def listen(actor: Actor, address: str = "", *, v6: bool = False, v6_only: bool = False) -> Connection:
    """A listener on PORT beside others."""
    listener = actor.socket(v6=v6)
    listener.setsockopt(1, REUSEPORT, 1)
    if v6:
        listener.setsockopt(41, 26, int(v6_only))  # IPPROTO_IPV6, IPV6_V6ONLY
    listener.bind(PORT, address)
    listener.listen()
    return listener


ENDS: dict[str, tuple[Callable[[Actor], object], str]] = {
    "a crash": (lambda actor: actor.crash(), "killed by SIGSEGV"),
    "kill -9": (lambda actor: actor.kill(), "killed by SIGKILL"),
    "SIGTERM": (lambda actor: actor.kill(signal.SIGTERM), "killed by SIGTERM"),
    "an exit code": (lambda actor: actor.exit(7), "exited with status 7"),
    "an orderly exit": (lambda actor: actor.exit(0), "exited normally"),
}


@pytest.mark.parametrize(("end", "words"), ENDS.values(), ids=list(ENDS))
def test_a_closed_port_says_how_its_listener_ended(
    watch: Watch, stage: Stage, end: Callable[[Actor], object], words: str
) -> None:
    """The former owner is named, with the signal or exit code, beside the SYN that nobody took."""
    former = stage.actor(stage.b, "former")
    stage.listen(PORT, actor=former)
    end(former)
    stage.refused(PORT)
    line = only(watch.settle(stage.b))
    assert (line["cause"], owner(line)) == ("closed-port", (former.pid, "former listener"))
    assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, words)
    assert says(line, f"listened there before: {words}"), line["evidence"]


def test_a_closed_port_whose_owner_goes_on_was_closed_by_it(watch: Watch, stage: Stage) -> None:
    """The process lives and only closed its listener."""
    stage.listen(PORT).close()
    stage.refused(PORT)
    line = only(watch.settle(stage.b))
    assert (owner(line), line["owner"]["alive"]) == ((stage.server.pid, "former listener"), True)
    assert "exit" not in line["owner"]
    assert says(line, "listened there before and closed its socket"), line["evidence"]


def test_a_closed_port_knows_the_oom_killers_victim(watch: Watch, v1: Groups, stage: Stage) -> None:
    """The kernel killed the listener for want of memory in its group: the evidence of all its resets says so."""
    hungry = stage.actor(stage.b, "hungry")
    v1.limit("hungry", LIMIT_BYTES)
    v1.enter(hungry.pid, "hungry")
    listener = stage.listen(PORT, actor=hungry)
    client = stage.connect(PORT)
    connection = listener.accept()
    client.send(b"unread")
    connection.await_unread(6)
    assert hungry.eat(2 * LIMIT_BYTES) == -signal.SIGKILL
    stage.refused(PORT)
    aborted, refused = watch.settle(stage.b)
    for line, cause, via in ((aborted, "unread-data", "closer"), (refused, "closed-port", "former listener")):
        assert (line["cause"], owner(line)) == (cause, (hungry.pid, via))
        assert line["owner"]["exit"] == "killed by SIGKILL (out of memory)"
    assert says(aborted, "was exiting (killed by SIGKILL (out of memory))"), aborted["evidence"]
    assert says(refused, "listened there before: killed by SIGKILL (out of memory)"), refused["evidence"]


def test_of_two_listeners_in_turn_the_last_is_named(watch: Watch, stage: Stage) -> None:
    """One after the other had the port, both are gone; before the second, the first was the one."""
    first, second = stage.actor(stage.b, "first"), stage.actor(stage.b, "second")
    stage.listen(PORT, actor=first)
    first.exit(1)
    stage.refused(PORT)
    stage.listen(PORT, actor=second)
    second.exit(2)
    stage.refused(PORT)
    told = [(owner(line), line["owner"]["exit"]) for line in watch.settle(stage.b)]
    assert told == [
        ((first.pid, "former listener"), "exited with status 1"),
        ((second.pid, "former listener"), "exited with status 2"),
    ]


def test_a_wildcard_and_a_specific_listener_each_have_their_own(watch: Watch, stage: Stage) -> None:
    """On one port one process serves an address and another all others: their connections are told apart."""
    wildcard, specific = stage.actor(stage.b, "wildcard"), stage.actor(stage.b, "specific")
    everywhere, here = listen(wildcard), listen(specific, stage.address_b)
    for address, client in ((LOOPBACK, stage.server), (stage.address_b, stage.client)):
        connection = client.connect(address, PORT)
        stage.b.await_states(PORT, "ESTABLISHED")
        connection.linger(0)
        connection.close()
        stage.b.await_states(PORT, "ESTABLISHED", 0)
    told = {line["dst"]: owner(line) for line in watch.settle(stage.b) if line["direction"] == "received"}
    assert told == {LOOPBACK: (wildcard.pid, "listener"), stage.address_b: (specific.pid, "listener")}
    # the specific one goes first: until the other goes too, the port is open
    for listener in (here, everywhere):
        listener.accept_waiting()
        listener.close()
    stage.refused(PORT)
    assert owner(watch.settle(stage.b)[-1]) == (wildcard.pid, "former listener")


def test_a_listener_on_loopback_never_served_the_network(watch: Watch, stage: Stage) -> None:
    """A SYN from outside meets a port that was only ever open inside: the process of inside is not named for it."""
    listen(stage.server, LOOPBACK).close()
    stage.refused(PORT)
    line = only(watch.settle(stage.b))
    assert (line["cause"], owner(line)) == ("closed-port", NOBODY)


@pytest.mark.parametrize("v6_only", [False, True])
def test_an_ipv6_wildcard_serves_ipv4_unless_it_may_not(watch: Watch, stage: Stage, v6_only: bool) -> None:
    """Its IPv4 connections and its closed port over IPv4 are its own; with IPV6_V6ONLY it never had any."""
    served = stage.actor(stage.b, "served-both")
    listen(served, v6=True, v6_only=v6_only)
    if not v6_only:
        stage.queue(PORT)
    served.kill()
    stage.refused(PORT)
    told = [(line["cause"], owner(line)) for line in watch.settle(stage.b)]
    if v6_only:
        assert told == [("closed-port", NOBODY)]
    else:
        assert told == [
            ("not-accepted", (served.pid, "listener")),
            ("closed-port", (served.pid, "former listener")),
        ]


@pytest.mark.parametrize("how", ["killed", "alive"])
def test_half_open_names_the_connection_that_it_once_was(watch: Watch, stage: Stage, how: str) -> None:
    """The peer goes on with a connection that was reset without its hearing: whose it was, how and when it ended."""
    owning = stage.actor(stage.b, "owning")
    listener = stage.listen(PORT, actor=owning)
    client = stage.connect(PORT)
    server = listener.accept()
    client.send(b"request")
    server.await_unread(7)
    with stage.b.dropping("output"):
        if how == "killed":
            owning.kill()
        else:
            server.close()
        assert owner(only(watch.wait_resets(stage.b, 1))) == (owning.pid, "closer")
    time.sleep(LATER_SECONDS)
    client.send(b"more")
    line = watch.settle(stage.b)[1]
    assert (line["cause"], line["certainty"], owner(line)) == ("half-open", "certain", (owning.pid, "closer"))
    assert (line["owner"]["comm"], line["owner"]["alive"]) == ("owning", how == "alive")
    assert line["owner"].get("exit") == ("killed by SIGKILL" if how == "killed" else None)
    assert says(line, f"a segment of actor_process.py[{owning.pid}]'s connection, reset by this host"), line["evidence"]
    assert line["connection"]["bytes_in"] == 7
    assert line["connection"]["ended_ms"] >= LATER_SECONDS * 1000


def test_half_open_knows_a_forked_child_that_is_gone(watch: Watch, stage: Stage) -> None:
    """A child had accepted and died silently; its parent listens on: the child is named for what it had."""
    listener = stage.listen(PORT)
    with stage.server.fork("worker") as child:
        client = stage.connect(PORT)
        accepted = Connection(child, listener.number).accept()
        client.send(b"x")
        accepted.recv()
        accepted.linger(0)
        with stage.b.dropping("output"):
            child.kill()
            watch.wait_resets(stage.b, 1)
        time.sleep(LATER_SECONDS)
        client.send(b"more")
        line = watch.settle(stage.b)[1]
        assert (line["cause"], owner(line)) == ("half-open", (child.pid, "closer"))
        assert line["owner"]["alive"] is False


def test_a_late_segment_of_an_orderly_close_is_harmless(watch: Watch, stage: Stage) -> None:
    """The client's FIN comes once more when both have closed and the server's process is gone: a late duplicate."""
    gone = stage.actor(stage.b, "gone")
    listener = stage.listen(PORT, actor=gone)
    client = stage.connect(PORT)
    server = listener.accept()
    send_next, receive_next = client.seqs()
    port_a = client.port
    client.close()
    server.await_state("CLOSE_WAIT")
    server.close()
    stage.a.await_states(port_a, "TIME_WAIT")
    stage.b.await_states(PORT, "LAST_ACK", 0)
    gone.exit(0)
    stage.raw("FA", port_a, PORT, seq=send_next, ack=receive_next + 1)
    line = only(watch.settle(stage.b))
    assert (line["cause"], line["certainty"], owner(line)) == ("late-duplicate", "certain", (gone.pid, "closer"))
    assert (line["owner"]["alive"], line["owner"]["exit"]) == (False, "exited normally")
    assert says(line, "connection, closed in order"), line["evidence"]
    assert says(line, "harmless"), line["evidence"]


def test_listeners_that_come_and_go_leave_memory_bounded(machine: None, stage: Stage) -> None:
    """Of 12,000 former listeners the last are known, the first forgotten; as many again cost no memory more."""
    first_port, portion, portions = 10_000, 1_000, 12
    resident = []
    with Watch() as watch:
        for _ in range(3):
            for number in range(portions):
                stage.server.listen_in_turn(first_port + number * portion, portion)
                watch.settle(stage.b)
            resident.append(resident_kib(watch))
        stage.refused(first_port + 2)
        assert owner(watch.settle(stage.b)[-1]) == NOBODY
        stage.refused(first_port + portions * portion - 1)
        assert owner(watch.settle(stage.b)[-1]) == (stage.server.pid, "former listener")
        assert not [line for line in watch.losses() if line.get("name") == "lives-lost"]
    assert resident[2] - resident[1] < 2048, resident


def resident_kib(watch: Watch) -> int:
    """Resident memory of the running command."""
    status = Path(f"/proc/{watch.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
