"""PostgreSQL: backends that are ended or killed, a limit that resets nobody, and connections without end."""

import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.actor import Connection
from tests.hosts.hosts import Finished
from tests.hosts.servers import postgres, postgres_cluster
from tests.live.tellings import tellings

PORT = 5432
OTHERS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
QUERY = b"Q" + struct.pack(">I", 13) + b"SELECT 1\0"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """An empty database."""
    needs.root()  # to become the user of the server
    for name in ("psql", "pgbench"):
        needs.command(name)
    with postgres_cluster() as data:
        yield data


def where(pair: Pair) -> list[str]:
    """The options by which its clients find the server."""
    return ["-h", pair.address(pair.b, 4), "-p", str(PORT), "-U", "postgres"]


def psql(pair: Pair, statement: str) -> str:
    """The answer to a statement."""
    return pair.a.run("psql", *where(pair), "-Atqc", statement).out


def pgbench(pair: Pair, *options: str) -> Finished:
    """Many connections, each for one small question."""
    return pair.a.run(
        "pgbench", *where(pair), "-n", "-C", "-f", "/dev/stdin", *options, "postgres", text="SELECT 1;", check=False
    )


def session(client: Actor, pair: Pair) -> Connection:
    """A connection that the server is ready to answer queries on."""
    connection = client.connect(pair.address(pair.b, 4), PORT)
    words = struct.pack(">I", 196608) + b"user\0postgres\0database\0postgres\0\0"
    connection.send(struct.pack(">I", len(words) + 4) + words)
    said = b""
    while not said.endswith(b"I"):  # ReadyForQuery, idle
        said += connection.recv()
    return connection


def test_terminated_backends_reset_the_next_query(watch: Watch, pair: Pair, cluster: Path) -> None:
    """pg_terminate_backend says goodbye and ends with a FIN; a query sent to it then is data after close, and its."""
    with postgres(pair.b, PORT, cluster), Actor(pair.a, "client") as client:
        connections = [session(client, pair) for _ in range(3)]
        backends = {int(pid) for pid in psql(pair, f"SELECT pid {OTHERS}").split()}
        psql(pair, f"SELECT pg_terminate_backend(pid) {OTHERS}")
        for connection in connections:
            connection.await_state("CLOSE_WAIT")
            connection.send(QUERY)
            connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 3}
    assert sent.count("owner.pid") == dict.fromkeys(backends, 1)
    assert sent.values("owner.exit") == {"exited with status 1"}
    assert sent.values("owner.user") == {"postgres"}
    assert told(pair.a, "received").values("owner.pid") == {client.pid}


def test_a_killed_backend_takes_the_others_along(watch: Watch, pair: Pair, cluster: Path) -> None:
    """One backend is killed with a query unread, the server ends all others: each reset says how its own one ended."""
    with postgres(pair.b, PORT, cluster), Actor(pair.a, "client") as client:
        first = session(client, pair)
        [victim] = [int(pid) for pid in psql(pair, f"SELECT pid {OTHERS}").split()]
        others = [session(client, pair) for _ in range(2)]
        backends = {int(pid) for pid in psql(pair, f"SELECT pid {OTHERS}").split()}
        os.kill(victim, signal.SIGSTOP)
        first.send(QUERY)
        first.await_unacknowledged()
        os.kill(victim, signal.SIGKILL)
        first.await_state("CLOSE")
        for connection in others:
            connection.await_state("CLOSE_WAIT")
            connection.send(QUERY)
            connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"unread-data": 1, "data-after-close": 2}
    killed, ended = sent.of("unread-data"), sent.of("data-after-close")
    assert killed.saying(f"postgres[{victim}] was exiting (killed by SIGKILL)") == 1
    assert killed.values("owner.pid") == killed.values("closer.pid") == {victim}
    assert ended.count("owner.pid") == dict.fromkeys(backends - {victim}, 1)
    assert ended.values("owner.exit") == {"exited with status 2"}


def test_too_many_clients_are_told_so_without_a_reset(watch: Watch, pair: Pair, cluster: Path) -> None:
    """«sorry, too many clients already» is read to its end: nothing is reset."""
    with postgres(pair.b, PORT, cluster, "max_connections=4", "superuser_reserved_connections=0"):
        done = pgbench(pair, "-c", "10", "-t", "20")
        told = tellings(watch, pair)
    assert "too many clients" in done.err
    assert not told(pair.b, "sent").troubles
    assert not told(pair.a, "sent").troubles


def test_a_connection_for_each_question_is_silent(watch: Watch, pair: Pair, cluster: Path) -> None:
    """pgbench -C on a healthy host; a FIN that the client sends again may be answered, and is harmless."""
    with postgres(pair.b, PORT, cluster):
        done = pgbench(pair, "-c", "5", "-t", "40")
        told = tellings(watch, pair)
    assert "actually processed: 200/200" in done.out
    assert not told(pair.b, "sent").troubles
    assert not told(pair.a, "sent").troubles
