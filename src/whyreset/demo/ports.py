"""Scenes of ports on which nobody listens (any more), or nobody listens fast enough."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from whyreset.demo.actors import die_of_sigsegv
from whyreset.demo.sockets import accept, await_waiting, connect, listen, refused
from whyreset.demo.stage import ANSWER, BACKUP, BROWSER, MONITORING, PACE_SECONDS, REQUEST, SERVER, WEB, Stage


def crash(stage: Stage) -> None:
    """A service crashes, and its client tries again and again."""

    def api() -> Iterator[None]:
        listener = listen(8080)
        yield
        with accept(listener) as connection:
            connection.recv(4096)
            connection.sendall(ANSWER)
            connection.recv(4096)
        die_of_sigsegv()

    def web() -> Iterator[None]:
        with connect(WEB, SERVER, 8080) as connection:
            connection.sendall(REQUEST)
            yield
            connection.recv(4096)
        yield
        for _ in range(10):
            refused(WEB, SERVER, 8080)
            time.sleep(PACE_SECONDS)

    service = stage.serving("api --port 8080", api)
    client = stage.calling("web --upstream api:8080", web)
    service.cue()
    client.step()
    service.wait()
    client.step()


def monitoring(stage: Stage) -> None:
    """A monitoring system asks a port that never had a listener."""

    def prometheus() -> Iterator[None]:
        yield
        for _ in range(3):
            refused(MONITORING, SERVER, 9100)
            time.sleep(PACE_SECONDS)

    client = stage.calling("prometheus --scrape node:9100", prometheus)
    client.step()


def full_queue(stage: Stage) -> None:
    """More clients than a slow service's accept queue holds, and net.ipv4.tcp_abort_on_overflow 1."""
    backlog = 4

    def tickets() -> Iterator[None]:
        with open("/proc/sys/net/ipv4/tcp_abort_on_overflow", "w") as setting:  # of the demo's own namespace
            setting.write("1")
        listener = listen(8090, backlog=backlog, defer_accept=True)
        yield
        for _ in range(backlog + 1):
            with accept(listener) as connection:
                connection.recv(4096)
                connection.sendall(ANSWER)

    def browser() -> Iterator[None]:
        connections = []
        for _ in range(2):  # at most `backlog` at once are half-open, else cookies begin
            batch = [connect(BROWSER, SERVER, 8090) for _ in range(backlog)]
            for connection in batch:
                connection.sendall(REQUEST)
            connections += batch
        yield
        for connection in connections:
            with connection, suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass

    service = stage.serving("tickets --workers 1", tickets)
    client = stage.calling("browser", browser)
    service.cue()
    client.step()


def deploy(stage: Stage) -> None:
    """A listener is closed while connections wait to be accepted."""

    def shop() -> Iterator[None]:
        listener = listen(8000)
        yield
        await_waiting(listener, 4)
        listener.close()
        yield

    def web() -> Iterator[None]:
        connections = [connect(WEB, SERVER, 8000) for _ in range(4)]
        yield
        for connection in connections:
            with suppress(ConnectionResetError):
                connection.recv(1)

    service = stage.serving("shop: master", shop)
    client = stage.calling("web --upstream shop:8000", web)
    service.step()
    client.step()


def same_port(stage: Stage) -> None:
    """A client comes again from its old port while the service is gone and its last connection in TIME-WAIT."""
    port = 40_023

    def mail() -> Iterator[None]:
        with listen(2525) as listener:
            yield
            with accept(listener) as connection:
                connection.sendall(b"421 closing\r\n")
        yield

    def backup() -> Iterator[None]:
        with connect(BACKUP, SERVER, 2525, source_port=port) as connection:
            yield
            while connection.recv(4096):
                pass
        yield
        refused(BACKUP, SERVER, 2525, source_port=port)

    service = stage.serving("mail --port 2525", mail)
    client = stage.calling("backup --report", backup)
    service.step()
    client.step()
    client.step()
