"""What servers and clients do with sockets, with the waits that make each step certain; all bounded in time."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable

from whyreset.demo.actors import STEP_SECONDS

# include/uapi/linux/tcp.h
_TCP_DEFER_ACCEPT, _TCP_REPAIR = 9, 19
_INFO_UNACKED = 24  # struct tcp_info.tcpi_unacked; of a listener it is what waits in the accept queue


def listen(port: int, *, backlog: int = 16, defer_accept: bool = False) -> socket.socket:
    """A listener; with `defer_accept` a connection counts as established from its first data on."""
    listener = socket.socket()
    listener.settimeout(STEP_SECONDS)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if defer_accept:
        listener.setsockopt(socket.IPPROTO_TCP, _TCP_DEFER_ACCEPT, int(STEP_SECONDS))
    listener.bind(("", port))
    listener.listen(backlog)
    return listener


def accept(listener: socket.socket) -> socket.socket:
    """The next connection."""
    connection, _ = listener.accept()
    connection.settimeout(STEP_SECONDS)
    return connection


def connect(source: str, address: str, port: int, *, source_port: int = 0) -> socket.socket:
    """A connection from one of the clients' addresses; ConnectionRefusedError where nobody listens."""
    connection = socket.socket()
    try:
        connection.settimeout(STEP_SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind((source, source_port))
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def refused(source: str, address: str, port: int, *, source_port: int = 0) -> None:
    """Tries to connect where nobody listens; OSError if somebody does."""
    try:
        connect(source, address, port, source_port=source_port).close()
    except ConnectionRefusedError:
        return
    raise OSError(f"port {port} did not refuse")


def linger_zero(connection: socket.socket) -> None:
    """Makes the next close a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def keepalive(connection: socket.socket, idle: int, interval: int, probes: int) -> None:
    """Turns keepalive on; idle and interval in seconds."""
    for option, value in (
        (socket.TCP_KEEPIDLE, idle),
        (socket.TCP_KEEPINTVL, interval),
        (socket.TCP_KEEPCNT, probes),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def connect_to_unspec(connection: socket.socket) -> None:
    """Calls connect() with AF_UNSPEC, which Python's own connect cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(connection.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def forget(connection: socket.socket) -> None:
    """Closes without a word to the peer, as a host does that loses its memory (TCP_REPAIR)."""
    connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    connection.close()


def await_unread(connection: socket.socket, count: int) -> None:
    """Waits until so many bytes have arrived and lie unread."""
    unread = array.array("i", [0])

    def arrived() -> bool:
        fcntl.ioctl(connection, termios.FIONREAD, unread)
        return unread[0] >= count

    _await(arrived, f"{count} bytes")


def await_waiting(listener: socket.socket, count: int) -> None:
    """Waits until so many connections wait to be accepted."""

    def waiting() -> bool:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_UNACKED + 4)
        return int.from_bytes(info[_INFO_UNACKED:], sys.byteorder) >= count

    _await(waiting, f"{count} connections")


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + STEP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.002)
