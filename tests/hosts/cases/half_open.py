"""Segments for connections that the host no longer knows or never knew, and what is forged against live ones."""

import time
from collections.abc import Iterator

from tests.hosts.actor import Connection
from tests.hosts.cases.model import ANY, Case, Expected, Stage, but, sent, twins
from tests.hosts.hosts import INTERFACE

PORT = 8080
LATER_SECONDS = 0.3


def _aborted_unnoticed(stage: Stage) -> Expected:
    reset = sent(stage.b, "linger-zero", PORT, "TCP_STATE", trigger=None, owner=stage.server.pid, state="ESTABLISHED")
    return but(reset, closer=stage.server.pid)


def _half_open(stage: Stage, client: Connection, reason: str) -> Iterator[Expected]:
    """The client, which believes in the connection, sends: later than what was in flight at the abort can come."""
    time.sleep(LATER_SECONDS)
    client.send(b"hello?")
    reset = sent(stage.b, "half-open", PORT, reason, trigger="PA", owner=stage.server.pid)
    yield from twins(reset, stage.a, client.port, stage.client.pid)


def lost_state(stage: Stage) -> Iterator[Expected]:
    """The server's reset is lost on the way; the listener is up."""
    _, client, server = stage.converse()
    with stage.b.dropping("output"):
        server.linger(0)
        server.close()
    yield _aborted_unnoticed(stage)
    yield from _half_open(stage, client, "TCP_FLAGS")


def address_moved(stage: Stage) -> Iterator[Expected]:
    """The server's address goes away, the server aborts, and the address comes back."""
    _, client, server = stage.converse()
    address = f"{stage.address_b}/{64 if stage.v6 else 24}"
    stage.b.run("ip", "addr", "del", address, "dev", INTERFACE)
    server.linger(0)
    server.close()
    yield _aborted_unnoticed(stage)
    stage.b.run("ip", "addr", "add", address, "dev", INTERFACE, *(["nodad"] if stage.v6 else []))
    yield from _half_open(stage, client, "TCP_FLAGS")


def lost_state_no_listener(stage: Stage) -> Iterator[Expected]:
    """The server's reset is lost, and its listener is gone too."""
    listener, client, server = stage.converse()
    with stage.b.dropping("output"):
        server.linger(0)
        server.close()
        listener.close()
    yield _aborted_unnoticed(stage)
    yield from _half_open(stage, client, "NO_SOCKET")


def _established(stage: Stage) -> tuple[Connection, Connection, int, int]:
    _, client, server = stage.converse(PORT)
    return client, server, *client.seqs()


def blind_resets(stage: Stage) -> Iterator[Expected]:
    """Fifty forged resets out of the window."""
    client, server, send_next, _ = _established(stage)
    arrived = stage.b.counters()["InSegs"]
    for number in range(50):
        stage.raw("R", client.port, PORT, seq=send_next + 0x20000000 + number * 0x100000)
    stage.b.await_counter("InSegs", arrived + 50)
    assert server.state() == "ESTABLISHED"
    yield from ()


def resets_in_window(stage: Stage) -> Iterator[Expected]:
    """Three forged resets in the window, none exact: challenge ACKs (RFC 5961)."""
    client, server, send_next, _ = _established(stage)
    for number in range(3):
        stage.raw("R", client.port, PORT, seq=send_next + 100 + number)
    stage.b.await_counter("TCPChallengeACK", 1)
    assert server.state() == "ESTABLISHED"
    yield from ()


def syn_in_connection(stage: Stage) -> Iterator[Expected]:
    """A SYN in the window of an established connection: a challenge ACK."""
    client, server, send_next, _ = _established(stage)
    stage.raw("S", client.port, PORT, seq=send_next + 50)
    stage.b.await_counter("TCPSYNChallenge", 1)
    assert server.state() == "ESTABLISHED"
    yield from ()


def exact_reset(stage: Stage) -> Iterator[Expected]:
    """A forged reset with exactly the next number kills the server's connection."""
    client, server, send_next, _ = _established(stage)
    yield from _killed_by_forgery(stage, client, server, send_next)


def _killed_by_forgery(stage: Stage, client: Connection, server: Connection, seq: int) -> Iterator[Expected]:
    stage.raw("R", client.port, PORT, seq=seq)
    server.await_state("CLOSE")
    yield Expected("b", "received", "unknown", PORT, owner=stage.server.pid, certainty="unknown")


def exact_reset_then_data(stage: Stage) -> Iterator[Expected]:
    """The same; then the client, which was not told, sends."""
    client, server, send_next, _ = _established(stage)
    yield from _killed_by_forgery(stage, client, server, send_next)
    yield from _half_open(stage, client, "TCP_FLAGS")


def unsent_acknowledged(stage: Stage) -> Iterator[Expected]:
    """Data whose ACK is ahead of all that was sent: a challenge ACK; kernels before about 6.8 drop it silently."""
    client, _, send_next, receive_next = _established(stage)
    arrived = stage.b.counters()["InSegs"]
    stage.raw("PA", client.port, PORT, seq=send_next, ack=receive_next + 5000, payload=b"x")
    stage.b.await_counter("InSegs", arrived + 1)
    yield from ()


def old_acknowledged(stage: Stage) -> Iterator[Expected]:
    """Data whose ACK is far too old: a challenge ACK."""
    client, _, send_next, receive_next = _established(stage)
    stage.raw("PA", client.port, PORT, seq=send_next, ack=receive_next - 0x20000000, payload=b"x")
    stage.b.await_counter("TCPChallengeACK", 1)
    yield from ()


def bad_syn_ack(stage: Stage) -> Iterator[Expected]:
    """A connect is answered by a SYN-ACK with a wrong ACK number."""
    stage.connect_to_nobody(4446, 41234)
    stage.answer("SA", 4446, 41234, seq=777, ack=12345)
    yield sent(stage.a, "bad-handshake-ack", 41234, "TCP_INVALID_ACK_SEQUENCE", trigger="SA", owner=stage.client.pid)


def _half_open_request(stage: Stage, sport: int) -> Connection:
    """A listener with a half-open request, of which host a's kernel does not hear; the listener."""
    stage.hold(stage.a.dropping("input"))
    listener = stage.listen(PORT)
    stage.raw("S", sport, PORT, seq=1000)
    stage.b.await_states(PORT, "SYN_RECV")
    return listener


def bad_handshake_ack(stage: Stage) -> Iterator[Expected]:
    """A half-open request gets an ACK with a wrong number; from the facts it may as well be a stray one."""
    _half_open_request(stage, 33333)
    stage.raw("A", 33333, PORT, seq=1001, ack=999)
    reset = sent(stage.b, "half-open", PORT, "TCP_FLAGS", trigger="A", owner=stage.server.pid)
    yield but(reset, certainty="likely", candidates=frozenset({"bad-handshake-ack", "stray-segment"}))


def half_open_scan(stage: Stage) -> Iterator[Expected]:
    """A SYN from a raw socket: host a's kernel resets the SYN-ACK that it did not ask for."""
    stage.listen(PORT)
    stage.raw("S", 33334, PORT, seq=1000)
    stage.b.await_counter("EmbryonicRsts", 1)
    yield sent(stage.a, "unsolicited-syn-ack", 33334, "NO_SOCKET", trigger="SA", owner=None)


def listener_closed_in_handshake(stage: Stage) -> Iterator[Expected]:
    """The listener closes with a half-open request, then its ACK comes."""
    _half_open_request(stage, 33335).close()
    stage.raw("A", 33335, PORT, seq=1001, ack=999)
    reset = sent(stage.b, "stray-segment", PORT, "NO_SOCKET", trigger="A", owner=ANY)
    yield but(reset, certainty="likely")


def in_flight(stage: Stage) -> Iterator[Expected]:
    """Data that was on its way when the server aborted: the answer to it is no trouble of its own."""
    client, server, send_next, receive_next = _established(stage)
    port_a = client.port
    server.linger(0)
    server.close()
    stage.raw("PA", port_a, PORT, seq=send_next, ack=receive_next, payload=b"on its way")
    yield from twins(_aborted_unnoticed(stage), stage.a, port_a, stage.client.pid)
    reset = sent(stage.b, "in-flight", PORT, "TCP_FLAGS", trigger="PA", owner=stage.server.pid)
    yield but(reset, certainty=ANY)


def late_duplicate(stage: Stage) -> Iterator[Expected]:
    """The client's FIN comes once more when the connection has closed in order on both sides."""
    client, server, send_next, receive_next = _established(stage)
    port_a = client.port
    client.close()
    server.await_state("CLOSE_WAIT")
    server.close()
    stage.a.await_states(port_a, "TIME_WAIT")
    stage.b.await_states(PORT, "LAST_ACK", 0)
    stage.raw("FA", port_a, PORT, seq=send_next, ack=receive_next + 1)
    reset = sent(stage.b, "late-duplicate", PORT, "TCP_FLAGS", trigger="FA", owner=stage.server.pid)
    yield but(reset, certainty=ANY)


CASES = (
    Case("05a", "half-open, the server's reset was lost", lost_state),
    Case("05b", "half-open, the server's address moved away and back", address_moved),
    Case("05c", "half-open, and the listener is gone too", lost_state_no_listener),
    Case("13g", "forged resets out of the window", blind_resets),
    Case("13h", "forged resets in the window, not exact", resets_in_window),
    Case("13i", "SYN in an established connection", syn_in_connection),
    Case("13j", "forged exact reset", exact_reset),
    Case("13k", "forged exact reset, then the unaware peer sends", exact_reset_then_data),
    Case("13l", "ACK of unsent data", unsent_acknowledged),
    Case("13m", "far too old ACK", old_acknowledged),
    Case("15d", "SYN-ACK with a wrong ACK", bad_syn_ack),
    Case("17a", "bad ACK to a half-open request", bad_handshake_ack),
    Case("17b", "reset to a half-open request", half_open_scan),
    Case("17c", "listener closed, then the ACK of a half-open request", listener_closed_in_handshake),
    Case("19a", "data in flight when the server aborts", in_flight),
    Case("19b", "FIN once more after an orderly close", late_duplicate),
)
