"""Where a running watch answers `whyreset who`: a Unix socket, one packet asked, one answered.

Rules. The socket's name is abstract (unix(7)): nothing stays on disk however the watch ends. Anyone may take such a
name and anyone may connect, so both sides look at the other's uid (SO_PEERCRED) and believe only root and themselves.
The watch never waits: it looks in when somebody asks, for few askers, each for a bounded time. What is asked and what
is answered are bounded in bytes.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Self

import msgspec
from msgspec import Struct

from whyreset.questions import PROTOCOL, Answer, Question

_PREFIX = "whyreset.watch."
_LISTENING = re.compile(rb" (@" + re.escape(_PREFIX).encode() + rb"[0-9]{1,10}\.[0-9a-f]{8})$", re.MULTILINE)
_CREDENTIALS = struct.Struct("=iII")
QUESTION_BYTES_MAX = 512
#: Less than a Unix socket takes at once by default (net.core.wmem_default).
ANSWER_BYTES_MAX = 64 << 10
#: Askers that wait at the same time, how many are let in a tick, and how long each may take for its question.
ASKERS_MAX = 8
_ACCEPTS = 32
_PATIENCE_NS = 1_000_000_000
#: How long an asker queues: a timeval of 0.3 s.
_QUEUEING = struct.pack("@ll", 0, 300_000)
#: The list of Unix sockets is read so far.
_TABLE_BYTES_MAX = 32 << 20
#: Watches that are asked at most.
WATCHES_MAX = 16


def _uid(peer: socket.socket) -> int:
    """Who is at the other end; of a listener: who called listen(2)."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _trusted(uid: int) -> bool:
    return uid in (0, os.geteuid())


def listen(pid: int) -> socket.socket | None:
    """Where the watch with that pid is asked, in the name of the calling process; None where that cannot be."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(f"\0{_PREFIX}{pid}.{os.urandom(4).hex()}")
        listener.listen(_ACCEPTS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        return None
    return listener


class Desk:
    """The watch's side; all methods are for one thread, and none waits.

    Args:
        listen: opens the socket for the watch with that pid.
        trusted: whether somebody with that uid is answered.
    """

    def __init__(
        self, listen: Callable[[int], socket.socket | None] = listen, trusted: Callable[[int], bool] = _trusted
    ) -> None:
        self._listen, self._trusted = listen, trusted
        self._listener: socket.socket | None = None
        self._askers: list[tuple[socket.socket, int]] = []
        self._poll = select.epoll()

    def open(self) -> None:
        """Begins to take questions; where that cannot be, nobody is answered."""
        self._listener = self._listen(os.getpid())
        if self._listener is not None:
            self._poll.register(self._listener, select.EPOLLIN)

    def fileno(self) -> int:
        """What becomes readable when there is something to do; -1 for nothing."""
        return -1 if self._poll.closed else self._poll.fileno()

    def busy(self) -> bool:
        """Whether somebody is connected who has not asked yet."""
        return bool(self._askers)

    def serve(self, now_ns: int, answer: Callable[[Question, int], Answer], walk: Callable[[], int]) -> None:
        """Answers who has asked since the last call.

        Args:
            now_ns: any clock that does not go back.
            answer: gives the answer, with at most so many entries of each kind.
            walk: opens what the asker may read of all open files by itself, so that it costs the watch nothing.
        """
        if self._listener is None:
            return
        self._accept(now_ns)
        waiting, self._askers = self._askers, []
        for peer, until_ns in waiting:
            if self._attend(peer, answer, walk) or now_ns > until_ns:
                peer.close()
            else:
                self._askers.append((peer, until_ns))

    def close(self) -> None:
        """Takes no more questions; harmless when called twice."""
        for peer, _ in self._askers:
            peer.close()
        self._askers.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._poll.close()

    def _accept(self, now_ns: int) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTS):
            try:
                peer, _address = self._listener.accept()
            except OSError:  # nobody waits, or no descriptor is left
                return
            peer.setblocking(False)
            if self._trusted(_uid(peer)) and len(self._askers) < ASKERS_MAX:
                self._askers.append((peer, now_ns + _PATIENCE_NS))
                self._poll.register(peer, select.EPOLLIN)
            else:
                peer.close()

    @staticmethod
    def _attend(peer: socket.socket, answer: Callable[[Question, int], Answer], walk: Callable[[], int]) -> bool:
        """Whether that one is done with."""
        try:
            asked = peer.recv(QUESTION_BYTES_MAX + 1)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if len(asked) > QUESTION_BYTES_MAX:
            return True
        try:
            question = msgspec.json.decode(asked, type=Question)
        except (ValueError, RecursionError):
            return True
        if question.protocol != PROTOCOL:
            return True
        for most in (64, 16, 4, 1, 0):
            said = msgspec.json.encode(answer(question, most))
            if len(said) > ANSWER_BYTES_MAX:
                continue
            _send(peer, said, walk)
            break
        return True


def _send(peer: socket.socket, said: bytes, walk: Callable[[], int]) -> None:
    try:
        descriptor = walk()
    except OSError:  # the asker walks by itself
        descriptor = -1
    try:
        socket.send_fds(peer, [said], [descriptor] if descriptor >= 0 else [])
    except OSError:  # it went, or has no room: it is not waited for
        pass
    finally:
        if descriptor >= 0:
            os.close(descriptor)


class Replies(Struct, frozen=True):
    """What came of asking."""

    answers: tuple[Answer, ...]
    #: Watches that run, but of somebody whose word is not taken here or who takes not ours; or that did not answer.
    strangers: int
    silent: int
    #: The walk over open files that came with the first of the answers, for reading once; the reader closes it.
    walk: int | None = None


class Asked:
    """The asker's side: watches that were asked and have not answered yet. Use as a context manager."""

    def __init__(self, question: Question, table: str = "/proc/net/unix") -> None:
        self._peers: list[socket.socket] = []
        self._strangers = 0
        self._silent = 0
        for name in sorted(_names(table)):
            if len(self._peers) >= WATCHES_MAX:
                break
            self._ask(name, msgspec.json.encode(question))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers:
            peer.close()

    def _ask(self, name: bytes, question: bytes) -> None:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # where somebody fills the watch's queue, this waits for its turn
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _QUEUEING)
            peer.connect(b"\0" + name[1:])
            peer.setblocking(False)
            if _trusted(_uid(peer)):
                peer.send(question)
                self._peers.append(peer)
                return
            self._strangers += 1
        except ConnectionRefusedError:  # it has ended meanwhile
            pass
        except OSError:  # its queue is full
            self._silent += 1
        peer.close()

    def replies(self, seconds: float, walk_bytes: int = 0) -> Replies:
        """What those asked say within that time.

        Args:
            seconds: all in all; a watch looks in ten times a second.
            walk_bytes: how long the records of a walk are that can be read here; 0 for none.
        """
        answers: list[Answer] = []
        poll = select.poll()
        waiting = {peer.fileno(): peer for peer in self._peers}
        for number in waiting:
            poll.register(number, select.POLLIN)
        strangers, silent, walk = self._strangers, self._silent, None
        deadline = time.monotonic() + seconds
        while waiting and (ready := poll.poll(max(deadline - time.monotonic(), 0) * 1000)):
            for number, _ in ready:
                poll.unregister(number)
                answer, refused, descriptor = _receive(waiting.pop(number))
                if descriptor is not None:
                    if answer and answer.walk_bytes == walk_bytes and walk is None:
                        walk = descriptor
                    else:
                        os.close(descriptor)
                if answer:
                    answers.append(answer)
                elif refused:
                    strangers += 1
                else:
                    silent += 1
        return Replies(tuple(answers), strangers, silent + len(waiting), walk)


def _receive(peer: socket.socket) -> tuple[Answer | None, bool, int | None]:
    """An answer; without one, whether it was refused; a descriptor that came too."""
    descriptor: int | None = None
    try:
        said, descriptors, _, _ = socket.recv_fds(peer, ANSWER_BYTES_MAX + 1, 1)
        descriptor = descriptors[0] if descriptors else None
        if not said:
            return None, True, descriptor
        answer = msgspec.json.decode(said, type=Answer)
    except (OSError, ValueError, RecursionError):
        return None, False, descriptor
    return (answer if answer.protocol == PROTOCOL else None), False, descriptor


def _names(table: str) -> set[bytes]:
    try:
        with open(table, "rb") as file:
            return set(_LISTENING.findall(file.read(_TABLE_BYTES_MAX)))
    except OSError:
        return set()
