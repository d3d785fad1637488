"""Scenes of segments that belong to no connection here, and of peers that fall silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from whyreset.demo.segments import Segment, send
from whyreset.demo.sockets import accept, connect, forget, keepalive, listen
from whyreset.demo.stage import PACE_SECONDS, PHONE, SCANNER, SERVER, WEB, Stage

#: Later than what was on its way can come.
_LATER_SECONDS = 0.4

#: What a scanner asks for; no scene listens on any of them.
_COMMON_PORTS = (
    *(21, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 1521, 1723, 2049),
    *(2375, 3000, 3306, 4444, 5000, 5060, 5601, 5900, 5985, 6379, 6443, 7001, 8008, 8888, 9000, 9042, 9090),
    *(9200, 11211, 27017),
)


def scan(stage: Stage) -> None:
    """SYNs from a raw socket to many ports."""

    def scanner() -> Iterator[None]:
        yield
        for port in _COMMON_PORTS:
            send(Segment(SCANNER, 54_321, SERVER, port, "S", seq=0x77000000))
            time.sleep(PACE_SECONDS / 2)

    client = stage.calling("scanner --syn demo-server", scanner)
    client.step()


def probe(stage: Stage) -> None:
    """FIN, Xmas and NULL probes from a raw socket."""

    def scanner() -> Iterator[None]:
        yield
        for flags in ("F", "FPU", ""):
            for port in _COMMON_PORTS[:8]:
                send(Segment(SCANNER, 54_322, SERVER, port, flags, seq=0x78000000))
                time.sleep(PACE_SECONDS / 2)

    client = stage.calling("scanner --stealth demo-server", scanner)
    client.step()


def lost_state(stage: Stage) -> None:
    """A service forgets its connections, as after a failover."""

    def database() -> Iterator[None]:
        listener = listen(5432)
        yield
        for _ in range(2):
            forget(accept(listener))
        yield

    def web() -> Iterator[None]:
        connections = [connect(WEB, SERVER, 5432) for _ in range(2)]
        yield
        for connection in connections:
            connection.sendall(b"SELECT 1")
            with suppress(ConnectionResetError):
                connection.recv(1)

    service = stage.serving("database --port 5432", database)
    client = stage.calling("web --db db:5432", web)
    service.step()
    time.sleep(_LATER_SECONDS)
    client.step()


def unreachable(stage: Stage) -> None:
    """A client does not answer keepalive probes."""

    def push() -> Iterator[None]:
        listener = listen(8883)
        yield
        connection = accept(listener)
        keepalive(connection, idle=1, interval=1, probes=1)
        with suppress(TimeoutError):
            connection.recv(1)

    def phone() -> Iterator[None]:
        connection = connect(PHONE, SERVER, 8883)
        yield
        forget(connection)

    service = stage.serving("push --port 8883", push)
    client = stage.calling("phone", phone)
    with stage.out_of_reach(PHONE):
        service.step()
        client.step()
