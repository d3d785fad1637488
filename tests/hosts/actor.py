"""Actors: processes with a pid and a name of their own that do socket operations inside a host when told to.

Each test so knows who owned a socket, who closed it, and can kill exactly that one. An actor ends with its `with`
block, and with this process however that ends (it reads end-of-file, and the kernel kills it).
"""

import marshal
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.hosts.actor_process import LISTEN_FDS_START, PATIENCE
from tests.hosts.hosts import Host

SCRIPT = Path(__file__).with_name("actor_process.py")
ANSWER_TIMEOUT_SECONDS = 30.0 * PATIENCE
TCP = socket.IPPROTO_TCP
TCP_LINGER2 = 8
Request = str | int | bytes


class Actor:
    """A process inside a host. A failed operation raises here the OSError that the process got there."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(ANSWER_TIMEOUT_SECONDS)
        script = [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno()), name]
        self._process: subprocess.Popen[str] | None
        with theirs:
            self._process = host.start(*script, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self.pid = self._process.pid

    def __repr__(self) -> str:
        return f"Actor({self.name}[{self.pid}] on {self.host.name})"

    def fork(self, name: str) -> "Actor":
        """Fork: the child is an actor too, and shares the sockets opened so far (same numbers, same sockets)."""
        child = self._bear(name, "fork", name)
        child._answer(child._control.recv(1 << 20))  # it has taken its name
        return child

    def activate(self, listener: "Connection", name: str) -> tuple["Actor", "Connection"]:
        """Start another program and hand it the listener as its descriptor 3: socket activation, as pid 1 does it."""
        child = self._bear(name, "activate", listener.number, name)
        return child, Connection(child, LISTEN_FDS_START)

    def _bear(self, name: str, *request: Request) -> "Actor":
        child = Actor.__new__(Actor)
        child.host, child.name, child._process = self.host, name, None
        child._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child._control.settimeout(ANSWER_TIMEOUT_SECONDS)
        with theirs:
            child.pid = self._ask(*request, descriptor=theirs.fileno())
        return child

    def close(self) -> None:
        """Kill the process, if it still lives; what it had open is closed by the kernel."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._control.close()  # a forked actor ends on this

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; the exit status as subprocess tells it (minus the signal's number)."""
        os.kill(self.pid, number)
        return self.wait()

    def exit(self, code: int) -> int:
        """Have it call _exit(code) with all sockets open, and wait for the end; the exit status."""
        self._tell("exit", code)
        return self.wait()

    def crash(self) -> int:
        """Have it die of SIGSEGV, and wait for the end; the exit status."""
        self._tell("crash")
        return self.wait()

    def become(self, uid: int) -> None:
        """Have it give up root for another user."""
        self._ask("become", uid)

    def eat(self, size: int) -> int:
        """Have it take so many bytes of memory, more than it may have, and wait for the end; the exit status."""
        self._tell("eat", size)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of the process; the kernel has closed its sockets by then. Forked actors tell no status."""
        if self._process:
            return self._process.wait(ANSWER_TIMEOUT_SECONDS)
        self._control.recv(1)  # end-of-file
        return 0

    def socket(self, *, v6: bool = False, protocol: int = 0) -> "Connection":
        """Open a stream socket that is neither bound nor connected."""
        return Connection(self, self._ask("open", v6, protocol))

    def listen(
        self, port: int, *, backlog: int = 16, v6: bool = False, address: str = "", protocol: int = 0
    ) -> "Connection":
        """Open a listener."""
        listener = self.socket(v6=v6, protocol=protocol)
        listener.bind(port, address)
        listener.listen(backlog)
        return listener

    def listen_in_turn(self, first_port: int, count: int) -> None:
        """Listen on so many ports, one after the other, each only for a moment."""
        self._ask("listen_in_turn", first_port, count)

    def connect(self, address: str, port: int, *, wait: bool = True, local_port: int = 0) -> "Connection":
        """Open a connection; without `wait` only its SYN is sent. The family follows from the address."""
        connection = self.socket(v6=":" in address)
        try:
            if local_port:
                connection.bind(local_port)
            connection.connect(address, port, wait=wait)
        except OSError:
            connection.close()
            raise
        return connection

    def adopt(self, connection: "Connection") -> "Connection":
        """Take over a duplicate of another actor's socket, passed as a descriptor."""
        descriptor = connection.actor._take(connection.number)
        try:
            return Connection(self, self._ask("adopt", descriptor=descriptor))
        finally:
            os.close(descriptor)

    def _tell(self, *request: Request, descriptor: int | None = None) -> None:
        socket.send_fds(self._control, [marshal.dumps(request)], [] if descriptor is None else [descriptor])

    def _ask(self, *request: Request, descriptor: int | None = None) -> Any:
        self._tell(*request, descriptor=descriptor)
        return self._answer(self._control.recv(1 << 20))

    def _take(self, number: int) -> int:
        self._tell("give", number)
        answer, descriptors, _, _ = socket.recv_fds(self._control, 1 << 20, 1)
        self._answer(answer)
        return descriptors[0]

    def _answer(self, answer: bytes) -> Any:
        if not answer:
            raise ConnectionAbortedError(f"{self!r} is dead")
        outcome, *values = marshal.loads(answer)
        if outcome == "failed":
            number, text = values
            if number is None:
                raise TimeoutError(f"{self!r}: {text}")
            raise OSError(number, f"{self!r}: {text}")
        return values[0]


class Connection:
    """A socket (also a listener) that belongs to an actor."""

    def __init__(self, actor: Actor, number: int) -> None:
        self.actor = actor
        self.number = number

    def _ask(self, operation: str, *arguments: Request) -> Any:
        return self.actor._ask(operation, self.number, *arguments)

    def bind(self, port: int, address: str = "") -> None:
        """Bind to a port, by default on every address."""
        self._ask("bind", address, port)

    def listen(self, backlog: int = 16) -> None:
        """Listen."""
        self._ask("listen", backlog)

    def connect(self, address: str, port: int, *, wait: bool = True) -> None:
        """Connect; without `wait` only the SYN is sent."""
        self._ask("connect", address, port, wait)

    def accept(self) -> "Connection":
        """Accept one connection, waiting for it up to five seconds."""
        return Connection(self.actor, self._ask("accept"))

    def accept_waiting(self) -> "dict[int, Connection]":
        """Accept all that waits, also what was reset meanwhile; by the peer's port."""
        return {port: Connection(self.actor, number) for number, port in self._ask("accept_waiting")}

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        self._ask("send", data)

    def fill(self) -> int:
        """Send until the send buffer is full; the number of bytes."""
        return int(self._ask("fill"))

    def recv(self, size: int = 65536) -> bytes:
        """Receive, waiting up to five seconds; empty at the end of the stream."""
        return bytes(self._ask("recv", size))

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """Close one direction."""
        self._ask("shutdown", how)

    def close(self) -> None:
        """Close."""
        self._ask("close")

    def close_in_thread(self, name: str) -> None:
        """Have another thread than the first, with a name of its own, close."""
        self.actor._ask("in_thread", name, "close", self.number)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set any socket option."""
        self._ask("setsockopt", level, option, value)

    def linger(self, seconds: int = 0) -> None:
        """Set SO_LINGER; with 0 a close becomes a reset."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))

    def linger2(self, seconds: int) -> None:
        """Set TCP_LINGER2: how long an orphan stays in FIN-WAIT-2; -1 for not at all."""
        self.setsockopt(TCP, TCP_LINGER2, seconds)

    def keepalive(self, idle: int, interval: int, probes: int) -> None:
        """Turn keepalive on; idle and interval in seconds."""
        options = ((socket.TCP_KEEPIDLE, idle), (socket.TCP_KEEPINTVL, interval), (socket.TCP_KEEPCNT, probes))
        for option, value in options:
            self.setsockopt(TCP, option, value)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def user_timeout(self, milliseconds: int) -> None:
        """Set TCP_USER_TIMEOUT."""
        self.setsockopt(TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def disconnect(self) -> None:
        """Call connect() with AF_UNSPEC."""
        self._ask("disconnect")

    @property
    def port(self) -> int:
        """The local port."""
        return int(self._ask("port"))

    def seqs(self) -> tuple[int, int]:
        """The next sequence number to send and the next one expected."""
        send_next, receive_next = self._ask("seqs")
        return send_next, receive_next

    def state(self) -> str:
        """The TCP state, for example `ESTABLISHED`, `FIN_WAIT2`."""
        return str(self._ask("state"))

    def await_state(self, state: str) -> None:
        """Wait until the socket is in a state; TimeoutError after five seconds."""
        self.actor._ask("await_value", "state", self.number, state)

    def await_unread(self, count: int) -> None:
        """Wait until so many bytes have arrived unread."""
        self.actor._ask("await_value", "unread", self.number, count)

    def await_unacknowledged(self, count: int = 0) -> None:
        """Wait until so many bytes are left in the send buffer."""
        self.actor._ask("await_value", "unacknowledged", self.number, count)

    def await_in_flight(self, count: int = 0) -> None:
        """Wait until so many segments are sent and not acknowledged; what the peer's window keeps back is not sent."""
        self.actor._ask("await_value", "in_flight", self.number, count)

    def await_error(self) -> int:
        """Wait until the socket has failed; the error's number (errno)."""
        return int(self._ask("await_error"))
