"""The kernel's rarer reasons: numbers and timestamps that cannot be, and MPTCP."""

import errno
import socket
import struct
from collections.abc import Callable, Iterator

from tests.hosts.actor import Connection
from tests.hosts.cases.model import ANY, Case, Expected, Missing, Stage, but, sent, twins

PORT = 4446
PORT_A = 41234
MPTCP_PORT = 8080
TIMESTAMPS, MULTIPATH = 8, 30  # kinds of TCP options (RFC 7323, RFC 8684)
NEVER_SENT = 0x7FFFFFFF  # a timestamp far from any that the client may have sent

#: without a reason it may as well be an administrator who destroys a socket of the kernel's own
DESTROYED_ALIKE = {
    tier: {"cause": "unknown", "certainty": "unknown"} for tier in ("passive reasons", "functions", "drops")
}


def impossible_ack(cause: str, reason: str, distance: int) -> Callable[[Stage], Iterator[Expected]]:
    """Two SYNs cross (a simultaneous open), and the ACK that follows cannot be true.

    In SYN-RECEIVED a full socket answers that with one reset, where it would otherwise send a challenge ACK
    (tcp_rcv_state_process(), step 5).
    """

    def provoke(stage: Stage) -> Iterator[Expected]:
        client = stage.connect_to_nobody(PORT, PORT_A)
        send_next, _ = client.seqs()
        stage.answer("S", PORT, PORT_A, seq=777)
        client.await_state("SYN_RECV")
        stage.answer("A", PORT, PORT_A, seq=778, ack=send_next + distance)
        yield sent(stage.a, cause, PORT_A, reason, trigger="A", owner=stage.client.pid)

    return provoke


def impossible_timestamp(stage: Stage) -> Iterator[Expected]:
    """The SYN-ACK echoes a timestamp that the client never sent (PAWS, RFC 7323)."""
    client = stage.connect_to_nobody(PORT, PORT_A)
    send_next, _ = client.seqs()
    echo = struct.pack("!BBII", TIMESTAMPS, 10, 1, NEVER_SENT)
    stage.answer("SA", PORT, PORT_A, seq=777, ack=send_next, options=echo)
    yield sent(stage.a, "paws", PORT_A, "TCP_RFC7323_PAWS", trigger="SA", owner=stage.client.pid)


def _listen_mptcp(stage: Stage) -> Connection:
    try:
        return stage.server.listen(MPTCP_PORT, v6=stage.v6, protocol=socket.IPPROTO_MPTCP)
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.ENOPROTOOPT):
            raise Missing("MPTCP (CONFIG_MPTCP, net.mptcp.enabled)") from error
        raise


def unknown_token(stage: Stage) -> Iterator[Expected]:
    """A SYN asks to join an MPTCP connection that does not exist (MP_JOIN, RFC 8684 section 3.2)."""
    _listen_mptcp(stage)
    join = struct.pack("!BBBBII", MULTIPATH, 12, 1 << 4, 1, 0xDEADBEEF, 1)  # subtype MP_JOIN, address id, token, nonce
    stage.raw("S", 33000, MPTCP_PORT, seq=1, options=join)
    yield sent(stage.b, "mptcp", MPTCP_PORT, "MPTCP_RST_EMPTCP", trigger="S", owner=stage.server.pid)


def _converse_mptcp(stage: Stage) -> tuple[Connection, Connection]:
    listener = _listen_mptcp(stage)
    client = stage.client.socket(v6=stage.v6, protocol=socket.IPPROTO_MPTCP)
    client.connect(stage.address_b, MPTCP_PORT)
    return client, listener.accept()


def _fast_close(stage: Stage, client: Connection) -> Iterator[Expected]:
    """The kernel gives ABORT_ON_CLOSE, from a subflow still ESTABLISHED, whatever the application did."""
    pid = stage.server.pid
    reset = sent(stage.b, "mptcp", MPTCP_PORT, "TCP_ABORT_ON_CLOSE", trigger=None, owner=pid, state="ESTABLISHED")
    yield from twins(but(reset, closer=pid, certainty=ANY), stage.a, client.port, stage.client.pid)


def fast_close_unread(stage: Stage) -> Iterator[Expected]:
    """An MPTCP connection is closed with unread data: MP_FASTCLOSE in a reset."""
    client, server = _converse_mptcp(stage)
    client.send(b"x" * 100)
    server.await_unread(100)
    server.close()
    yield from _fast_close(stage, client)


def fast_close_disconnect(stage: Stage) -> Iterator[Expected]:
    """connect(AF_UNSPEC) on an MPTCP connection, with nothing unread: the same reset."""
    client, server = _converse_mptcp(stage)
    client.send(b"x" * 100)
    server.recv()
    server.disconnect()
    yield from _fast_close(stage, client)


CASES = (
    Case("18g", "too old ACK after a simultaneous open", impossible_ack("old-ack", "TCP_TOO_OLD_ACK", -11)),
    Case(
        "18h", "ACK of unsent data after a simultaneous open", impossible_ack("unsent-ack", "TCP_ACK_UNSENT_DATA", 5000)
    ),
    Case("18i", "SYN-ACK with an impossible timestamp", impossible_timestamp),
    Case("20a", "MPTCP join with an unknown token", unknown_token),
    Case("20b", "MPTCP close with unread data", fast_close_unread, lesser=DESTROYED_ALIKE),
    Case("20c", "MPTCP connect(AF_UNSPEC)", fast_close_disconnect, lesser=DESTROYED_ALIKE),
)
