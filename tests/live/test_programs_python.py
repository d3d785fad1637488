"""Servers in Python, which are all called python, and wget as their client."""

import signal
import sys

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import http_server
from tests.live.tellings import tellings

PORT = 8000
APPLICATION = """\
import time

def application(environ, start):
    while environ["PATH_INFO"] == "/hang":
        time.sleep(1)
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
HANG = b"GET /hang HTTP/1.1\r\nHost: gunicorn\r\n\r\n"


def test_an_upload_that_is_not_supported_is_answered_and_reset(watch: Watch, pair: Pair) -> None:
    """http.server says 501 before it has read the upload; the client has its answer, so the reset costs nothing."""
    needs.command("curl")
    with http_server(pair.b, PORT) as server:
        with (server.folder / "upload").open("wb") as upload:
            upload.truncate(4 << 20)
        url = f"http://{pair.address(pair.b, 4)}:{PORT}/"
        words = ["--silent", "--header", "Expect:", "--write-out", "%{http_code}", "--output", "/dev/null"]
        server.kill(signal.SIGSTOP)
        with Program(pair.a, "curl", *words, "--data-binary", f"@{upload.name}", url) as curl:
            pair.b.await_counter("InSegs", 10)
            server.kill(signal.SIGCONT)
            curl.wait()
            assert curl.said() == "501"
        told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    aborts = sent.of("unread-data")
    assert len(aborts) == 1
    assert len(sent.troubles) == len(aborts)
    assert sent.values("owner.pid") == aborts.values("closer.pid") == {server.pid}
    # it shut down its side, then closed
    assert aborts.values("kernel.state") <= {"FIN_WAIT1", "FIN_WAIT2"}
    assert told(pair.a, "received").values("owner.pid") == {curl.pid}
    assert not told(pair.a, "sent")


def test_python_is_told_by_what_it_runs(watch: Watch, pair: Pair) -> None:
    """The name of the program says nothing: the sentence names the module, and the line has the command."""
    with http_server(pair.b, PORT) as server, Actor(pair.a, "client") as client:
        server.kill(signal.SIGSTOP)
        connection = client.connect(pair.address(pair.b, 4), PORT)
        connection.send(b"GET / HTTP/1.1")
        connection.await_unacknowledged()
        server.end(signal.SIGKILL)
        told = tellings(watch, pair)
    assert told(pair.b, "sent").causes == {"not-accepted": 1}
    [line] = told(pair.a, "received").lines
    assert line["evidence"][-1] == f"sent by http.server[{server.pid}]"
    [line] = told(pair.b, "sent").lines
    assert line["owner"]["command"] == [sys.executable, "-u", "-m", "http.server", str(PORT)]
    assert line["owner"]["comm"].startswith("python")


def test_a_worker_that_takes_too_long_is_reset_with_what_it_had_not_read(watch: Watch, pair: Pair) -> None:
    """gunicorn's --timeout: the worker gives up, closes with the next request unread, and exits with status 1."""
    command = (sys.executable, "-m", "gunicorn", "--bind", f"0.0.0.0:{PORT}", "--timeout", "1", "app:application")
    with (
        Program(pair.b, *command, port=PORT, files={"app.py": APPLICATION}, brood=True) as server,
        Actor(pair.a, "client") as client,
    ):
        server.await_true(lambda: bool(server.children), "a worker")
        [worker] = server.children
        connection = client.connect(pair.address(pair.b, 4), PORT)
        connection.send(HANG)
        connection.await_unacknowledged()
        connection.send(HANG * 1000)  # more than it reads at once
        connection.await_state("CLOSE")
        server.await_true(lambda: server.children not in ([], [worker]), "another worker")
        told = tellings(watch, pair)
    sent = told(pair.b, "sent").troubles
    assert sent.causes == told(pair.a, "received").causes == {"unread-data": 1}
    assert sent.values("kernel.state") == {"ESTABLISHED"}
    assert sent.values("owner.pid") == sent.values("closer.pid") == {worker}
    # a worker that is slow in giving up is killed
    ends = (f"closed by its owner gunicorn[{worker}]", f"gunicorn[{worker}] was exiting (killed by SIGKILL)")
    assert sum(map(sent.saying, ends)) == 1
    assert told(pair.a, "received").values("owner.pid") == {client.pid}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_wget_ended_in_a_download_was_exiting(watch: Watch, pair: Pair, number: signal.Signals) -> None:
    """Killed or interrupted: its reset has its name and how it ended; the server's end says who it was."""
    needs.command("wget")
    with http_server(pair.b, PORT) as server:
        with (server.folder / "large").open("wb") as large:
            large.truncate(1 << 30)
        url = f"http://{pair.address(pair.b, 4)}:{PORT}/large"
        with Program(pair.a, "wget", "--quiet", "--output-document=/dev/null", "--limit-rate=1m", url) as wget:
            pair.b.await_states(PORT, "ESTABLISHED")
            wget.kill(signal.SIGSTOP)
            await_true(lambda: pair.a.unread() > 0, "unread data")
            wget.kill(number)
            wget.kill(signal.SIGCONT)
            wget.wait()
        told = tellings(watch, pair)
    sent = told(pair.a, "sent")
    assert sent.of("unread-data").saying(f"wget[{wget.pid}] was exiting (killed by {number.name})") == 1
    assert sent.troubles.causes.keys() == {"unread-data"}
    assert sent.values("owner.pid") == {wget.pid}
    received = told(pair.b, "received")
    assert received.causes == {"unread-data": 1}
    assert received.saying(f"sent by wget[{wget.pid}]") == 1
    assert received.values("owner.pid") == {server.pid}
