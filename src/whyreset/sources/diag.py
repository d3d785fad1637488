"""Sockets as the kernel tells any process: sock_diag(7), one network namespace at a time.

It shows what no open file leads to (TIME-WAIT, orphans, connections that nobody has accepted yet) and how full accept
queues are, but not who holds a socket: only the number of its file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from msgspec import Struct

from whyreset.model import Holder, Socket

#: include/net/tcp_states.h.
STATES = (
    *("", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE"),
    *("CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
#: Sockets that are read of one namespace.
SOCKETS_MAX = 1 << 20

_NETLINK_SOCK_DIAG, _NETLINK_ROUTE = 4, 0
_SOCK_DIAG_BY_FAMILY, _RTM_GETROUTE, _RTM_NEWROUTE = 20, 26, 24
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
#: struct inet_diag_req_v2 without its sockid: family, protocol, extensions, pad, states.
_REQUEST = struct.Struct("=BBBBI")
_SOCKID_BYTES = 48
#: struct inet_diag_msg: family, state, timer, retrans, ports, addresses, interface, cookie, expires, queues, uid, file.
_MESSAGE = struct.Struct("=BBBB2s2s16s16sIQIIIII")
_STATE, _COOKIE_AT, _COOKIE = 1, 44, struct.Struct("=Q")
_FILE_AT, _FILE = 68, struct.Struct("=I")
_LOCAL_PORT_AT = 4
_LISTEN = STATES.index("LISTEN")
#: Without a file in these, a socket is an orphan.
_CLOSED = frozenset(STATES.index(name) for name in ("FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK"))
_TIME_WAIT = 1 << STATES.index("TIME_WAIT")
_HALF_OPEN = 1 << STATES.index("SYN_RECV") | 1 << STATES.index("NEW_SYN_RECV")
_ALL, _OPEN = 0xFFFFFFFF, 1 << STATES.index("ESTABLISHED") | 1 << STATES.index("CLOSE_WAIT")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_ATTRIBUTE = struct.Struct("=HH")
_INET_DIAG_REQ_BYTECODE, _INET_DIAG_SKMEMINFO, _INET_DIAG_SKV6ONLY = 1, 7, 11
#: What of SKMEMINFO's numbers is read (linux/sock_diag.h): allocated to receive, to send, ahead, queued; drops.
_RMEM, _FORWARD, _WMEM_QUEUED, _DROPS = 0, 4, 5, 8
#: struct inet_diag_bc_op.
_OPERATION = struct.Struct("=BBH")
_JUMP, _S_GE, _S_LE, _D_GE, _D_LE = 1, 2, 3, 4, 5
#: struct rtmsg, of which the family, the destination's length and the type matter.
_ROUTE = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTN_LOCAL = 1, 2
_SO_NETNS_COOKIE = 71
_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_BUFFER_BYTES = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


class View(Struct, frozen=True, kw_only=True):
    """One namespace's sockets."""

    netns: int
    #: The inode number before Linux 5.14, which has no other name for it.
    cookie: int
    sockets: list[Socket]
    #: Whether the address that was asked for is the namespace's own; None where that cannot be told.
    local: bool | None = None


def here() -> tuple[int, int]:
    """The inode number and the cookie of the namespace that the calling thread is in; see `View`."""
    netns = os.stat(_OWN).st_ino
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            return netns, int.from_bytes(probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")
    except OSError:  # before Linux 5.14
        return netns, netns


def view(port: int, address: str = "", known: Container[int] | None = None) -> View:
    """The sockets from or to a port (0: all) in the namespace that the calling thread is in.

    Args:
        port: on either side; 0 for any.
        address: whose place shall be told.
        known: cookies of the sockets that processes hold, where that is known: of these only listeners are told again,
            for their queues. None where it is not known.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    netns, cookie = here()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        found: list[Socket] = []
        states = _ALL if known is None else _ALL & ~_OPEN
        while states and len(found) < SOCKETS_MAX:
            bodies = (body for family in _FAMILIES for body in _dump(asking, family, port, states))
            news = (body for body in bodies if body[_STATE] == _LISTEN or not _is_known(body, known))
            found += (_socket(body, netns, cookie) for body in islice(news, SOCKETS_MAX - len(found)))
            # open connections that no process holds wait for a listener to accept them: most often there are none
            waiting = not states & _OPEN and any(each.queue and each.queue[0] for each in found)
            states = _OPEN if waiting else 0
    return View(netns=netns, cookie=cookie, sockets=found, local=is_local(address) if address else None)


def current(states: Iterable[str], most: int) -> list[Socket]:
    """The sockets in some states, in the namespace that the calling thread is in.

    Args:
        states: names of `STATES`.
        most: no more than these.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    netns, cookie = here()
    mask = sum(1 << STATES.index(each) for each in states)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        bodies = (body for family in _FAMILIES for body in _dump(asking, family, 0, mask))
        return [_socket(body, netns, cookie) for body in islice(bodies, most)]


def listeners(most: int) -> list[Socket]:
    """The listeners of the namespace that the calling thread is in, with their queues and what they have dropped.

    Args:
        most: so many at most.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    netns, cookie = here()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        bodies = (body for family in _FAMILIES for body in _dump(asking, family, 0, 1 << _LISTEN, meminfo=True))
        return [_socket(body, netns, cookie) for body in islice(bodies, most)]


def half_open(most: int) -> Counter[int]:
    """How many handshakes are not complete in the namespace that the calling thread is in, by the listener's port.

    Args:
        most: so many are counted at most.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        bodies = (body for family in _FAMILIES for body in _dump(asking, family, 0, _HALF_OPEN))
        return Counter(_port(body, _LOCAL_PORT_AT) for body in islice(bodies, most))


def holders(most: int) -> list[Holder]:
    """Who holds memory of TCP in the namespace that the calling thread is in, by port.

    Args:
        most: so many sockets are looked at.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    found: dict[tuple[bool, int], list[int]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        serving = {
            _port(body, _LOCAL_PORT_AT): _COOKIE.unpack_from(body, _COOKIE_AT)[0]
            for family in _FAMILIES
            for body in _dump(asking, family, 0, 1 << _LISTEN)
        }
        states = _ALL & ~(_TIME_WAIT | _HALF_OPEN | 1 << _LISTEN)
        bodies = (body for family in _FAMILIES for body in _dump(asking, family, 0, states, meminfo=True))
        for body in islice(bodies, most):
            local = _port(body, _LOCAL_PORT_AT)
            key = (True, local) if local in serving else (False, _port(body, _LOCAL_PORT_AT + 2))
            sums = found.setdefault(key, [0, 0, 0])
            sums[0] += 1
            sums[1] += body[_STATE] in _CLOSED and not _FILE.unpack_from(body, _FILE_AT)[0]
            sums[2] += _memory(_meminfo(body[_MESSAGE.size :]))
    return [
        Holder(
            port=port,
            served=served,
            sockets=sums[0],
            orphans=sums[1],
            memory_bytes=sums[2],
            socket_cookie=serving.get(port, 0) if served else 0,
        )
        for (served, port), sums in found.items()
    ]


def _port(body: memoryview, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "big")


def _memory(meminfo: tuple[int, ...]) -> int:
    """Bytes that queues hold, and that are held ahead."""
    return meminfo[_RMEM] + meminfo[_FORWARD] + meminfo[_WMEM_QUEUED] if len(meminfo) > _DROPS else 0


def _is_known(body: memoryview, known: Container[int] | None) -> bool:
    return known is not None and _COOKIE.unpack_from(body, _COOKIE_AT)[0] in known


def _dump(asking: socket.socket, family: int, port: int, states: int, *, meminfo: bool = False) -> Iterator[memoryview]:
    """The answers' bodies. A kernel without this family answers with an error, which is no socket."""
    extensions = 1 << (_INET_DIAG_SKMEMINFO - 1) if meminfo else 0
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, extensions, 0, states) + bytes(_SOCKID_BYTES)
    if port:
        code = _either(port)
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(code), _INET_DIAG_REQ_BYTECODE) + code
    size = _HEADER.size + len(body)
    asking.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + body)
    while True:
        part = memoryview(asking.recv(_BUFFER_BYTES))
        for kind, payload in _messages(part):
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                number = -int.from_bytes(payload[:4], "little", signed=True)
                if number in (0, errno.ENOENT):
                    return
                raise OSError(number, f"sock_diag: {os.strerror(number)}")
            if kind == _SOCK_DIAG_BY_FAMILY and len(payload) >= _MESSAGE.size:
                yield payload


def _either(port: int) -> bytes:
    """The kernel's filter for «from this port or to it» (inet_diag_bc_audit, inet_diag_bc_run of net/ipv4/inet_diag.c).

    A test takes 8 bytes, its port among them, and says how far to go if it holds and if not; the end accepts, 4 bytes
    beyond refuses. Where a test holds the kernel wants the next one to follow, so a jump leaves the first pair.
    """
    steps = ((_S_GE, 8, 20), (_S_LE, 8, 12), (_JUMP, 4, 20), (_D_GE, 8, 20), (_D_LE, 8, 12))
    return b"".join(
        _OPERATION.pack(kind, yes, no) + (b"" if kind == _JUMP else _OPERATION.pack(0, 0, port))
        for kind, yes, no in steps
    )


def _messages(part: memoryview) -> Iterator[tuple[int, memoryview]]:
    while len(part) >= _HEADER.size:
        size, kind, _, _, _ = _HEADER.unpack_from(part)
        if not _HEADER.size <= size <= len(part):
            return
        yield kind, part[_HEADER.size : size]
        part = part[(size + 3) & ~3 :]


def _socket(body: memoryview, netns: int, cookie: int) -> Socket:
    family, state, _, _, sport, dport, local, remote, _, own, _, waiting, limit, _, inode = _MESSAGE.unpack_from(body)
    name = STATES[state] if state < len(STATES) else ""
    remote_port = int.from_bytes(dport, "big")
    meminfo = _meminfo(body[_MESSAGE.size :])
    return Socket(
        netns=netns,
        netns_cookie=cookie,
        cookie=own,
        state=name,
        family=family,
        local=_address(family, local),
        local_port=int.from_bytes(sport, "big"),
        remote=_address(family, remote) if remote_port else "",
        remote_port=remote_port,
        ipv6_only=family == socket.AF_INET6 and _ipv6_only(body[_MESSAGE.size :]),
        queue=(waiting, limit) if name == "LISTEN" else None,
        inode=inode,
        drops=meminfo[_DROPS] if len(meminfo) > _DROPS else None,
    )


def _ipv6_only(attributes: memoryview) -> bool:
    value = _attribute(attributes, _INET_DIAG_SKV6ONLY)
    return len(value) == 1 and bool(value[0])


def _meminfo(attributes: memoryview) -> tuple[int, ...]:
    value = _attribute(attributes, _INET_DIAG_SKMEMINFO)
    return struct.unpack_from(f"={len(value) // 4}I", value)


def _attribute(attributes: memoryview, wanted: int) -> memoryview:
    """The value of an attribute; empty where it is not there."""
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if not _ATTRIBUTE.size <= size <= len(attributes):
            break
        if kind == wanted:
            return attributes[_ATTRIBUTE.size : size]
        attributes = attributes[(size + 3) & ~3 :]
    return memoryview(b"")


def _address(family: int, data: bytes) -> str:
    return socket.inet_ntop(family, data[:4] if family == socket.AF_INET else data)


def is_local(address: str) -> bool | None:
    """Whether the kernel would deliver to that address itself; asks for its route, sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    data = socket.inet_pton(family, address)
    body = _ROUTE.pack(family, len(data) * 8, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), _RTA_DST) + data
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as asking:
            asking.send(_HEADER.pack(_HEADER.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + body)
            for kind, payload in _messages(memoryview(asking.recv(_BUFFER_BYTES))):
                if kind == _RTM_NEWROUTE and len(payload) >= _ROUTE.size:
                    return bool(_ROUTE.unpack_from(payload)[7] == _RTN_LOCAL)
    except OSError:
        return None
    return False  # no way there: it cannot be our own


# ---- other namespaces ----


def namespaces(named: Iterable[str] = ("/run/netns", "/run/docker/netns")) -> dict[int, str]:
    """Paths of namespaces by inode number: those that have a name, and those that a process is in."""
    found: dict[int, str] = {}
    for folder in named:
        try:
            paths = [entry.path for entry in os.scandir(folder)]
        except OSError:
            continue
        for path in paths:
            _add(found, path)
    for name in os.listdir("/proc"):
        if name.isdigit():
            _add(found, f"/proc/{name}/ns/net")
    return found


def called(there: Mapping[int, str], words: Collection[str]) -> dict[int, str]:
    """Those of these namespaces that somebody calls so: by name, inode number, or «all»."""
    return {
        inode: path
        for inode, path in there.items()
        if "all" in words or str(inode) in words or (not path.startswith("/proc/") and os.path.basename(path) in words)
    }


def _add(found: dict[int, str], path: str) -> None:
    try:
        found.setdefault(os.stat(path).st_ino, path)
    except OSError:  # it has gone, or is not ours to see
        pass


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Puts the calling thread into that namespace for the length of the block.

    Raises:
        OSError: it has gone, or rights are missing (CAP_SYS_ADMIN).
    """
    home = os.open(_OWN, os.O_RDONLY)
    try:
        there = os.open(path, os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
