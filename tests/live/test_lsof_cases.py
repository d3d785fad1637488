"""What a guide's `lsof -i:PORT -P -n` says of resets, beside what whyreset says of the same ones.

Server and client are on one host, where lsof sees both. It looks for sockets that are open now, so it cannot know who
listened before, nor which end of a connection made a reset.
"""

import pytest

from tests import needs
from tests.hosts import Actor, Watch
from tests.hosts.cases import Stage
from tests.hosts.watch import Line
from tests.live.people import closer, owner

PORT = 8080
LOOPBACK = "127.0.0.1"
ROUNDS = 5


def lsof(stage: Stage) -> set[int]:
    """The processes that it names."""
    needs.command("lsof")
    said = stage.b.run("lsof", f"-i:{PORT}", "-P", "-n", check=False)
    return {int(line.split()[1]) for line in said.out.splitlines()[1:]}


def sent(watch: Watch, stage: Stage, client_port: int) -> Line:
    """The one reset between the two that was sent, with this port of the client's."""
    found = [
        line
        for line in watch.settle(stage.b)
        if line["direction"] == "sent" and client_port in (line["sport"], line["dport"])
    ]
    assert len(found) == 1, found
    return found[0]


def refused(client: Actor) -> int:
    """Has the client try the port, on which nobody listens; the port it tried from."""
    attempt = client.socket()
    attempt.bind(0, LOOPBACK)
    port = attempt.port
    with pytest.raises(ConnectionRefusedError):
        attempt.connect(LOOPBACK, PORT)
    attempt.close()
    return port


@pytest.fixture
def client(stage: Stage) -> Actor:
    """A client on the server's own host."""
    return stage.actor(stage.b, "client")


def test_of_a_service_that_stopped_lsof_names_nobody(watch: Watch, stage: Stage, client: Actor) -> None:
    """Clients are refused: lsof is silent, and whyreset names the service that listened, and how it ended."""
    stage.listen(PORT)
    assert lsof(stage) == {stage.server.pid}, "while it runs, lsof is right"
    stage.server.exit(3)
    for _ in range(ROUNDS):
        port = refused(client)
        assert lsof(stage) == set()
        line = sent(watch, stage, port)
        assert line["cause"] == "closed-port"
        assert owner(line) == (stage.server.pid, "former listener")
        assert line["owner"]["exit"] == "exited with status 3"


def test_of_a_server_that_crashed_lsof_names_the_client(watch: Watch, stage: Stage, client: Actor) -> None:
    """The client still holds what is left of its connection: lsof names it, and whyreset the server that crashed."""
    listener = stage.listen(PORT)
    client.connect(LOOPBACK, PORT)
    listener.accept()
    stage.server.crash()
    for _ in range(ROUNDS):
        port = refused(client)
        assert lsof(stage) == {client.pid}
        line = sent(watch, stage, port)
        assert line["cause"] == "closed-port"
        assert owner(line) == (stage.server.pid, "former listener")
        assert line["owner"]["exit"] == "killed by SIGSEGV"


def test_of_a_client_that_aborts_lsof_names_the_server(watch: Watch, stage: Stage, client: Actor) -> None:
    """The client closes with data unread and so sends the reset: lsof names the server, and whyreset the client."""
    listener = stage.listen(PORT)
    for _ in range(ROUNDS):
        ours = client.connect(LOOPBACK, PORT)
        port, theirs = ours.port, listener.accept()
        theirs.send(b"x" * 100)
        ours.await_unread(100)
        ours.close()
        assert lsof(stage) == {stage.server.pid}
        line = sent(watch, stage, port)
        assert line["cause"] == "unread-data"
        assert (owner(line), closer(line)) == ((client.pid, "connect"), client.pid)
        theirs.close()
