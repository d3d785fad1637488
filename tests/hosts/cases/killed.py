"""Processes that are killed, and sockets that an administrator destroys."""

from collections.abc import Iterator

from tests.hosts.cases.model import Case, Expected, Missing, Stage, but, sent, twins

STATES = {"established": "ESTABLISHED", "listening": "LISTEN", "time-wait": "TIME_WAIT"}


def killed_unread(stage: Stage) -> Iterator[Expected]:
    """SIGKILL while data lies unread."""
    victim = stage.actor(stage.b, "victim")
    listener = stage.listen(8201, actor=victim)
    client = stage.connect(8201)
    server = listener.accept()
    client.send(b"unread")
    server.await_unread(6)
    victim.kill()
    reset = sent(
        stage.b, "unread-data", 8201, "TCP_ABORT_ON_CLOSE", trigger=None, owner=victim.pid, state="ESTABLISHED"
    )
    reset = but(reset, closer=victim.pid, keys={"connection.unread": 6})
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def killed_clean(stage: Stage) -> Iterator[Expected]:
    """SIGKILL with nothing unread: a FIN, no reset."""
    victim = stage.actor(stage.b, "victim")
    listener = stage.listen(8202, actor=victim)
    client = stage.connect(8202)
    listener.accept()
    victim.kill()
    client.await_state("CLOSE_WAIT")
    yield from ()


def killed_unaccepted(stage: Stage) -> Iterator[Expected]:
    """SIGKILL of a listener with three connections in its accept queue."""
    victim = stage.actor(stage.b, "victim")
    stage.listen(8203, actor=victim)
    clients = stage.queue(8203, 3)
    victim.kill()
    for client in clients:
        reset = sent(stage.b, "not-accepted", 8203, "TCP_STATE", trigger=None, owner=victim.pid, state="ESTABLISHED")
        yield from twins(but(reset, closer=victim.pid), stage.a, client.port, stage.client.pid)


def _destroy(stage: Stage, port: int, state: str) -> int:
    """Have `ss -K` destroy the sockets of a port of host b that are in a state; its pid."""
    family = "-6" if stage.v6 else "-4"
    pid = stage.b.run("ss", "-K", "-Htn", family, "state", state, "sport", "=", f":{port}").pid
    if STATES[state] in stage.b.tcp_states(port):
        raise Missing("destroying sockets (CONFIG_INET_DIAG_DESTROY)")
    return pid


def destroyed(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys an established connection."""
    _, client, server = stage.converse()
    closer = _destroy(stage, 8080, "established")
    server.await_state("CLOSE")
    reset = sent(stage.b, "destroyed", 8080, "TCP_STATE", trigger=None, owner=stage.server.pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=closer), stage.a, client.port, stage.client.pid)


def destroyed_listener(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys a listener with a connection in its accept queue."""
    stage.listen(8080)
    client = stage.queue(8080)[0]
    closer = _destroy(stage, 8080, "listening")
    reset = sent(stage.b, "not-accepted", 8080, "TCP_STATE", trigger=None, owner=stage.server.pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=closer), stage.a, client.port, stage.client.pid)


def destroyed_time_wait(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys a connection in TIME-WAIT: no reset."""
    _, client, server = stage.converse()
    server.close()
    client.await_state("CLOSE_WAIT")
    client.close()
    stage.b.await_states(8080, "TIME_WAIT")
    _destroy(stage, 8080, "time-wait")
    yield from ()


CASES = (
    Case("11a", "SIGKILL with unread data", killed_unread),
    Case("11b", "SIGKILL with nothing unread", killed_clean),
    Case("11c", "SIGKILL with three connections unaccepted", killed_unaccepted),
    Case("16a", "ss -K of an established connection", destroyed, needs=("ss",)),
    Case("16b", "ss -K of a listener with a connection unaccepted", destroyed_listener, needs=("ss",)),
    Case("16c", "ss -K of a connection in TIME-WAIT", destroyed_time_wait, needs=("ss",)),
)
