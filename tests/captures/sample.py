"""Records the sample that the package holds: a small service's life, told in a second.

    python -m tests.captures.sample      as root

A web service on port 8080, of which clients fetch; a second one on 8081 that stops; a scanner; a firewall that injects
a reset; a client that goes on with a connection that the server has forgotten.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.captures.record import recording
from tests.hosts.actor import Connection
from tests.hosts.cases import Stage
from tests.hosts.hosts import INTERFACE
from tests.hosts.segments import Segment, send
from whyreset.cli.explain import SAMPLE

WEB, STOPPED = 8080, 8081
SCANNER = "192.0.2.66"
PORTS = (*range(20, 52), 80, 443, 3306, 5432, 6379, WEB, 9200)
REQUEST = b"GET / HTTP/1.1\r\nHost: sample\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nContent-Length: 90000\r\n\r\n" + bytes(2000)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _fetches(stage: Stage, count: int) -> None:
    """Requests that are answered, and connections that close in order."""
    listener = stage.listen(WEB, backlog=64)
    for _ in range(count):
        client = stage.connect(WEB)
        server = listener.accept()
        client.send(REQUEST)
        server.recv()
        server.send(ANSWER)
        client.recv()
        client.close()
        server.await_state("CLOSE_WAIT")
        server.close()
    _cut(stage, listener)
    _late_data(stage, listener)
    _forgotten(stage, listener)
    _injected(stage, listener)


def _cut(stage: Stage, listener: Connection) -> None:
    """Uploads that the service refuses without reading them."""
    for _ in range(4):
        client = stage.connect(WEB)
        server = listener.accept()
        client.send(UPLOAD)
        server.await_unread(len(UPLOAD))
        server.close()
        client.await_error()


def _late_data(stage: Stage, listener: Connection) -> None:
    client = stage.connect(WEB)
    server = listener.accept()
    server.close()
    client.await_state("CLOSE_WAIT")
    stage.b.await_states(WEB, "FIN_WAIT2")
    client.send(REQUEST)
    client.await_error()


def _forgotten(stage: Stage, listener: Connection) -> None:
    client = stage.connect(WEB)
    server = listener.accept()
    with stage.b.dropping("output"):
        server.linger(0)
        server.close()
    time.sleep(0.4)  # later than anything that is in flight
    client.send(REQUEST)
    client.await_error()


def _injected(stage: Stage, listener: Connection) -> None:
    """A reset in the server's name, of another TTL; the server, which did not send it, goes on."""
    client = stage.connect(WEB)
    server = listener.accept()
    client.send(REQUEST)
    server.recv()
    send_next, _ = server.seqs()
    send(stage.b, Segment(stage.address_b, WEB, stage.address_a, client.port, "R", seq=send_next, window=0, ttl=49))
    client.await_error()
    server.send(ANSWER)
    server.await_error()


def _stopped(stage: Stage) -> None:
    for _ in range(9):
        stage.refused(STOPPED)


def _scan(stage: Stage) -> None:
    """SYNs past the TCP stack; the scanner's kernel resets what answers."""
    for port in PORTS:
        sent = stage.b.counters()["InSegs"]
        send(stage.a, Segment(SCANNER, 40123, stage.address_b, port, "S", seq=777000, ttl=53))
        stage.b.await_counter("InSegs", sent + 1)


def main() -> int:
    """Records it. Returns the exit code."""
    with tempfile.TemporaryDirectory() as folder, Stage(4) as stage:
        path = Path(folder) / "sample.pcap"
        stage.a.run("ip", "addr", "add", f"{SCANNER}/24", "dev", INTERFACE)
        with recording(stage.b, path):
            _fetches(stage, 12)
            _stopped(stage)
            _scan(stage)
        packed = Path(folder) / "sample.pcapng"
        subprocess.run(["editcap", "-F", "pcapng", str(path), str(packed)], check=True)
        SAMPLE.write_bytes(packed.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
