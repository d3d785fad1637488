"""Unnamed network namespaces, held by descriptors, and processes that die with their parent.

Nothing has a name on disk: when the last descriptor and the last process are gone, the kernel takes the namespace, its
devices and its settings away.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)  # os.unshare and os.setns came with Python 3.12


def unshare(flags: int) -> None:
    """Puts the calling thread into new namespaces; see unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def enter(descriptor: int) -> None:
    """Puts the calling thread into a network namespace for good."""
    _checked(_libc.setns(descriptor, CLONE_NEWNET), "setns")


@contextmanager
def inside(descriptor: int) -> Iterator[None]:
    """Puts the calling thread into a network namespace for the length of the block; children started in it stay."""
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(descriptor)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def make() -> int:
    """A new network namespace; the descriptor that holds it."""
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            enter(home)
    finally:
        os.close(home)


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, however that ends; see PR_SET_PDEATHSIG(2const)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it ended before it could be asked for
        os._exit(1)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
