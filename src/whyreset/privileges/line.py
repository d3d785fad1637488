"""The line between worker and keeper: a pair of Unix sockets that keep packets whole and carry descriptors."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence


class GoneError(Exception):
    """Nobody is at the other end any more."""


class Line:
    """One end; waits as long as the other end lives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """One packet. Raises GoneError."""
        try:
            socket.send_fds(self._end, [data], descriptors)
        except OSError as error:
            raise GoneError from error

    def receive(self, most_bytes: int, most_descriptors: int) -> tuple[bytes, list[int]]:
        """One packet, which is longer than `most_bytes` where it was cut. Raises GoneError."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._end, most_bytes + 1, most_descriptors, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise GoneError from error
        if not data:
            for descriptor in descriptors:
                os.close(descriptor)
            raise GoneError
        if flags & socket.MSG_CTRUNC:  # more descriptors than were wanted: the kernel has closed them
            data += bytes(most_bytes)
        return data, descriptors

    def is_broken(self) -> bool:
        """Whether something is there to be read, though nothing was asked: the end, or nonsense."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._end.close()


def elsewhere(data: bytes) -> int:
    """A descriptor of a file without a name that holds what is too long for a packet."""
    descriptor = os.memfd_create("whyreset", os.MFD_CLOEXEC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def content(descriptor: int, most: int) -> bytes:
    """What such a file holds, but no more than that.

    Raises:
        OSError: it cannot be read.
    """
    parts, at = [], 0
    while at < most and (part := os.pread(descriptor, min(1 << 20, most - at), at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
