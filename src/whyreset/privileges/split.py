"""Parting: one process becomes worker and keeper, and both end together."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

import msgspec

from whyreset.hands import OWN_HANDS, Hands
from whyreset.privileges import requests, rights
from whyreset.privileges.asking import Asking
from whyreset.privileges.grants import Grants
from whyreset.privileges.keeper import Keeper
from whyreset.privileges.line import GoneError, Line, elsewhere
from whyreset.privileges.requests import NotGrantedError, Reply
from whyreset.sources.base import SourceError

#: How long a keeper may take to end after its worker.
_END_SECONDS = 5.0
#: A keeper ends with its worker, and by nothing else that a terminal or a service manager sends to both.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


@contextmanager
def split(grants: Grants, user: str = "") -> Iterator[Hands]:
    """The hands of a keeper for the length of the block; one's own where this process is not root.

    It is to be called before anything large is imported: the keeper is a copy of what there is then. The rights of this
    process are given up by `Hands.settle`.

    Args:
        grants: what this run may ask for.
        user: who this process is to be, see `rights.user`; "" for the usual one.
    Raises:
        RightsError: there is no such user, or no right to become it.
    """
    if os.geteuid() != 0 or not rights.has_any():
        if user:
            raise rights.RightsError("only root can go on as another user: leave out --user")
        yield OWN_HANDS
        return
    owner: tuple[int, int] | None = rights.user(user or rights.usual_user())
    if owner and not rights.can_become(*owner):
        if user:
            raise rights.RightsError(f"this process may not become {user} (CAP_SETUID, CAP_SETGID; user namespaces)")
        owner = None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there already stays shared between the two
    # none of them may reach the keeper before it ignores them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)
    pid = os.fork()
    if not pid:
        _keep(ours, theirs, grants, worker, owner)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    line = Line(ours)
    asking = Asking(line, owner, pid)
    try:
        yield asking
    finally:
        line.close()
        _await_end(pid)


def _await_end(pid: int) -> None:
    """When this has returned nothing is left in the kernel; it may not be killed by its worker, who has no rights."""
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if select.select([descriptor], [], [], _END_SECONDS)[0]:
                os.waitpid(pid, 0)
        finally:
            os.close(descriptor)


def _keep(
    ours: socket.socket, theirs: socket.socket, grants: Grants, worker: int, owner: tuple[int, int] | None
) -> NoReturn:
    """The keeper's life."""
    code = 1
    try:
        ours.close()
        _leave_the_terminal()
        keeper = Keeper(grants, worker, owner)
        try:
            keeper.prepare()
            gc.collect()
            serve(keeper, Line(theirs))
        finally:
            keeper.close()
    except GoneError:
        code = 0
    except BaseException:  # nobody is there to be told; the worker sees that it has ended
        code = 1
    finally:
        os._exit(code)


def _leave_the_terminal() -> None:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    os.setsid()
    rights.call_yourself("whyreset-keeper")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def serve(keeper: Keeper, line: Line) -> NoReturn:
    """Answers until the worker has ended.

    Raises:
        GoneError: it has.
        msgspec.DecodeError: it has sent what this program never sends.
    """
    while True:
        data, received = line.receive(requests.REQUEST_BYTES_MAX, 1)
        try:
            if len(data) > requests.REQUEST_BYTES_MAX:
                raise msgspec.DecodeError("no request is so long")
            _answer(keeper, line, requests.decode(data), received)
        finally:
            _close_all(received)


def _answer(keeper: Keeper, line: Line, request: requests.Request, received: Sequence[int]) -> None:
    try:
        reply = keeper.do(request, received)
    except (NotGrantedError, SourceError, OSError) as error:
        line.send(_refusal(error))
        return
    data, sent, closed = _packed(reply)
    try:
        line.send(data, sent)
    finally:
        _close_all(closed)


def _packed(reply: Reply) -> tuple[bytes, list[int], list[int]]:
    """(what is sent, with which descriptors, which of them are closed here afterwards)."""
    data = requests.HERE + requests.encode(reply.value)
    sent = list(reply.descriptors)
    closed = [] if reply.kept else list(sent)
    if len(data) > requests.INLINE_BYTES_MAX:
        written = elsewhere(data[1:])
        sent.append(written)
        closed.append(written)
        data = requests.ELSEWHERE
    return data, sent, closed


def _refusal(error: Exception) -> bytes:
    """Why there is none."""
    if isinstance(error, NotGrantedError):
        refused = requests.Refused(f"not granted: {error}", -1)
    elif isinstance(error, SourceError):
        refused = requests.Refused(str(error), 0)
    else:
        assert isinstance(error, OSError)
        refused = requests.Refused(error.strerror or str(error), error.errno or errno.EIO)
    return requests.REFUSED + requests.encode(refused)


def _close_all(descriptors: Sequence[int]) -> None:
    """Closes what was received or sent."""
    for each in descriptors:
        os.close(each)
