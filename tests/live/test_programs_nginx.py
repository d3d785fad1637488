"""nginx and those who download from it: killed, reloaded, restarted, closing early, passing an abort on."""

import os
import signal

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import nginx
from tests.live.tellings import tellings

PORT, UPSTREAM = 8080, 8081
HELLO = f"server {{ listen {PORT} backlog=511; location /hello {{ return 200 hello; }} }}"
REQUEST = b"GET /hello HTTP/1.1\r\nHost: nginx\r\n\r\n"
LARGE = 1 << 30
REFUSED, EMPTY, TOO_LARGE, NOT_SENT, RESET = 7, 52, 63, 55, 56  # curl(1), exit codes


@pytest.fixture(autouse=True)
def _installed() -> None:
    for name in ("nginx", "curl", "wrk"):
        needs.command(name)


def load(pair: Pair) -> Program:
    """Thirty connections that ask for /hello again and again; it wants to be answered at first."""
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/hello"
    return Program(pair.a, "wrk", "-t1", "-c30", "-d30s", url)


def await_answers(pair: Pair, count: int) -> None:
    """Wait until the server has sent so many segments more."""
    sent = pair.b.counters()["OutSegs"]
    await_true(lambda: pair.b.counters()["OutSegs"] >= sent + count, "answers", timeout=15)


def download(pair: Pair, *options: str) -> Program:
    """curl, which downloads the large file to nowhere."""
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/large"
    return Program(pair.a, "curl", "--silent", "--output", "/dev/null", *options, url)


def end_in_download(pair: Pair, curl: Program, number: signal.Signals) -> None:
    """End a download by a signal while something of it lies unread."""
    pair.b.await_states(PORT, "ESTABLISHED")
    curl.kill(signal.SIGSTOP)
    await_true(lambda: pair.a.unread() > 0, "unread data")
    curl.kill(number)
    curl.kill(signal.SIGCONT)
    curl.wait()


def test_killed_downloads_exit_and_early_ends_close(watch: Watch, pair: Pair) -> None:
    """curl killed in a download is told as exiting, with the signal; curl that has enough of it closes."""
    with nginx(pair.b, PORT, f"server {{ listen {PORT}; }}", large_bytes=LARGE):
        killed = {}
        for number in (signal.SIGKILL, signal.SIGTERM):
            with download(pair, "--limit-rate", "1M") as curl:
                end_in_download(pair, curl, number)
                killed[curl.pid] = number.name
        with download(pair, "--max-filesize", "1000") as curl:
            assert curl.wait() == TOO_LARGE
        told = tellings(watch, pair)
    sent = told(pair.a, "sent").troubles
    assert len(sent) == len(told(pair.b, "received")) == 3
    assert told(pair.b, "received").causes == sent.causes
    assert sent.causes.keys() <= {"unread-data", "data-after-close"}
    assert sent.count("owner.pid") == dict.fromkeys([*killed, curl.pid], 1)
    for pid, name in killed.items():
        mine = sent.owned_by(pid)
        assert mine.causes == {"unread-data": 1}
        assert (mine.values("closer.pid"), mine.values("kernel.state")) == ({pid}, {"ESTABLISHED"})
        assert mine.saying(f"was exiting (killed by {name})") == 1
    early = sent.owned_by(curl.pid)  # what came before it closed lay unread, or it came after
    assert early.of("unread-data").saying(f"closed by its owner curl[{curl.pid}]") == len(early.of("unread-data"))
    assert early.saying("exiting") == 0


def test_worker_killed_under_load_says_so_and_the_port_stays_open(watch: Watch, pair: Pair) -> None:
    """SIGKILL of a worker: its clients' resets name the dead worker; another serves on, nothing is refused."""
    killed = set()
    with nginx(pair.b, PORT, HELLO) as server, load(pair) as wrk:
        while not pair.b.counters()["OutRsts"]:  # one that has just answered everybody takes nobody along
            await_answers(pair, 1000)
            [worker] = server.children
            killed.add(worker)
            os.kill(worker, signal.SIGKILL)
            server.await_true(lambda: server.children not in ([], [worker]), "another worker")  # noqa: B023
            assert len(killed) < 20
        await_answers(pair, 1000)
        wrk.end(signal.SIGKILL)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.troubles.causes.keys() <= {"unread-data", "data-after-close"}
    assert sent.values("owner.pid") <= killed
    assert sent.values("owner.exit") == {"killed by SIGKILL"}
    aborts = sent.of("unread-data")
    assert aborts.values("closer.pid") <= killed
    assert aborts.saying("was exiting (killed by SIGKILL)") == len(aborts)


def test_idle_connections_of_a_killed_worker_are_reset_when_their_peer_writes(watch: Watch, pair: Pair) -> None:
    """Death is silent at first: a FIN. What the client sends later is data after close, of the dead worker."""
    with nginx(pair.b, PORT, HELLO) as server, Actor(pair.a, "client") as client:
        connections = [client.connect(pair.address(pair.b, 4), PORT) for _ in range(3)]
        for connection in connections:
            connection.send(REQUEST)
            assert b"hello" in connection.recv()
        [worker] = server.children
        os.kill(worker, signal.SIGKILL)
        for connection in connections:
            connection.await_state("CLOSE_WAIT")
            connection.send(REQUEST)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"data-after-close": 3}
    assert (sent.values("certainty"), sent.values("owner.pid")) == ({"certain"}, {worker})
    assert sent.values("owner.exit") == {"killed by SIGKILL"}
    assert sent.values("closer.pid") == {None}
    assert told(pair.a, "received").values("owner.pid") == {client.pid}


def test_reload_under_load_is_a_burst_of_closing_old_workers(watch: Watch, pair: Pair) -> None:
    """A graceful reload: the old workers close what has just come in; they do not exit on it, nobody is refused."""
    old: set[int] = set()
    with nginx(pair.b, PORT, HELLO, workers=2) as server, load(pair) as wrk:
        while len(old) < 6 or not pair.b.counters()["OutRsts"]:  # workers that had just answered everybody reset nobody
            assert len(old) < 40
            await_answers(pair, 2000)
            workers = set(server.children)
            server.kill(signal.SIGHUP)
            server.await_true(lambda: not workers & set(server.children), "new workers only", timeout=10)  # noqa: B023
            old |= workers
        wrk.end(signal.SIGKILL)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.troubles.causes.keys() <= {"unread-data", "data-after-close"}
    assert len(sent) > 0
    assert sent.values("owner.pid") <= old
    aborts = sent.of("unread-data")
    assert aborts.values("closer.pid") <= old
    assert aborts.saying("closed by its owner nginx[") == len(aborts)
    assert sent.saying("exiting") == 0


def test_restart_under_load_refuses_and_names_who_listened(watch: Watch, pair: Pair) -> None:
    """Stopped by SIGTERM: what waited was not accepted, what comes later meets a closed port, once the master's."""
    with nginx(pair.b, PORT, HELLO, workers=2) as first, load(pair) as wrk:
        await_answers(pair, 1000)
        workers = first.children
        refused = pair.a.counters()["AttemptFails"]
        first.end(signal.SIGTERM)
        await_true(lambda: pair.a.counters()["AttemptFails"] > refused + 100, "refused connections")
        with nginx(pair.b, PORT, HELLO, workers=2):
            await_answers(pair, 1000)
            wrk.end(signal.SIGKILL)
            told = tellings(watch, pair, timeout=30)
    sent = told(pair.b, "sent")
    late = sent.of("half-open")  # the ACK of a handshake that was under way when the listener closed
    assert late.values("kernel.reason") <= {"NO_SOCKET"}
    assert late.values("owner.pid") <= {first.pid}
    known = {"closed-port", "not-accepted", "unread-data", "data-after-close"}
    assert sent.troubles.causes.keys() - late.causes.keys() <= known
    closed = sent.of("closed-port")
    assert len(closed) > 100
    assert closed.values("owner.pid") == {first.pid}
    assert closed.values("owner.via") == {"former listener"}
    assert closed.saying(f"nginx[{first.pid}] listened there before and closed its socket") == len(closed)
    assert sent.of("not-accepted").values("owner.pid") <= {first.pid}
    aborts = sent.of("unread-data")
    assert aborts.values("closer.pid") <= set(workers)
    assert aborts.saying("was exiting (exited normally)") == len(aborts)
    theirs = {"time-wait-reuse", "time-wait-assassination", "unread-data", "data-after-close"}
    assert told(pair.a, "sent").troubles.causes.keys() <= theirs


def test_clients_that_reuse_a_port_after_a_stop_meet_time_wait(watch: Watch, pair: Pair) -> None:
    """curl from the same ports, while the stopped server's host is in TIME-WAIT: each resets an ACK and is refused."""
    ports = range(20_000, 20_010)
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/"

    def ask(port: int, code: int) -> int:
        done = pair.a.run("curl", "--silent", "--local-port", str(port), url, check=False)
        assert done.code == code
        return done.pid

    with nginx(pair.b, PORT, f"server {{ listen {PORT}; return 444; }}") as server:
        for port in ports:
            ask(port, EMPTY)  # the server is the first to close
        pair.b.await_states(PORT, "TIME_WAIT", len(ports))
        server.end(signal.SIGTERM)
    pids = [ask(port, REFUSED) for port in ports]
    told = tellings(watch, pair)
    sent = told(pair.a, "sent").troubles
    assert sent.causes == {"time-wait-reuse": 10}
    assert sent.count("owner.pid") == dict.fromkeys(pids, 1)
    assert sent.values("closer.pid") == {None}
    assert sent.count("sport") == dict.fromkeys(ports, 1)
    refused = told(pair.b, "sent").troubles
    assert refused.causes == told(pair.a, "received").causes == {"closed-port": 10}
    assert refused.values("owner.pid") == {server.pid}


def test_proxy_whose_client_leaves_passes_the_abort_on(watch: Watch, pair: Pair) -> None:
    """The client of a proxy is killed in a download: the proxy closes its upstream's connection unread."""
    servers = f"""
      server {{ listen {UPSTREAM}; }}
      server {{ listen {PORT}; location / {{ proxy_pass http://127.0.0.1:{UPSTREAM}; proxy_buffering off; }} }}"""
    with nginx(pair.b, PORT, servers, large_bytes=LARGE) as server:
        [worker] = server.children
        for _ in range(3):
            with download(pair, "--limit-rate", "1M") as curl:
                end_in_download(pair, curl, signal.SIGKILL)
            pair.b.await_states(UPSTREAM, "ESTABLISHED", 0)
        told = tellings(watch, pair)
    assert told(pair.a, "sent").troubles.causes == {"unread-data": 3}
    sent = told(pair.b, "sent").troubles
    assert sent.causes.keys() <= {"unread-data", "data-after-close"}  # mostly it had more to read
    assert len(sent) == 3
    assert sent.values("dport") == {UPSTREAM}
    assert sent.values("owner.pid") == {worker}
    assert sent.values("owner.via") == {"connect"}
    assert sent.of("unread-data").saying(f"closed by its owner nginx[{worker}]") == len(sent.of("unread-data"))
    assert told(pair.b, "received").of("unread-data").values("owner.pid") <= {server.pid, worker}


def test_timed_out_connections_are_reset_on_purpose(watch: Watch, pair: Pair) -> None:
    """reset_timedout_connection: a client that does not finish its request is closed with SO_LINGER 0."""
    http = f"reset_timedout_connection on; client_header_timeout 1s; server {{ listen {PORT}; }}"
    with nginx(pair.b, PORT, http) as server, Actor(pair.a, "client") as client:
        connections = [client.connect(pair.address(pair.b, 4), PORT) for _ in range(3)]
        for connection in connections:
            connection.send(b"GET /")
        for connection in connections:
            connection.await_state("CLOSE")
        [worker] = server.children
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"linger-zero": 3}
    assert sent.count("kernel.reason") == {"TCP_STATE": 3}
    assert sent.count("kernel.state") == {"ESTABLISHED": 3}
    assert sent.values("owner.pid") == sent.values("closer.pid") == {worker}


def test_return_444_costs_an_upload_a_reset_and_a_question_none(watch: Watch, pair: Pair) -> None:
    """`return 444` closes at once: what was uploaded lies unread or comes later; a GET was read, and ends in order."""
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/"
    with nginx(pair.b, PORT, f"server {{ listen {PORT}; return 444; }}") as server:
        [worker] = server.children
        for _ in range(3):
            assert pair.a.run("curl", "--silent", url, check=False).code == EMPTY
        assert not tellings(watch, pair)(pair.b, "sent").troubles
        with (server.folder / "upload").open("wb") as upload:
            upload.truncate(4 << 20)
        for _ in range(3):
            sending = ("--silent", "--header", "Expect:", "--data-binary", f"@{upload.name}")
            assert pair.a.run("curl", *sending, url, check=False).code in (EMPTY, NOT_SENT, RESET)
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    aborts = sent.of("unread-data", "data-after-close")
    assert len(aborts) == 3
    assert len(sent.troubles) == len(aborts)
    assert sent.values("owner.pid") == {worker}
    assert sent.of("unread-data").saying(f"closed by its owner nginx[{worker}]") == len(sent.of("unread-data"))
    assert told(pair.a, "received").values("owner.comm") == {"curl"}
    assert not told(pair.a, "sent")


@pytest.mark.parametrize("header", ["Connection: keep-alive", "Connection: close"])
def test_benign_load_is_silent(watch: Watch, pair: Pair, header: str) -> None:
    """Thousands of answers to those who wait for them: nothing."""
    url = f"http://{pair.address(pair.b, 4)}:{PORT}/hello"
    with nginx(pair.b, PORT, HELLO, workers=2):
        out = pair.a.run("wrk", "-t1", "-c20", "-d1s", "-H", header, url).out
        told = tellings(watch, pair)
    assert "Socket errors" not in out
    assert not told(pair.b, "sent").troubles
    ended = told(pair.a, "sent")  # wrk exits when its time is over, whatever it has just been sent
    assert len(ended) <= 20
    assert ended.troubles.causes.keys() <= {"unread-data", "data-after-close"}
    assert ended.saying("was exiting (exited normally)") >= len(ended.of("unread-data"))
    assert ended.values("owner.comm") <= {"wrk"}
