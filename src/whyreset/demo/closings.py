"""Scenes of connections that one side ends before the other expects it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

from whyreset.demo.actors import Actor, Script
from whyreset.demo.network import destroy
from whyreset.demo.sockets import accept, await_unread, connect, connect_to_unspec, linger_zero, listen
from whyreset.demo.stage import BACKUP, BROWSER, PACE_SECONDS, REQUEST, SERVER, WEB, Stage


def upload(stage: Stage) -> None:
    """A service answers before it has read the request, and closes."""

    def uploads() -> Iterator[None]:
        listener = listen(8443)
        yield
        for _ in range(3):
            with accept(listener) as connection:
                await_unread(connection, 20_000)
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n")

    def backup() -> Iterator[None]:
        yield
        for _ in range(3):
            with connect(BACKUP, SERVER, 8443) as connection:
                connection.sendall(b"PUT /dump HTTP/1.1\r\n\r\n".ljust(20_000, b"x"))
                with suppress(ConnectionResetError):
                    while connection.recv(4096):
                        pass
            time.sleep(PACE_SECONDS)

    service = stage.serving("uploads --max-size 10k", uploads)
    client = stage.calling("backup --to uploads:8443", backup)
    service.cue()
    client.step()


def killed(stage: Stage) -> None:
    """A worker is killed with requests unread."""

    def worker_of(listener: socket.socket) -> Script:
        def worker() -> Iterator[None]:
            connections = [accept(listener) for _ in range(3)]
            for connection in connections:
                await_unread(connection, len(REQUEST))
            yield

        return worker

    def shop() -> Iterator[None]:
        listener = listen(8000)
        yield
        with Actor("shop: worker", worker_of(listener)) as worker:
            worker.kill()
        yield

    def web() -> Iterator[None]:
        connections = [connect(WEB, SERVER, 8000) for _ in range(3)]
        for connection in connections:
            connection.sendall(REQUEST)
        yield

    service = stage.serving("shop: master", shop)
    stage.calling("web --upstream shop:8000", web)
    service.step()


def stale(stage: Stage) -> None:
    """A client uses connections that the service has closed."""

    def api() -> Iterator[None]:
        listener = listen(8080)
        yield
        for _ in range(3):
            accept(listener).close()
        yield

    def web() -> Iterator[None]:
        connections = [connect(WEB, SERVER, 8080) for _ in range(3)]
        yield
        for connection in connections:
            connection.recv(1)  # the end has come, and is not heeded
            connection.sendall(REQUEST)
            with suppress(ConnectionResetError):
                connection.recv(1)

    service = stage.serving("api --port 8080", api)
    client = stage.calling("web --upstream api:8080", web)
    service.step()
    client.step()


def impatient(stage: Stage) -> None:
    """A service drops clients on purpose."""

    def balancer() -> Iterator[None]:
        listener = listen(443)
        yield
        for _ in range(4):
            connection = accept(listener)
            linger_zero(connection)
            connection.close()

    def browser() -> Iterator[None]:
        connections = [connect(BROWSER, SERVER, 443) for _ in range(4)]
        yield
        for connection in connections:
            with suppress(ConnectionResetError):
                connection.recv(1)

    service = stage.serving("balancer --port 443", balancer)
    client = stage.calling("browser", browser)
    service.step()
    client.step()


def download(stage: Stage) -> None:
    """A client leaves with its answer unread."""

    def files() -> Iterator[None]:
        listener = listen(8081)
        yield
        connection = accept(listener)
        connection.sendall(b"x" * 20_000)
        with suppress(ConnectionResetError):
            connection.recv(4096)

    def browser() -> Iterator[None]:
        connection = connect(BROWSER, SERVER, 8081)
        yield
        await_unread(connection, 20_000)
        connection.close()

    service = stage.serving("files --port 8081", files)
    client = stage.calling("browser", browser)
    service.cue()
    client.step()
    service.wait()


def disconnect(stage: Stage) -> None:
    """A client takes its socket off the connection."""

    def database() -> Iterator[None]:
        listener = listen(5432)
        yield
        with suppress(ConnectionResetError):
            accept(listener).recv(1)

    def pooler() -> Iterator[None]:
        connection = connect(WEB, SERVER, 5432)
        yield
        connect_to_unspec(connection)

    service = stage.serving("database --port 5432", database)
    client = stage.calling("pooler --db db:5432", pooler)
    service.cue()
    client.step()
    service.wait()


def destroyed(stage: Stage) -> None:
    """An administrator destroys a connection by its ports."""
    port = 40_022

    def remote_desktop() -> Iterator[None]:
        listener = listen(3389)
        yield
        with suppress(ConnectionAbortedError):
            accept(listener).recv(1)

    def viewer() -> Iterator[None]:
        connection = connect(BROWSER, SERVER, 3389, source_port=port)
        yield
        with suppress(ConnectionResetError):
            connection.recv(1)

    def admin() -> Iterator[None]:
        yield
        destroy((SERVER, 3389), (BROWSER, port))

    service = stage.serving("desktop --port 3389", remote_desktop)
    client = stage.calling("viewer", viewer)
    administrator = stage.serving("ss -K dport = 40022", admin)
    service.cue()
    administrator.step()
    client.step()
    service.wait()
