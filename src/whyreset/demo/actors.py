"""Actors: processes with a name of their own that play a script, one step each time they are cued.

A script is a generator: what stands before a `yield` is one step. When it has ended its actor stays, as a service does,
to play it again; and it dies with the process that started it, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from typing import NoReturn, Protocol, Self

from whyreset.demo import namespaces

#: How long a step may take.
STEP_SECONDS = 5.0
_LEAVE_SECONDS = 0.5
_PR_SET_DUMPABLE = 4


class Script(Protocol):
    """A generator's function."""

    __qualname__: str

    def __call__(self) -> Iterator[None]: ...


class Actor:
    """A process; when this returns it has played the first step of its script.

    Args:
        command: how it shows itself to operators, as a name and a command line.
        namespace: the network namespace it plays in; None for the caller's.

    Raises:
        OSError: what it met in that step; TimeoutError where that took too long.
    """

    def __init__(self, command: str, script: Script, namespace: int | None = None) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(STEP_SECONDS)
        self._cued, self._at_end, self._gone = True, False, False
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            _play(theirs, command, script, namespace, parent)
        theirs.close()
        try:
            self.wait()
        except BaseException:
            self.dismiss()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    @property
    def gone(self) -> bool:
        """Its process was found dead."""
        return self._gone

    def cue(self) -> None:
        """Has it begin its next step; after the end the first one again."""
        self._control.send(b"next")
        self._cued = True

    def wait(self) -> None:
        """Waits for the end of its step, or of the process; raises as the constructor does."""
        try:
            answer = self._control.recv(4096)
        except ConnectionResetError:  # it died with a cue unread
            answer = b""
        self._cued, self._at_end, self._gone = False, answer == b"end", not answer
        if answer.startswith(b"failed"):
            _, number, text = answer.decode(errors="replace").split(" ", 2)
            raise OSError(int(number), text)

    def step(self) -> None:
        """Has it play its next step to the end."""
        self.cue()
        self.wait()

    def finish(self) -> None:
        """Has it play what is left of its script."""
        if self._cued:
            self.wait()
        while not (self._at_end or self._gone):
            self.step()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it by a signal; when this returns the kernel has closed its sockets."""
        if self._pid:
            os.kill(self._pid, number)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def dismiss(self) -> None:
        """Has it exit, if it has not ended; by force where it does not heed that."""
        with suppress(OSError):
            self._control.settimeout(_LEAVE_SECONDS)
            self._control.send(b"leave")
            while self._control.recv(4096):
                pass
        self.kill()
        self._control.close()


def _play(control: socket.socket, command: str, script: Script, namespace: int | None, parent: int) -> NoReturn:
    """The life of an actor's process."""
    try:
        namespaces.die_with(parent)
        set_title(command)
        if namespace is not None:
            namespaces.enter(namespace)
        try:
            for said in chain.from_iterable(chain((b"done" for _ in script()), (b"end",)) for _ in count()):
                control.send(said)
                if control.recv(16) != b"next":
                    break
        except Exception as error:
            number = error.errno or 0 if isinstance(error, OSError) else 0
            control.send(f"failed {number} {os.strerror(number) if number else repr(error)}".encode())
    finally:
        os._exit(0)


def set_title(command: str) -> None:
    """Takes a name (comm) and a command line, which is cut to the room that this process's own one had."""
    words = command.encode().split()
    with open("/proc/self/comm", "wb") as comm:
        comm.write(words[0].removesuffix(b":"))
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end; see proc_pid_stat(5)
    with open("/proc/self/cmdline", "rb") as cmdline:
        room = len(cmdline.read())
    if begin and room and room == end - begin:
        ctypes.memmove(begin, b"\0".join(words)[: room - 1].ljust(room, b"\0"), room)


def die_of_sigsegv() -> NoReturn:
    """Dies of SIGSEGV; whoever collects core files on this host is not bothered with one."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(1)
