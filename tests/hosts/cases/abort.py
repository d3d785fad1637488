"""Resets that a host makes of its own accord, or since its application had closed already."""

from collections.abc import Iterator

from tests.hosts.actor import Connection
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


def _unsent(stage: Stage) -> tuple[Connection, Connection]:
    """Data waits unsent at the server, since the client does not read."""
    _, client, server = stage.converse()
    server.fill()
    server.await_in_flight(0)
    return client, server


def disconnect_unsent(stage: Stage) -> Iterator[Expected]:
    """The same with data in the send buffer that the client's window does not admit."""
    client, server = _unsent(stage)
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_STATE")


def disconnect_half_closed(stage: Stage) -> Iterator[Expected]:
    """The same after the server had shut down its sending side."""
    _, client, server = stage.converse()
    server.shutdown()
    server.await_state("FIN_WAIT2")
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_STATE", state="FIN_WAIT2")


def disconnect_last_ack(stage: Stage) -> Iterator[Expected]:
    """connect(AF_UNSPEC) in LAST-ACK, with data unsent before the FIN."""
    client, server = _unsent(stage)
    client.shutdown()
    server.await_state("CLOSE_WAIT")
    server.shutdown()
    server.await_state("LAST_ACK")
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_DISCONNECT_WITH_DATA", state="LAST_ACK")


def disconnect_closing(stage: Stage) -> Iterator[Expected]:
    """connect(AF_UNSPEC) in CLOSING, with data unsent before the FIN."""
    client, server = _unsent(stage)
    server.shutdown()
    client.shutdown()
    server.await_state("CLOSING")
    server.disconnect()
    yield from _closing(stage, client.port, "disconnect", "TCP_DISCONNECT_WITH_DATA", state="CLOSING")


def linger2_negative(stage: Stage) -> Iterator[Expected]:
    """TCP_LINGER2 -1, then close: the ACK of its FIN finds an orphan that is not to stay in FIN-WAIT-2."""
    _, client, server = stage.converse()
    server.linger2(-1)
    server.close()
    reset = sent(stage.b, "linger2-expired", 8080, "TCP_ABORT_ON_DATA", trigger="A", owner=stage.server.pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def linger2_negative_late(stage: Stage) -> Iterator[Expected]:
    """TCP_LINGER2 -1 is set when the socket is in FIN-WAIT-2 already: close itself gives it up."""
    _, client, server = stage.converse()
    server.shutdown()
    server.await_state("FIN_WAIT2")
    server.linger2(-1)
    server.close()
    yield from _closing(stage, client.port, "linger2-expired", "TCP_ABORT_ON_LINGER", state="FIN_WAIT2")


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
    client.await_error()
    pid = stage.server.pid
    yield sent(stage.b, "data-after-close", 8080, "TCP_ABORT_ON_DATA", trigger="PA", owner=pid)
    reset = sent(stage.b, "half-open", 8080, "TCP_FLAGS", trigger="PA", owner=pid)
    for _ in range(stage.b.counters()["OutRsts"] - 2):  # on a slow machine some more were lost
        yield reset
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


CASES = (
    Case("02", "close with unread data", unread_data),
    Case("03a", "close with SO_LINGER 0", linger_zero),
    Case("03b", "connect(AF_UNSPEC)", disconnect),
    Case("03c", "connect(AF_UNSPEC) with unsent data", disconnect_unsent),
    Case("03d", "TCP_LINGER2 -1, then close", linger2_negative),
    Case("03g", "connect(AF_UNSPEC) in FIN-WAIT-2", disconnect_half_closed),
    Case("18a", "connect(AF_UNSPEC) in LAST-ACK with unsent data", disconnect_last_ack),
    Case("18b", "connect(AF_UNSPEC) in CLOSING with unsent data", disconnect_closing),
    Case("18c", "TCP_LINGER2 -1 set in FIN-WAIT-2, then close", linger2_negative_late),
    Case("03e", "close with SO_LINGER 0 and unread data", linger_zero_unread),
    Case("03f", "close with SO_LINGER 0 in CLOSE-WAIT", linger_zero_close_wait),
    Case("04a", "data after close, FIN acknowledged", data_after_close),
    Case("04b", "data crosses the FIN", data_before_fin_acknowledged),
    Case("04c", "data for a full orphan in FIN-WAIT-2", data_after_close_orphan),
    Case("04d", "data after shutdown(SHUT_RD)", data_after_shutdown),
    Case("04e", "data after shutdown(SHUT_RD), then close", close_after_shutdown),
)
