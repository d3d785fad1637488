"""Peers that do not answer: keepalive, the user timeout, retransmissions, and orphans that wait for a FIN."""

from collections.abc import Iterator

from tests.hosts.cases.model import Case, Expected, Stage, but, sent, twins


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


def orphan_given_up(stage: Stage) -> Iterator[Expected]:
    """An orphan in FIN-WAIT-2 is given up by its timer.

    Its timer runs for the time above 60 s; the rest it would spend as a mini socket. tcp_keepalive_timer() reads
    tcp_fin_timeout again, and resets where nothing of the shorter time is left.
    """
    stage.b.sysctl("net.ipv4.tcp_fin_timeout", 61)
    _, client, server = stage.converse()
    server.close()
    stage.b.await_states(8080, "FIN_WAIT2")
    stage.b.sysctl("net.ipv4.tcp_fin_timeout", 30)
    client.await_error()
    pid = stage.server.pid
    reset = sent(stage.b, "linger2-expired", 8080, "TCP_STATE", trigger=None, owner=pid, state="FIN_WAIT2")
    yield from twins(but(reset, closer=None), stage.a, client.port, stage.client.pid)


CASES = (
    Case("09", "keepalive without answer", keepalive),
    Case("10a", "user timeout with data", user_timeout_with_data),
    Case("10b", "user timeout with keepalive", user_timeout_with_keepalive),
    Case("10c", "tcp_retries2 reached", retransmits_exhausted),
    Case("18d", "orphan in FIN-WAIT-2 given up by its timer", orphan_given_up),
)
