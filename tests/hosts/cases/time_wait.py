"""What happens to a connection that host b closed first, and that waits in TIME-WAIT there."""

from collections.abc import Callable, Iterator

from tests.hosts.cases.model import ANY, Case, Expected, Stage, but, sent, twins

PORT = 8080


def _time_wait(stage: Stage) -> tuple[int, int, int]:
    """A connection in TIME-WAIT at host b; the client's port, next number to send and next number expected."""
    listener, client, server = stage.converse(PORT)
    port_a, (send_next, receive_next) = client.port, client.seqs()
    server.close()
    client.await_state("CLOSE_WAIT")
    client.close()
    stage.b.await_states(PORT, "TIME_WAIT")
    listener.close()
    return port_a, send_next, receive_next


def _assassinated(stage: Stage, port_a: int) -> Iterator[Expected]:
    """Host b acknowledges from TIME-WAIT, and host a, without state, resets that."""
    reset = sent(stage.a, "time-wait-assassination", port_a, "NO_SOCKET", trigger="A", owner=ANY)
    yield but(reset, certainty="likely")


def old_duplicate(rfc1337: int) -> Callable[[Stage], Iterator[Expected]]:
    """Old duplicate data comes to TIME-WAIT: killed with tcp_rfc1337 0, kept with 1."""

    def provoke(stage: Stage) -> Iterator[Expected]:
        stage.b.sysctl("net.ipv4.tcp_rfc1337", rfc1337)
        port_a, send_next, receive_next = _time_wait(stage)
        stage.raw("PA", port_a, PORT, seq=send_next - 5, ack=receive_next, payload=b"oldd")
        stage.a.await_counter("OutRsts", 1)
        stage.b.await_states(PORT, "TIME_WAIT", rfc1337)
        yield from _assassinated(stage, port_a)

    return provoke


def reset_to_time_wait(rfc1337: int) -> Callable[[Stage], Iterator[Expected]]:
    """A reset comes to TIME-WAIT: nothing is sent, and nothing told of it."""

    def provoke(stage: Stage) -> Iterator[Expected]:
        stage.b.sysctl("net.ipv4.tcp_rfc1337", rfc1337)
        port_a, send_next, _ = _time_wait(stage)
        arrived = stage.b.counters()["InSegs"]
        stage.raw("R", port_a, PORT, seq=send_next + 1)
        stage.b.await_counter("InSegs", arrived + 1)
        stage.b.await_states(PORT, "TIME_WAIT", rfc1337)
        yield from ()

    return provoke


def old_syn(stage: Stage) -> Iterator[Expected]:
    """A SYN with a number below the expected one."""
    port_a, send_next, _ = _time_wait(stage)
    stage.raw("S", port_a, PORT, seq=send_next - 1000)
    yield from _assassinated(stage, port_a)


def new_syn(stage: Stage) -> Iterator[Expected]:
    """A SYN with a higher number opens the connection anew; host a never sent it and resets the answer."""
    port_a, send_next, _ = _time_wait(stage)
    stage.listen(PORT)
    stage.raw("S", port_a, PORT, seq=send_next + 100_000)
    yield sent(stage.a, "unsolicited-syn-ack", port_a, "NO_SOCKET", trigger="SA", owner=ANY)


def new_syn_without_listener(stage: Stage) -> Iterator[Expected]:
    """The same while nobody listens any more: TIME-WAIT acknowledges."""
    port_a, send_next, _ = _time_wait(stage)
    stage.raw("S", port_a, PORT, seq=send_next + 100_000)
    yield from _assassinated(stage, port_a)


def syn_to_fin_wait_2(stage: Stage) -> Iterator[Expected]:
    """A SYN with a higher number comes to the mini socket of a connection whose other end has not closed yet."""
    _, client, server = stage.converse(PORT)
    port_a, (send_next, _) = client.port, client.seqs()
    server.close()
    client.await_state("CLOSE_WAIT")
    stage.b.await_states(PORT, "FIN_WAIT2")
    stage.raw("S", port_a, PORT, seq=send_next + 10)
    yield sent(stage.b, "time-wait-segment", PORT, "TCP_TIMEWAIT_SOCKET", trigger="S", owner=stage.server.pid)


def reused_by_client(stage: Stage) -> Iterator[Expected]:
    """The client's next connect takes the same port; the listener is gone, and its host still in TIME-WAIT."""
    port_a, _, _ = _time_wait(stage)
    port_a = stage.refused(PORT, port_a)
    reset = sent(stage.a, "time-wait-reuse", port_a, "TCP_INVALID_ACK_SEQUENCE", trigger="A", owner=stage.client.pid)
    yield but(reset, certainty=ANY)
    reset = sent(stage.b, "closed-port", PORT, "NO_SOCKET", trigger="S", owner=ANY)
    yield from twins(reset, stage.a, port_a, stage.client.pid)


CASES = (
    Case("06a0", "old duplicate to TIME-WAIT, tcp_rfc1337 0", old_duplicate(0)),
    Case("06a1", "old duplicate to TIME-WAIT, tcp_rfc1337 1", old_duplicate(1)),
    Case("06b0", "reset to TIME-WAIT, tcp_rfc1337 0", reset_to_time_wait(0)),
    Case("06b1", "reset to TIME-WAIT, tcp_rfc1337 1", reset_to_time_wait(1)),
    Case("06c", "old SYN to TIME-WAIT", old_syn),
    Case("06d", "new SYN to TIME-WAIT with a listener", new_syn),
    Case("06e", "new SYN to TIME-WAIT without a listener", new_syn_without_listener),
    Case("18f", "new SYN to a mini socket in FIN-WAIT-2", syn_to_fin_wait_2),
    Case("19c", "client reuses its port while the server is in TIME-WAIT", reused_by_client),
)
