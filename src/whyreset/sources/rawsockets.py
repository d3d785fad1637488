"""Raw and packet sockets of a namespace, which send segments past the TCP stack; and who holds them."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack

from whyreset.sources import diag, sockets

_MOST = 64
#: IPPROTO_TCP, and IPPROTO_RAW, whose sockets send whole packets.
_CAN_SEND_TCP = (6, 255)
#: Of /proc/net: the file, what it lists, the column of the socket's file, and the columns of protocol and interface.
_RAW = "raw socket"
_FILES = (("raw", _RAW, 9), ("raw6", _RAW, 9), ("packet", "packet socket", 8))


def held(
    path: str = "", ours: Collection[int] = (), *, senders: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences on those that exist in a namespace («raw socket of nmap[123]»), and on what could not be read.

    Args:
        path: of the namespace; "" for the caller's.
        ours: numbers of sockets' files that are not to be told.
        senders: only raw sockets that can send TCP (and packet sockets, which can send anything).
    """
    found: dict[int, str] = {}
    unread: list[str] = []
    try:
        with ExitStack() as stack:
            if path:
                stack.enter_context(diag.inside(path))
            for name, what, column in _FILES:
                try:
                    with open(f"/proc/thread-self/net/{name}") as file:
                        lines = file.read().splitlines()[1:]
                except FileNotFoundError:  # a kernel without IPv6 or packet sockets
                    continue
                for line in lines[:_MOST]:
                    words = line.split()
                    inode = int(words[column])
                    if inode not in ours and (not senders or what != _RAW or _protocol(words[1]) in _CAN_SEND_TCP):
                        found[inode] = what
    except (OSError, ValueError, IndexError) as error:
        unread.append(f"raw sockets cannot be read: {error}")
    if not found:
        return (), tuple(unread)
    holders, _ = sockets.holders(found)
    counted: dict[str, int] = {}
    for inode, what in found.items():
        those = holders.get(inode, [])
        who = " and ".join(f"{_name(pid)}[{pid}]" for pid in those[:3]) or "a process that is not known"
        counted[f"{what} of {who}"] = counted.get(f"{what} of {who}", 0) + 1
    return tuple(text if count == 1 else f"{count} x {text}" for text, count in counted.items()), tuple(unread)


def of_namespace(inode: int, ours: Collection[int] = ()) -> tuple[str, ...]:
    """Those of a namespace that can send TCP; none where it has no name and no process.

    Args:
        inode: its number.
        ours: pids of processes whose sockets are left out.
    """
    path = diag.namespaces().get(inode)
    found = held(path, senders=True)[0] if path is not None else ()
    return tuple(each for each in found if not any(f"[{pid}]" in each for pid in ours))


def _protocol(local: str) -> int:
    """Of «00000000:00FF», an address and what stands for its port."""
    return int(local.rpartition(":")[2], 16)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read(64).rstrip(b"\n")).encode("utf-8", "backslashreplace").decode()
    except OSError:
        return "?"
