"""The process behind an Actor: does socket operations on request until its control socket closes.

It is started as a script with `python -I -S`, so that it is up within some 20 ms; it imports only what every
operation needs. Requests and answers are marshalled tuples; descriptors travel beside them (SCM_RIGHTS).
"""

import array
import fcntl
import marshal
import os
import resource
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from typing import NoReturn

PATIENCE = float(os.environ.get("WHYRESET_PATIENCE", "1"))  # how much slower this machine is than most
TIMEOUT_SECONDS = 5.0 * PATIENCE
SIOCOUTQ = termios.TIOCOUTQ  # bytes sent and not acknowledged yet, and bytes not sent yet
LISTEN_FDS_START = 3  # sd_listen_fds(3)
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21  # include/uapi/linux/tcp.h
REPAIR_RECEIVE, REPAIR_SEND, REPAIR_OFF_NO_PROBE = 1, 2, -1
STATES = (
    *("?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2"),
    *("TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"),
)  # include/net/tcp_states.h
Answer = int | str | bytes | list[int] | list[list[int]] | None


class Operations:
    """What an actor can do. Sockets are named by their descriptors."""

    def __init__(self) -> None:
        self.sockets: dict[int, socket.socket] = {}

    def _keep(self, new: socket.socket) -> int:
        new.settimeout(TIMEOUT_SECONDS)
        self.sockets[new.fileno()] = new
        return new.fileno()

    def open(self, v6: bool, protocol: int) -> int:
        """Open a socket that is neither bound nor connected."""
        new = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM, protocol)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return self._keep(new)

    def adopt(self) -> Answer:
        """Never called: the descriptor of an adopted socket comes with the request (see `serve`)."""
        raise NotImplementedError

    def bind(self, number: int, address: str, port: int) -> None:
        """Bind to an address and a port."""
        self.sockets[number].bind((address, port))

    def listen(self, number: int, backlog: int) -> None:
        """Listen, with a backlog."""
        self.sockets[number].listen(backlog)

    def listen_in_turn(self, first_port: int, count: int) -> None:
        """Listen on so many ports, one after the other, each only for a moment."""
        for port in range(first_port, first_port + count):
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("", port))
                listener.listen()

    def connect(self, number: int, address: str, port: int, wait: bool) -> None:
        """Connect; without `wait` only send the SYN."""
        sock = self.sockets[number]
        if wait:
            sock.connect((address, port))
            return
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            pass
        finally:
            sock.settimeout(TIMEOUT_SECONDS)

    def accept(self, number: int) -> int:
        """Take one connection from the accept queue."""
        return self._keep(self.sockets[number].accept()[0])

    def accept_waiting(self, number: int) -> list[list[int]]:
        """Take all that waits to be accepted, also what was reset meanwhile; descriptor and peer's port of each."""
        listener = self.sockets[number]
        listener.setblocking(False)
        taken = []
        try:
            while True:
                connection, peer = listener.accept()
                taken.append([self._keep(connection), peer[1]])
        except BlockingIOError:
            return taken
        finally:
            listener.settimeout(TIMEOUT_SECONDS)

    def send(self, number: int, data: bytes) -> int:
        """Send all of it; the number of bytes."""
        self.sockets[number].sendall(data)
        return len(data)

    def fill(self, number: int) -> int:
        """Send until the send buffer takes no more; the number of bytes."""
        sock, total = self.sockets[number], 0
        sock.setblocking(False)
        try:
            while True:
                total += sock.send(b"x" * 65536)
        except BlockingIOError:
            return total
        finally:
            sock.settimeout(TIMEOUT_SECONDS)

    def recv(self, number: int, size: int) -> bytes:
        """Receive up to so many bytes; none at the end of the stream."""
        return self.sockets[number].recv(size)

    def shutdown(self, number: int, how: int) -> None:
        """Close one or both directions."""
        self.sockets[number].shutdown(how)

    def close(self, number: int) -> None:
        """Close the descriptor."""
        self.sockets.pop(number).close()

    def setsockopt(self, number: int, level: int, option: int, value: int | bytes) -> None:
        """Set a socket option."""
        self.sockets[number].setsockopt(level, option, value)

    def getsockopt(self, number: int, level: int, option: int, size: int) -> int | bytes:
        """Get a socket option: as a number with size 0, else as bytes."""
        sock = self.sockets[number]
        return sock.getsockopt(level, option, size) if size else sock.getsockopt(level, option)

    def disconnect(self, number: int) -> None:
        """Call connect() with AF_UNSPEC, which Python's own connect cannot."""
        import ctypes  # only here: it doubles the time to start

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.connect(number, struct.pack("H14x", socket.AF_UNSPEC), 16):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def port(self, number: int) -> int:
        """The local port."""
        port: int = self.sockets[number].getsockname()[1]
        return port

    def seqs(self, number: int) -> list[int]:
        """The next number to send and the next one expected, read in repair mode without any packet."""
        sock = self.sockets[number]
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        try:
            numbers = []
            for queue in (REPAIR_SEND, REPAIR_RECEIVE):
                sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
                numbers.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF)
            return numbers
        finally:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_OFF_NO_PROBE)

    def state(self, number: int) -> str:
        """The TCP state by name (tcp_info's first byte)."""
        return STATES[self.sockets[number].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]

    def unread(self, number: int) -> int:
        """Bytes that arrived and were not received yet."""
        return self._queue(number, termios.FIONREAD)

    def unacknowledged(self, number: int) -> int:
        """Bytes in the send buffer: sent and not acknowledged, or not sent yet."""
        return self._queue(number, SIOCOUTQ)

    def in_flight(self, number: int) -> int:
        """Segments sent and not acknowledged (tcp_info.tcpi_unacked)."""
        info = self.sockets[number].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
        return int.from_bytes(info[24:], sys.byteorder)

    def _queue(self, number: int, request: int) -> int:
        value = array.array("i", [0])
        fcntl.ioctl(number, request, value)
        return value[0]

    def await_value(self, question: str, number: int, wanted: int | str) -> int | str:
        """Ask one of the questions above again and again until the answer is the wanted one."""
        ask: Callable[[int], int | str] = getattr(self, question)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (answer := ask(number)) != wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{question} is {answer}, not {wanted}")
            time.sleep(0.001)
        return answer

    def await_error(self, number: int) -> int:
        """Wait until the socket has a pending error (SO_ERROR), take it, and give its number."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (error := self.sockets[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            if time.monotonic() > deadline:
                raise TimeoutError("the socket has no error")
            time.sleep(0.005)
        return error

    def in_thread(self, name: str, operation: str, *arguments: object) -> Answer:
        """Have another thread, with a name of its own, do one of these operations."""
        import threading  # only here, as it takes time to import

        answers: list[Answer] = []

        def work() -> None:
            with open("/proc/thread-self/comm", "w") as comm:
                comm.write(name)
            answers.append(getattr(self, operation)(*arguments))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return answers[0]

    def become(self, uid: int) -> None:
        """Give up root for another user, as servers do after they have listened."""
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)

    def eat(self, size: int) -> None:
        """Take so many bytes of memory and write to all of them."""
        self.eaten = b"x" * size

    def exit(self, code: int) -> None:
        """End at once; the kernel closes the sockets."""
        os._exit(code)

    def crash(self) -> None:
        """Die of SIGSEGV, without a core file."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)


def serve(control: socket.socket, operations: Operations) -> None:
    """Answer requests until the other end of the control socket is gone."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not request:
            return
        name, *arguments = marshal.loads(request)
        answer: tuple[str, *tuple[Answer, ...]]
        try:
            if name == "adopt":
                answer = ("done", operations._keep(socket.socket(fileno=descriptors[0])))
            elif name == "give":
                socket.send_fds(control, [marshal.dumps(("done", None))], [arguments[0]])
                continue
            elif name == "fork":
                pid = os.fork()
                if not pid:
                    control.close()
                    control = socket.socket(fileno=descriptors[0])
                    set_name(arguments[0])
                    control.send(marshal.dumps(("done", None)))
                    continue
                os.close(descriptors[0])
                answer = ("done", pid)
            elif name == "activate":
                pid = os.fork()
                if not pid:
                    activate(descriptors[0], *arguments)
                os.close(descriptors[0])
                answer = ("done", pid)
            else:
                answer = ("done", getattr(operations, name)(*arguments))
        except OSError as error:
            answer = ("failed", error.errno, str(error) if error.errno is None else os.strerror(error.errno))
        control.send(marshal.dumps(answer))


def activate(control: int, listener: int, name: str) -> NoReturn:
    """Become another program that finds the listener as its descriptor 3, as sd_listen_fds(3) says."""
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (listener, control)]
    os.dup2(kept[0], LISTEN_FDS_START)
    os.dup2(kept[1], LISTEN_FDS_START + 1)
    for descriptor in kept:
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    os.execv(sys.executable, [sys.executable, "-I", "-S", sys.argv[0], str(LISTEN_FDS_START + 1), name])


def set_name(name: str) -> None:
    """Take a command name (comm); the kernel keeps 15 bytes of it."""
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forked actors leave no zombies
    set_name(sys.argv[2])
    all_operations = Operations()
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        all_operations._keep(socket.socket(fileno=LISTEN_FDS_START))
    serve(socket.socket(fileno=int(sys.argv[1])), all_operations)
    os._exit(0)
