"""haproxy: it closes on purpose, turns clients away in several ways, and asks its servers whether they are there."""

import os
import signal

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import haproxy, nginx
from tests.live.tellings import tellings

PORT, BACKEND = 8080, 8081
HELLO = f"server {{ listen {BACKEND}; location /hello {{ return 200 hello; }} }}"
REQUEST = b"GET /hello HTTP/1.1\r\nHost: haproxy\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: haproxy\r\nContent-Length: 100000\r\n\r\n" + bytes(40_000)
CHECKS = 5


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs.command("haproxy")


def gate(pair: Pair, rule: str, mode: str = "tcp") -> Program:
    """haproxy that does something to whoever comes."""
    return haproxy(pair.b, PORT, f"frontend front\n mode {mode}\n bind :{PORT}\n {mode}-request {rule}\n")


def checker(pair: Pair) -> Program:
    """haproxy on the client's host, which asks ten times a second whether the backend is there."""
    address = pair.address(pair.b, 4)
    server = f"server one {address}:{BACKEND} check inter 100ms fall 1000"
    return haproxy(pair.a, PORT, f"frontend front\n bind :{PORT}\n default_backend back\nbackend back\n {server}\n")


def test_nolinger_resets_on_purpose_and_costs_no_client_its_answer(watch: Watch, pair: Pair) -> None:
    """`option nolinger`: everybody is answered; what the proxy closes, it closes with SO_LINGER 0, to both sides."""
    for name in ("nginx", "curl"):
        needs.command(name)
    rules = f"""
frontend front
  bind :{PORT}
  option nolinger
  default_backend back
backend back
  server one 127.0.0.1:{BACKEND}
"""
    clients = set()
    with nginx(pair.b, BACKEND, HELLO) as server, haproxy(pair.b, PORT, rules) as proxy:
        for close in ("Connection: keep-alive", "Connection: close"):
            for _ in range(6):
                url = f"http://{pair.address(pair.b, 4)}:{PORT}/hello"
                curl = pair.a.run("curl", "--silent", "--header", close, url)
                assert curl.out == "hello"
                clients.add(curl.pid)
        workers = {server.pid, *server.children}
        await_true(lambda: set(pair.b.tcp_states(PORT)) <= {"LISTEN", "TIME_WAIT"}, "the end of all connections")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    aborts = sent.of("linger-zero")
    assert sent.troubles.causes.keys() == {"linger-zero"}
    assert sent.values("certainty") == {"certain"}
    assert sent.values("owner.pid") == aborts.values("closer.pid") == {proxy.pid}
    # curl closes first, or closes as well before the reset comes: nobody lost anything
    harmless = aborts.count("kernel.state").get("CLOSE_WAIT", 0)
    assert aborts.saying("the peer had closed its side already") == harmless > 0
    assert told(pair.a, "received").values("owner.pid") <= clients
    assert told(pair.b, "received").values("owner.pid") <= workers
    assert not told(pair.a, "sent")


@pytest.mark.parametrize("request_came", [False, True])
def test_reject_is_on_purpose_whether_or_not_the_request_came(watch: Watch, pair: Pair, request_came: bool) -> None:
    """One rule, two of the kernel's reasons: SO_LINGER 0 was set both times, and says that it was on purpose."""
    with gate(pair, "connection reject") as proxy, Actor(pair.a, "client") as client:
        proxy.kill(signal.SIGSTOP)
        connection = client.connect(pair.address(pair.b, 4), PORT)
        if request_came:
            connection.send(REQUEST)
            connection.await_unacknowledged()
        proxy.kill(signal.SIGCONT)
        connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"linger-zero": 1}
    assert sent.values("kernel.reason") == {"TCP_ABORT_ON_CLOSE" if request_came else "TCP_STATE"}
    assert sent.saying(f"{len(REQUEST)} bytes unread") == request_came
    assert sent.values("owner.pid") == sent.values("closer.pid") == {proxy.pid}
    assert told(pair.a, "received").values("owner.pid") == {client.pid}
    assert told(pair.a, "received").saying(f"sent by haproxy[{proxy.pid}]") == 1


def test_content_reject_closes_in_order_and_resets_what_comes_later(watch: Watch, pair: Pair) -> None:
    """It closes without lingering set: a FIN, and what the client sends then is data after close."""
    with gate(pair, "content reject") as proxy, Actor(pair.a, "client") as client:
        for _ in range(3):
            connection = client.connect(pair.address(pair.b, 4), PORT)
            connection.await_state("CLOSE_WAIT")
            connection.send(REQUEST)
            connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 3}
    assert sent.saying(f"haproxy[{proxy.pid}] had closed", f"then {len(REQUEST)} bytes more came") == 3
    assert sent.values("owner.pid") == {proxy.pid}


def test_request_reject_in_an_upload_loses_what_was_on_its_way(watch: Watch, pair: Pair) -> None:
    """The rule is asked once the headers are in: what of the body was not read, or comes later, is answered so."""
    with gate(pair, "reject", mode="http") as proxy, Actor(pair.a, "client") as client:
        proxy.kill(signal.SIGSTOP)
        connection = client.connect(pair.address(pair.b, 4), PORT)
        connection.send(UPLOAD)
        connection.await_unacknowledged()
        proxy.kill(signal.SIGCONT)
        connection.await_state("CLOSE")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"unread-data": 1}
    assert sent.values("owner.pid") == sent.values("closer.pid") == {proxy.pid}
    assert sent.values("kernel.state") <= {"ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2"}
    assert sent.saying("bytes unread") == 1


@pytest.mark.parametrize("later", ["FIN", "data"])
def test_silent_drop_is_not_silent_once_the_client_speaks(watch: Watch, pair: Pair, later: str) -> None:
    """The proxy forgets the connection without a word; what the client sends finds it gone, and whose it was."""
    with gate(pair, "connection silent-drop") as proxy, Actor(pair.a, "client") as client:
        connection = client.connect(pair.address(pair.b, 4), PORT)
        pair.b.await_counter("EstabResets", 1)  # the kernel's count of connections that ended so, though none was sent
        assert pair.b.counters()["OutRsts"] == 0
        if later == "data":
            connection.send(REQUEST)
            connection.await_state("CLOSE")
        else:
            connection.close()
            pair.b.await_counter("OutRsts", 1)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"half-open": 1}
    assert sent.values("certainty") == {"certain"}
    assert sent.values("trigger.flags") == {"PA" if later == "data" else "FA"}
    assert sent.saying(f"a segment of haproxy[{proxy.pid}]'s connection, ended without a word to the peer") == 1
    assert sent.values("owner.pid") == {proxy.pid}


def test_checks_of_a_closed_backend_are_refused(watch: Watch, pair: Pair) -> None:
    """Each check meets a port that never had a listener; the checker, not a scanner, receives them."""
    with checker(pair) as proxy:
        pair.b.await_counter("OutRsts", CHECKS)
    told = tellings(watch, pair)
    sent, received = told(pair.b, "sent"), told(pair.a, "received")
    assert sent.causes.keys() == received.causes.keys() == {"closed-port"}
    assert len(sent) == len(received) >= CHECKS
    assert sent.values("owner.pid") == {None}
    assert sent.values("sport") == {BACKEND}
    assert received.values("owner.pid") == {proxy.pid}
    assert not told(pair.a, "sent")


def test_checks_of_an_open_backend_are_aborted_by_the_checker_alone(watch: Watch, pair: Pair) -> None:
    """It connects and resets before its handshake's last segment is out: the server hears no more than a scan."""
    with Actor(pair.b, "server") as server:
        server.listen(BACKEND)
        with checker(pair) as proxy:
            pair.b.await_counter("EmbryonicRsts", CHECKS)
            os.kill(proxy.pid, signal.SIGKILL)
            proxy.wait()
        told = tellings(watch, pair)
    sent = told(pair.a, "sent")
    assert sent.causes.keys() == {"linger-zero"}
    assert len(sent) >= CHECKS
    assert sent.values("owner.pid") == {proxy.pid}
    assert sent.values("closer.pid") <= {proxy.pid}
    assert sent.values("dport") == {BACKEND}
    assert not told(pair.b, "sent")
    assert not told(pair.b, "received")
