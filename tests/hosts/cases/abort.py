"""Resets that a host makes of its own accord, or since its application had closed already."""

from collections.abc import Iterator

from tests.hosts.cases.model import Case, Expected, Stage, but, sent, twins


def _closing(
    stage: Stage,
    client_port: int,
    cause: str,
    reason: str,
    keys: dict[str, object] | None = None,
    state: str = "ESTABLISHED",
) -> Iterator[Expected]:
    """An active reset that the server itself makes at port 8080."""
    pid = stage.server.pid
    reset = sent(stage.b, cause, 8080, reason, trigger=None, owner=pid, state=state)
    yield from twins(but(reset, closer=pid, keys=keys or {}), stage.a, client_port, stage.client.pid)


def unread_data(stage: Stage) -> Iterator[Expected]:
    """The server closes while 100 bytes lie unread."""
    _, client, server = stage.converse()
    client.send(b"x" * 100)
    server.await_unread(100)
    server.close()
    yield from _closing(stage, client.port, "unread-data", "TCP_ABORT_ON_CLOSE", {"connection.unread": 100})


def linger_zero(stage: Stage) -> Iterator[Expected]:
    """The server closes with SO_LINGER 0."""
    _, client, server = stage.converse()
    server.linger(0)
    server.close()
    yield from _closing(stage, client.port, "linger-zero", "TCP_STATE")


def linger_zero_unread(stage: Stage) -> Iterator[Expected]:
    """SO_LINGER 0 and unread data: on purpose wins, though the kernel gives the unread data as its reason."""
    _, client, server = stage.converse()
    client.send(b"x" * 100)
    server.await_unread(100)
    server.linger(0)
    server.close()
    yield from _closing(stage, client.port, "linger-zero", "TCP_ABORT_ON_CLOSE", {"connection.unread": 100})


def linger_zero_close_wait(stage: Stage) -> Iterator[Expected]:
    """SO_LINGER 0 after the client had closed: nobody lost anything, and the state before says so."""
    _, client, server = stage.converse()
    port_a = client.port
    client.shutdown()
    server.await_state("CLOSE_WAIT")
    client.await_state("FIN_WAIT2")
    server.linger(0)
    server.close()
    yield from _closing(stage, port_a, "linger-zero", "TCP_STATE", state="CLOSE_WAIT")


def disconnect(stage: Stage) -> Iterator[Expected]:
    """The server calls connect() with AF_UNSPEC."""
    _, client, server = stage.converse()
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_STATE")


def disconnect_unsent(stage: Stage) -> Iterator[Expected]:
    """The same with data in the send buffer that the client's window does not admit."""
    _, client, server = stage.converse()
    server.fill()
    server.await_in_flight(0)
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_STATE")


def linger2_negative(stage: Stage) -> Iterator[Expected]:
    """TCP_LINGER2 -1, then close: the ACK of its FIN finds an orphan that is not to stay in FIN-WAIT-2."""
    _, client, server = stage.converse()
    server.linger2(-1)
    server.close()
    reset = sent(stage.b, "linger2-expired", 8080, "TCP_ABORT_ON_DATA", trigger="A", owner=stage.server.pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def data_after_close(stage: Stage) -> Iterator[Expected]:
    """Data for a mini socket in FIN-WAIT-2: the server had closed, and its FIN was acknowledged."""
    _, client, server = stage.converse()
    server.close()
    client.await_state("CLOSE_WAIT")
    stage.b.await_states(8080, "FIN_WAIT2")
    client.send(b"late")
    reset = sent(stage.b, "data-after-close", 8080, "TCP_TIMEWAIT_SOCKET", trigger="PA", owner=stage.server.pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def data_before_fin_acknowledged(stage: Stage) -> Iterator[Expected]:
    """Data crosses the FIN: the orphan in FIN-WAIT-1 is aborted, and the data sent again finds nobody."""
    _, client, server = stage.converse()
    with stage.a.dropping("input"):
        server.close()
        client.send(b"late")
        stage.b.await_counter("OutRsts", 1)
    pid = stage.server.pid
    yield sent(stage.b, "data-after-close", 8080, "TCP_ABORT_ON_DATA", trigger="PA", owner=pid)
    reset = sent(stage.b, "half-open", 8080, "TCP_FLAGS", trigger="PA", owner=pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def data_after_close_orphan(stage: Stage) -> Iterator[Expected]:
    """Data for an orphan that stays a full socket in FIN-WAIT-2, since tcp_fin_timeout is long."""
    stage.b.sysctl("net.ipv4.tcp_fin_timeout", 120)
    _, client, server = stage.converse()
    server.close()
    client.await_state("CLOSE_WAIT")
    stage.b.await_states(8080, "FIN_WAIT2")
    client.send(b"late")
    reset = sent(stage.b, "data-after-close", 8080, "TCP_ABORT_ON_DATA", trigger="PA", owner=stage.server.pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def data_after_shutdown(stage: Stage) -> Iterator[Expected]:
    """Data after shutdown(SHUT_RD) is taken and acknowledged as ever."""
    _, client, server = stage.converse()
    server.shutdown(0)
    client.send(b"late")
    client.await_unacknowledged(0)
    yield from ()


def close_after_shutdown(stage: Stage) -> Iterator[Expected]:
    """The same, then close: that data lay unread."""
    _, client, server = stage.converse()
    server.shutdown(0)
    client.send(b"late")
    client.await_unacknowledged(0)
    server.close()
    yield from _closing(stage, client.port, "unread-data", "TCP_ABORT_ON_CLOSE", {"connection.unread": 4})


def keepalive(stage: Stage) -> Iterator[Expected]:
    """The client does not answer keepalive probes."""
    _, _, server = stage.converse()
    with stage.a.dropping("input"):
        server.keepalive(1, 1, 1)
        server.await_error()
    yield _timed_out(stage)


def _timed_out(stage: Stage) -> Expected:
    reset = sent(
        stage.b,
        "keepalive-timeout",
        8080,
        "TCP_KEEPALIVE_TIMEOUT",
        trigger=None,
        owner=stage.server.pid,
        state="ESTABLISHED",
    )
    return but(reset, closer=None)


def user_timeout_with_keepalive(stage: Stage) -> Iterator[Expected]:
    """The user timeout passes while probes go unanswered."""
    _, _, server = stage.converse()
    with stage.a.dropping("input"):
        server.user_timeout(1500)
        server.keepalive(1, 1, 9)
        server.await_error()
    yield _timed_out(stage)


def user_timeout_with_data(stage: Stage) -> Iterator[Expected]:
    """The user timeout passes while data goes unacknowledged: the socket fails without a reset."""
    _, _, server = stage.converse()
    with stage.a.dropping("input"):
        server.user_timeout(500)
        server.send(b"data")
        server.await_error()
    yield from ()


def retransmits_exhausted(stage: Stage) -> Iterator[Expected]:
    """tcp_retries2 is reached: the socket fails without a reset."""
    stage.b.sysctl("net.ipv4.tcp_retries2", 1)
    _, _, server = stage.converse()
    with stage.a.dropping("input"):
        server.send(b"data")
        server.await_error()
    yield from ()


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


def _destroy(stage: Stage, *what: str) -> int:
    """Have `ss -K` destroy sockets on host b; its pid."""
    return stage.b.run("ss", "-K", "-Htn6" if stage.v6 else "-Htn4", *what).pid


def destroyed(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys an established connection."""
    _, client, server = stage.converse()
    closer = _destroy(stage, "state", "established", "sport", "=", ":8080")
    server.await_state("CLOSE")
    reset = sent(stage.b, "destroyed", 8080, "TCP_STATE", trigger=None, owner=stage.server.pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=closer), stage.a, client.port, stage.client.pid)


def destroyed_listener(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys a listener with a connection in its accept queue."""
    stage.listen(8080)
    client = stage.queue(8080)[0]
    closer = _destroy(stage, "state", "listening", "sport", "=", ":8080")
    reset = sent(stage.b, "not-accepted", 8080, "TCP_STATE", trigger=None, owner=stage.server.pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=closer), stage.a, client.port, stage.client.pid)


def destroyed_time_wait(stage: Stage) -> Iterator[Expected]:
    """An administrator destroys a connection in TIME-WAIT: no reset."""
    _, client, server = stage.converse()
    server.close()
    client.await_state("CLOSE_WAIT")
    client.close()
    stage.b.await_states(8080, "TIME_WAIT")
    _destroy(stage, "state", "time-wait")
    stage.b.await_states(8080, "TIME_WAIT", 0)
    yield from ()


CASES = (
    Case("02", "close with unread data", unread_data),
    Case("03a", "close with SO_LINGER 0", linger_zero),
    Case("03b", "connect(AF_UNSPEC)", disconnect),
    Case("03c", "connect(AF_UNSPEC) with unsent data", disconnect_unsent),
    Case("03d", "TCP_LINGER2 -1, then close", linger2_negative),
    Case("03e", "close with SO_LINGER 0 and unread data", linger_zero_unread),
    Case("03f", "close with SO_LINGER 0 in CLOSE-WAIT", linger_zero_close_wait),
    Case("04a", "data after close, FIN acknowledged", data_after_close),
    Case("04b", "data crosses the FIN", data_before_fin_acknowledged),
    Case("04c", "data for a full orphan in FIN-WAIT-2", data_after_close_orphan),
    Case("04d", "data after shutdown(SHUT_RD)", data_after_shutdown),
    Case("04e", "data after shutdown(SHUT_RD), then close", close_after_shutdown),
    Case("09", "keepalive without answer", keepalive),
    Case("10a", "user timeout with data", user_timeout_with_data),
    Case("10b", "user timeout with keepalive", user_timeout_with_keepalive),
    Case("10c", "tcp_retries2 reached", retransmits_exhausted),
    Case("11a", "SIGKILL with unread data", killed_unread),
    Case("11b", "SIGKILL with nothing unread", killed_clean),
    Case("11c", "SIGKILL with three connections unaccepted", killed_unaccepted),
    Case("16a", "ss -K of an established connection", destroyed),
    Case("16b", "ss -K of a listener with a connection unaccepted", destroyed_listener),
    Case("16c", "ss -K of a connection in TIME-WAIT", destroyed_time_wait),
)
