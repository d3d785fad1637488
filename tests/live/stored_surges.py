"""Surges of one family each, at some hundred resets, all within one network namespace over its loopback device."""

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.alerts.traffic import follow, steps
from tests.hosts import Host
from whyreset.demo.segments import Segment, send

ADDRESS = "127.0.0.1"
SECONDS = 4.0
RATE = 100
_BACKLOG = 50
_PORT = 8080
_LINGER_ZERO = struct.pack("ii", 1, 0)


@contextmanager
def _listening(host: Host, backlog: int = 128, defer: bool = False) -> Iterator[socket.socket]:
    with host.inside(), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if defer:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        listener.bind((ADDRESS, _PORT))
        listener.listen(backlog)
        yield listener


def _paced(once: Callable[[int], None], rate: float = RATE, seconds: float = SECONDS) -> None:
    """Calls at that rate; late calls are not made up for."""
    for number in range(round(rate * seconds)):
        began = time.monotonic()
        once(number)
        time.sleep(max(1 / rate - (time.monotonic() - began), 0))


def _close(listener: socket.socket, *, linger_zero: bool) -> None:
    """One connection, whose server closes it with data unread, or on purpose."""
    with socket.create_connection((ADDRESS, _PORT)) as client:
        server, _ = listener.accept()
        if linger_zero:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        else:
            client.send(b"not read")
            select.select([server], [], [], 5)
        server.close()


def aborts_before(host: Host) -> None:
    """One of each, so that the counters have moved before anybody looks, as on any host that has run for a day."""
    with _listening(host) as listener:
        _close(listener, linger_zero=False)
        _close(listener, linger_zero=True)


def closed_port(host: Host) -> None:
    """Connects to a port on which nobody listens."""
    follow(host, steps((0, RATE)), SECONDS)


def unread_data(host: Host) -> None:
    """Closes with data unread."""
    with _listening(host) as listener:
        _paced(lambda _: _close(listener, linger_zero=False))


def linger_zero(host: Host) -> None:
    """Closes with SO_LINGER 0."""
    with _listening(host) as listener:
        _paced(lambda _: _close(listener, linger_zero=True))


def half_open(host: Host) -> None:
    """Segments of connections that the listener's host does not know."""

    def once(number: int) -> None:
        send(Segment(ADDRESS, 20_000 + number, ADDRESS, _PORT, "PA", seq=1000, ack=2000, payload=b"hello?"))

    with _listening(host):
        _paced(once)


def accept_queue(host: Host) -> None:
    """Handshakes that end when the accept queue is full: it admits one more than its backlog."""
    host.sysctl("net.ipv4.tcp_abort_on_overflow", 1)
    host.sysctl("net.ipv4.tcp_syncookies", 0)
    with _listening(host, _BACKLOG, defer=True) as listener:
        clients: list[socket.socket] = []

        def batch(_: int) -> None:
            # a listener that waits for data takes no connection before
            opened = [socket.create_connection((ADDRESS, _PORT), timeout=1) for _ in range(_BACKLOG)]
            for client in opened:
                client.send(b"d")
            clients.extend(opened)
            if len(clients) > _BACKLOG:
                listener.accept()[0].close()

        try:
            _paced(batch, rate=2, seconds=SECONDS)
        finally:
            for client in clients:
                client.close()


#: The family each shows itself as, or is among the candidates of; and the counters that speak for it.
SURGES: dict[str, tuple[Callable[[Host], None], str, tuple[str, ...]]] = {
    "closed port": (closed_port, "closed-port", ()),
    "unread data": (unread_data, "abort", ("TCPAbortOnClose",)),
    "linger zero": (linger_zero, "abort", ("TCPAbortOnData",)),
    "half-open": (half_open, "half-open", ()),
    "accept queue": (accept_queue, "listen-queue", ()),
}
