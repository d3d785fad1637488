"""Full queues of a listener."""

from collections.abc import Iterator

from tests.hosts.actor import Connection
from tests.hosts.cases.model import ANY, Case, Expected, Stage, but, sent, twins

PORT = 8110
FLOOD = 40
FIRST_SOURCE_PORT = 20_000


def _full(stage: Stage) -> None:
    """A listener whose accept queue is full (a backlog of 1 admits two)."""
    stage.listen(PORT, backlog=1)
    stage.queue(PORT, 2)


def full_at_syn(stage: Stage) -> Iterator[Expected]:
    """SYNs to a full accept queue are dropped without an answer, even with tcp_abort_on_overflow."""
    stage.b.sysctl("net.ipv4.tcp_abort_on_overflow", 1)
    _full(stage)
    for _ in range(3):
        stage.connect(PORT, wait=False)
    stage.b.await_counter("ListenOverflows", 3)
    yield from ()


def _overflow_at_ack(stage: Stage, abort: int) -> Connection:
    """Two requests are half-open when one place is left in the accept queue; the one whose ACK came too late."""
    stage.b.sysctl("net.ipv4.tcp_abort_on_overflow", abort)
    stage.b.sysctl("net.ipv4.tcp_syncookies", 0)
    stage.listen(PORT, backlog=1)
    stage.queue(PORT)
    with stage.a.dropping("output", "tcp flags & (syn | ack | rst) == ack"):
        first, second = stage.connect(PORT), stage.connect(PORT)
    first.send(b"d")
    stage.b.await_states(PORT, "ESTABLISHED", 2)
    second.send(b"d")
    stage.b.await_counter("ListenOverflows", 1)
    return second


def full_at_ack(stage: Stage) -> Iterator[Expected]:
    """tcp_abort_on_overflow 1: the embryonic connection is reset."""
    late = _overflow_at_ack(stage, 1)
    reset = sent(stage.b, "accept-queue-full", PORT, "INVALID_SYN", trigger="PA", owner=stage.server.pid)
    yield from twins(reset, stage.a, late.port, stage.client.pid)


def full_at_ack_silent(stage: Stage) -> Iterator[Expected]:
    """tcp_abort_on_overflow 0: nothing is sent."""
    _overflow_at_ack(stage, 0)
    yield from ()


def _flood(stage: Stage, port: int, cookies: int) -> Expected:
    """Forty SYNs at a backlog of 8; the resets with which host a answers the SYN-ACKs never leave it."""
    stage.b.sysctl("net.ipv4.tcp_syncookies", cookies)
    stage.b.sysctl("net.ipv4.tcp_max_syn_backlog", 8)
    stage.b.sysctl("net.ipv4.tcp_synack_retries", 0)  # each request is answered once
    stage.listen(port, backlog=8)
    with stage.a.dropping("output", "tcp flags & rst == rst"):
        for number in range(FLOOD):
            stage.raw("S", FIRST_SOURCE_PORT + number, port, seq=1000 + number)
        stage.b.await_counter("InSegs", FLOOD)
    answered = FLOOD if cookies else FLOOD - stage.b.counters()["ListenDrops"]
    assert answered, "the backlog admits some"
    reset = sent(stage.a, "unsolicited-syn-ack", FIRST_SOURCE_PORT, "NO_SOCKET", trigger="SA", owner=None)
    return but(reset, port=ANY, count=answered)


def syn_flood_with_cookies(stage: Stage) -> Iterator[Expected]:
    """A flood of SYNs beyond the backlog is answered with cookies; the spoofed source resets each SYN-ACK."""
    yield _flood(stage, 8121, cookies=1)


def syn_flood_without_cookies(stage: Stage) -> Iterator[Expected]:
    """Without cookies what is beyond the backlog meets silence."""
    yield _flood(stage, 8120, cookies=0)


def bad_cookie(stage: Stage) -> Iterator[Expected]:
    """An ACK with a wrong SYN cookie comes to a listener that sent cookies lately."""
    yield _flood(stage, 8121, cookies=1)
    stage.raw("A", 30000, 8121, seq=5, ack=12345)
    reset = sent(stage.b, "bad-handshake-ack", 8121, "TCP_FLAGS", trigger="A", owner=stage.server.pid)
    yield but(reset, certainty="likely")


def bad_syn(stage: Stage) -> Iterator[Expected]:
    """A second SYN, in the window but with another number, comes to a half-open request."""
    stage.hold(stage.a.dropping("input"))
    stage.listen(PORT)
    stage.raw("S", 33333, PORT, seq=1000)
    stage.b.await_states(PORT, "SYN_RECV")
    stage.raw("S", 33333, PORT, seq=1101)
    yield sent(stage.b, "invalid-syn", PORT, "INVALID_SYN", trigger="S", owner=stage.server.pid)


CASES = (
    Case("07a", "accept queue full when the SYN comes", full_at_syn),
    Case(
        "07b1",
        "accept queue full when the ACK comes, tcp_abort_on_overflow 1",
        full_at_ack,
        lesser={"drops": {"certainty": "likely"}},
    ),
    Case("07b0", "accept queue full when the ACK comes, tcp_abort_on_overflow 0", full_at_ack_silent),
    Case("07c1", "SYN queue full, with SYN cookies", syn_flood_with_cookies),
    Case("07c0", "SYN queue full, without SYN cookies", syn_flood_without_cookies),
    Case("07d", "ACK with a bad SYN cookie", bad_cookie),
    Case(
        "18e",
        "second SYN with another number to a half-open request",
        bad_syn,
        lesser={"drops": {"cause": "unknown", "certainty": "unknown"}},  # or Multipath TCP refuses a join
    ),
)
