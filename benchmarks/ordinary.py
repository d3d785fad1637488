"""Ordinary TCP traffic between two hosts, at a rate: whole connections with data, and no reset.

Each connection asks some questions and gets long answers, in packets as they are on a wire (host b's device leaves the
cutting to the stack). One thread holds both ends, so that all the work is done in its context, and can be measured.
"""

from __future__ import annotations

import itertools
import socket
import time
from typing import Self

from msgspec import Struct

from tests.hosts.hosts import INTERFACE, Pair
from tests.hosts.offload import offload

_FIRST_PORT, _PORTS = 7000, 16
_QUESTION, _ANSWER = bytes(200), bytes(32 << 10)
#: So often is the rate looked at.
_PACE = 4


class Flow(Struct, frozen=True, kw_only=True):
    """What went over the wire, at both ends' devices one packet each."""

    packets: int
    connections: int
    seconds: float
    #: Of the thread that did both ends, its softirqs included.
    cpu_seconds: float


class Ordinary:
    """Makes the traffic. Use as a context manager.

    Args:
        questions: of each connection; each brings some 23 packets and 12 acknowledgements.
    """

    def __init__(self, pair: Pair, *, questions: int = 4) -> None:
        self._pair = pair
        self._questions = questions
        self._listeners: list[socket.socket] = []
        self._buffer = bytearray(len(_ANSWER))

    def __enter__(self) -> Self:
        offload(self._pair.b, tso=False)
        address = self._pair.address(self._pair.b, 4)
        for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
            listener = self._pair.b.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            listener.bind((address, port))
            listener.listen(16)
        self._turns = itertools.cycle(self._listeners)
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.close()

    def run(self, connections: int = 1 << 30, *, packets_per_second: float = 0, seconds: float = 60) -> Flow:
        """So many connections, one after the other, or for so long; as fast as it goes where no rate is given."""
        with self._pair.a.inside():
            before, began, spent, done = _packets(), time.monotonic(), time.thread_time(), 0
            while done < connections:
                self._connection(next(self._turns))
                done += 1
                if done % _PACE == 0:
                    passed = time.monotonic() - began
                    if passed > seconds:
                        break
                    if packets_per_second:
                        time.sleep(max((_packets() - before) / packets_per_second - passed, 0))
            return Flow(
                packets=_packets() - before,
                connections=done,
                seconds=time.monotonic() - began,
                cpu_seconds=time.thread_time() - spent,
            )

    def _connection(self, listener: socket.socket) -> None:
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            with server:
                for _ in range(self._questions):
                    client.send(_QUESTION)
                    server.recv_into(self._buffer)
                    server.sendall(_ANSWER)
                    client.recv_into(self._buffer, flags=socket.MSG_WAITALL)
                client.shutdown(socket.SHUT_WR)
                server.recv_into(self._buffer)
        # closed by both: the server's end was last


def _packets() -> int:
    """Packets of the device in the namespace that this thread is in, both ways."""
    with open("/proc/thread-self/net/dev") as file:
        fields = next(line for line in file if line.lstrip().startswith(f"{INTERFACE}:")).split()
    return int(fields[2]) + int(fields[10])
