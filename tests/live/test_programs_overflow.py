"""A server that accepts more slowly than clients come: what tcp_abort_on_overflow makes of it under real load."""

import pytest

from tests import needs
from tests.hosts import Pair, Watch
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import http_server
from tests.live.tellings import tellings

PORT = 8000
PAGE = "hello"


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs.command("wrk")


def load(pair: Pair) -> Program:
    """A hundred clients at a server that has five places to wait, and serves one at a time."""
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/{PAGE}"
    return Program(pair.a, "wrk", "-t1", "-c100", "-d60s", "--timeout", "1s", url)


@pytest.mark.parametrize("cookies", [0, 1])
def test_overflow_under_load_resets_with_abort_on_overflow(watch: Watch, pair: Pair, cookies: int) -> None:
    """With 1 those whose handshake ends when the queue is full are reset; far more meet silence, as ever."""
    pair.b.sysctl("net.ipv4.tcp_abort_on_overflow", 1)
    pair.b.sysctl("net.ipv4.tcp_syncookies", cookies)
    with http_server(pair.b, PORT, {PAGE: "hello"}) as server:
        with load(pair):
            await_true(lambda: pair.b.counters()["EmbryonicRsts"] >= 5, "an overflow that is reset", timeout=20)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    full = sent.of("accept-queue-full", "listen-queue")
    assert len(full) >= 5
    # where a place became free in the same moment, the queue was not full any more when it was looked at
    assert len(sent.of("accept-queue-full")) > 0
    assert sent.of("accept-queue-full").values("certainty") == {"certain"}
    assert sent.of("accept-queue-full").saying("tcp_abort_on_overflow is 1") == len(sent.of("accept-queue-full"))
    assert sent.of("listen-queue").values("certainty") <= {"likely"}
    # clients that believed in a cookie: its ACK met a full queue in silence, and the FIN says that they are gone
    gone = sent.of("half-open")
    assert bool(gone) <= cookies
    assert gone.values("certainty") <= {"likely"}
    assert gone.saying("has sent SYN cookies", "while the accept queue was full") == len(gone)
    assert len(sent.troubles) == len(full) + len(gone)
    assert sent.values("owner.pid") == {server.pid}
    assert full.values("owner.via") == {"listener"}
    assert full.values("closer.pid") == {None}


def test_overflow_under_load_is_silent_without(watch: Watch, pair: Pair) -> None:
    """With 0 the server resets nobody; what is reset are answers to clients that are gone."""
    pair.b.sysctl("net.ipv4.tcp_abort_on_overflow", 0)
    with http_server(pair.b, PORT, {PAGE: "hello"}):
        with load(pair) as clients:
            pair.b.await_counter("ListenOverflows", 20)
        told = tellings(watch, pair)
    assert not told(pair.b, "sent")
    late = told(pair.a, "sent")
    assert late.troubles.causes.keys() <= {"unread-data", "data-after-close", "half-open"}
    assert late.values("owner.pid") <= {clients.pid}
