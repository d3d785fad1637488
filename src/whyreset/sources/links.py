"""Names of a namespace's interfaces over time: they come, go, and are renamed while packets are remembered.

The kernel tells of each change over rtnetlink(7), so that also an interface is known that was there for a moment only.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack

from whyreset.sources import diag
from whyreset.sources.base import SourceError

_NETLINK_ROUTE, _RTMGRP_LINK = 0, 1
_NEWLINK, _GETLINK, _DONE, _ERROR = 16, 18, 3, 2
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_HEADER, _LINK, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBHiII"), struct.Struct("=HH")
_IFLA_IFNAME = 3
_BUFFER_BYTES, _VISIT = 1 << 16, 256
#: Interfaces that are remembered, also those that are gone, and names of each.
LINKS_MAX, NAMES_MAX = 4096, 16


def opened(path: str) -> socket.socket:
    """A socket that is told of each change in the namespace at that path; whoever has it needs no rights to read it.

    Raises:
        OSError: there is no such namespace, or it may not be entered.
    """
    with ExitStack() as stack:
        if path:
            stack.enter_context(diag.inside(path))
        found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    found.bind((0, _RTMGRP_LINK))
    return found


class Links:
    """Follows the names of interfaces.

    Args:
        path: of the namespace («/proc/911/ns/net»); "" for our own.
        opener: opens the socket; raises OSError and SourceError.
    """

    def __init__(self, path: str = "", opener: Callable[[str], socket.socket] = opened) -> None:
        self._path, self._opener = path, opener
        self._socket: socket.socket | None = None
        #: By index: since when it had which name, the oldest first; 0 where it was there before.
        self._names: OrderedDict[int, list[tuple[int, str]]] = OrderedDict()

    def start(self) -> None:
        """Asks for all; from now on changes are told.

        Raises:
            SourceError: with a sentence that says why not.
        """
        try:
            # our own needs no rights
            self._socket = self._opener(self._path) if self._path else opened("")
            self._ask(0)
            self._socket.setblocking(False)
        except OSError as error:
            self.close()
            raise SourceError(f"names of interfaces cannot be read: {os.strerror(error.errno or 0)}") from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def drain(self, at_ns: int) -> None:
        """Takes what changed since the last call, as of now; a bounded part of it.

        Args:
            at_ns: now, on a clock that never steps.
        """
        for _ in range(_VISIT if self._socket is not None else 0):
            assert self._socket is not None
            try:
                part = self._socket.recv(_BUFFER_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # more changed than had room: all are asked for anew
                    self._ask(at_ns)
                    continue
                return
            self.learn(part, at_ns)

    def name(self, index: int, at_ns: int) -> str:
        """What that interface was called at a time; "" where nobody told."""
        names = self._names.get(index, [])
        return next((name for since_ns, name in reversed(names) if since_ns <= at_ns), names[0][1] if names else "")

    def learn(self, part: bytes, at_ns: int) -> bool:
        """Reads messages of rtnetlink, whatever they hold; returns whether the end of an answer was among them."""
        while len(part) >= _HEADER.size:
            size, kind, _, _, _ = _HEADER.unpack_from(part)
            if not _HEADER.size <= size <= len(part):
                break
            if kind in (_DONE, _ERROR):
                return True
            if kind == _NEWLINK and size >= _HEADER.size + _LINK.size:
                _, _, _, index, _, _ = _LINK.unpack_from(part, _HEADER.size)
                self._note(index, _name(part[_HEADER.size + _LINK.size : size]), at_ns)
            part = part[(size + 3) & ~3 :]
        return False

    def _ask(self, at_ns: int) -> None:
        assert self._socket is not None
        size = _HEADER.size + _LINK.size
        ask = _HEADER.pack(size, _GETLINK, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + _LINK.pack(0, 0, 0, 0, 0, 0)
        blocking = self._socket.getblocking()
        self._socket.setblocking(True)
        self._socket.settimeout(2)
        try:
            self._socket.send(ask)
            while not self.learn(self._socket.recv(_BUFFER_BYTES), at_ns):
                pass
        finally:
            self._socket.setblocking(blocking)

    def _note(self, index: int, name: str, at_ns: int) -> None:
        names = self._names.setdefault(index, [])
        if name and (not names or names[-1][1] != name):
            names.append((at_ns if names else 0, name))
            del names[:-NAMES_MAX]
        self._names.move_to_end(index)
        while len(self._names) > LINKS_MAX:
            self._names.popitem(last=False)


def _name(attributes: bytes) -> str:
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if not _ATTRIBUTE.size <= size <= len(attributes):
            break
        if kind == _IFLA_IFNAME:
            return attributes[_ATTRIBUTE.size : size].partition(b"\0")[0].decode("utf-8", "backslashreplace")
        attributes = attributes[(size + 3) & ~3 :]
    return ""
