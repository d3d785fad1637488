"""redis: clients that it ends or turns away, its own end under load or for want of memory, and its threads' names."""

import signal
from pathlib import Path

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.groups import Groups
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import redis
from tests.live.tellings import tellings

PORT = 6379
PING = b"PING\r\n"
DEBUG = ("--enable-debug-command", "yes")
CLIENTS = 30
LIMIT_BYTES = 64 << 20


@pytest.fixture(autouse=True)
def _installed() -> None:
    for name in ("redis-server", "redis-benchmark"):
        needs.command(name)


def load(pair: Pair) -> Program:
    """Thirty clients that ask without a pause; it ends with its first broken connection."""
    address = pair.address(pair.b, 4)
    words = f"redis-benchmark -h {address} -p {PORT} -c {CLIENTS} -n 100000000 -P 8 -q -t get"
    return Program(pair.a, *words.split())


def ask(client: Actor, pair: Pair, words: bytes) -> bytes:
    """Ask redis something on a connection of its own."""
    connection = client.connect(pair.address(pair.b, 4), PORT)
    connection.send(words)
    return connection.recv()


def test_killed_clients_are_reset_when_they_ask_again(watch: Watch, pair: Pair) -> None:
    """CLIENT KILL ends connections with a FIN; who goes on asking sends data after close."""
    with redis(pair.b, PORT) as server, Actor(pair.a, "client") as client, Actor(pair.a, "admin") as admin:
        connections = [client.connect(pair.address(pair.b, 4), PORT) for _ in range(3)]
        for connection in connections:
            connection.send(PING)
            assert connection.recv() == b"+PONG\r\n"
        assert ask(admin, pair, b"CLIENT KILL TYPE normal SKIPME yes\r\n") == b":3\r\n"
        for connection in connections:
            connection.await_state("CLOSE_WAIT")
            connection.send(PING)
            connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 3}
    assert sent.saying(f"redis-server[{server.pid}] had closed", f"then {len(PING)} bytes more came") == 3
    assert told(pair.a, "received").values("owner.pid") == {client.pid}
    assert told(pair.a, "received").saying(f"sent by redis-server[{server.pid}]") == 3


def test_clients_killed_under_load_lose_what_they_had_asked(watch: Watch, pair: Pair) -> None:
    """CLIENT KILL is read before what others have asked: their connections are closed with that unread."""
    with redis(pair.b, PORT) as server, load(pair) as benchmark, Actor(pair.a, "client") as client:
        admin, bystander = (client.connect(pair.address(pair.b, 4), PORT) for _ in range(2))
        for connection in (admin, bystander):
            connection.send(PING)
            assert connection.recv() == b"+PONG\r\n"
        await_true(lambda: pair.b.counters()["OutSegs"] > 1000, "answers")
        port = bystander.port
        server.kill(signal.SIGSTOP)
        admin.send(b"CLIENT KILL TYPE normal SKIPME yes\r\n")
        admin.await_unacknowledged()
        bystander.send(PING)
        bystander.await_unacknowledged()
        server.kill(signal.SIGCONT)
        assert admin.recv().startswith(b":")
        assert benchmark.wait() == 1
        bystander.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    aborts = sent.of("unread-data")
    assert aborts.count("dport")[port] == 1
    assert len(aborts) <= CLIENTS + 1
    assert aborts.saying(f"closed by its owner redis-server[{server.pid}]") == len(aborts)
    assert sent.troubles.causes.keys() <= {"unread-data", "data-after-close"}
    assert sent.values("owner.pid") == {server.pid}
    theirs = told(pair.a, "sent")  # the benchmark exits at once, also with answers unread
    assert theirs.troubles.causes.keys() <= {"unread-data", "data-after-close"}
    assert theirs.values("owner.pid") <= {benchmark.pid}


def test_clients_beyond_maxclients_are_told_so_and_reset(watch: Watch, pair: Pair) -> None:
    """The server answers «max number of clients reached» and closes: a request that comes then is data after close."""
    with redis(pair.b, PORT, "--maxclients", "2") as server, Actor(pair.a, "client") as client:
        admitted = [client.connect(pair.address(pair.b, 4), PORT) for _ in range(2)]
        for connection in admitted:
            connection.send(PING)
            assert connection.recv() == b"+PONG\r\n"
        for _ in range(3):
            connection = client.connect(pair.address(pair.b, 4), PORT)
            connection.await_state("CLOSE_WAIT")
            assert b"max number of clients" in connection.recv()
            connection.send(PING)
            connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 3}
    assert sent.values("owner.pid") == {server.pid}
    assert not told(pair.a, "sent")


def test_a_server_killed_under_load_has_its_leaders_name(watch: Watch, pair: Pair) -> None:
    """Any of its threads may be the one that closes its sockets at the end: shown are the process and its own name."""
    with redis(pair.b, PORT) as server, load(pair) as benchmark, Actor(pair.a, "bystander") as bystander:
        connection = bystander.connect(pair.address(pair.b, 4), PORT)
        names = {path.read_text().strip() for path in Path(f"/proc/{server.pid}/task").glob("*/comm")}
        assert len(names) > 1
        await_true(lambda: pair.b.counters()["OutSegs"] > 1000, "answers")
        server.kill(signal.SIGSTOP)
        connection.send(PING)  # the others may all be waiting for answers to what it has read
        connection.await_unacknowledged()
        server.end(signal.SIGKILL)
        assert benchmark.wait() == 1
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    aborts = sent.of("unread-data")
    assert len(aborts) > 0
    known = {"unread-data", "data-after-close", "not-accepted", "closed-port"}
    assert sent.troubles.causes.keys() <= known
    assert sent.values("owner.pid") == {server.pid}
    assert sent.values("owner.comm") == {"redis-server"}
    assert sent.values("owner.exit") == {"killed by SIGKILL"}
    assert aborts.saying(f"redis-server[{server.pid}] was exiting (killed by SIGKILL)") == len(aborts)
    assert aborts.values("closer.comm") == {"redis-server"}


def test_a_server_out_of_memory_is_told_as_the_oom_killers_victim(watch: Watch, pair: Pair, v1: Groups) -> None:
    """Its group's memory is full: its port is closed, its connections are gone, and all resets say what killed it."""
    with redis(pair.b, PORT, *DEBUG) as server, Actor(pair.a, "client") as client:
        idle = client.connect(pair.address(pair.b, 4), PORT)
        idle.send(PING)
        assert idle.recv() == b"+PONG\r\n"
        v1.limit("hungry", LIMIT_BYTES)
        v1.enter(server.pid, "hungry")
        client.connect(pair.address(pair.b, 4), PORT).send(b"DEBUG POPULATE 1000000 key 1000\r\n")
        assert server.wait() == -signal.SIGKILL
        idle.await_state("CLOSE_WAIT")
        idle.send(PING)
        idle.await_state("CLOSE")
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                client.connect(pair.address(pair.b, 4), PORT)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 1, "closed-port": 3}
    assert sent.values("owner.pid") == {server.pid}
    assert sent.values("owner.comm") == {"redis-server"}
    assert sent.values("owner.exit") == {"killed by SIGKILL (out of memory)"}
    assert sent.of("closed-port").saying("listened there before: killed by SIGKILL (out of memory)") == 3
