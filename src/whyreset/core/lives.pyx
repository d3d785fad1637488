# cython: language_level=3, boundscheck=False, wraparound=False
"""Decodes the kernel program's rarer records, one value each: processes, listeners, sockets held by files, counters."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from whyreset.core.events cimport *
from whyreset.core.ring cimport Ring

import socket

from whyreset.model import Listener, ListenerEnd, Process, ProcessEnd, Socket

cdef int AF_INET6 = socket.AF_INET6
cdef int AF_INET = socket.AF_INET


cdef str text(const char *data, Py_ssize_t size):
    """Bytes of another process as text: what is not UTF-8 stays visible, what follows the first NUL is cut."""
    return data[:size].split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


cdef str address(int family, const uint8_t *data):
    if family == AF_INET6:
        return socket.inet_ntop(AF_INET6, (<const char *>data)[:16])
    return socket.inet_ntop(AF_INET, (<const char *>data)[:4])


cdef object process(process_event *e):
    cdef list levels = [text(e.cgroup[i], NAME_BYTES) for i in range(CGROUP_LEVELS)]
    cdef bytes command = (<char *>e.command)[:min(e.command_bytes, <uint32_t>COMMAND_BYTES)]
    return Process(
        pid=e.pid,
        start_ns=e.start_ns,
        comm=text(e.comm, 16),
        exe=text(e.exe, 64),
        command=tuple([part.decode("utf-8", "backslashreplace") for part in command.rstrip(b"\0").split(b"\0")]) if command else (),
        uid=e.uid,
        cgroup="/".join([level for level in reversed(levels) if level and level != "/"]),
        netns=e.netns_inode,
        parent_pid=e.parent_pid,
        parent_start_ns=e.parent_start_ns,
    )


cdef object listener(listen_event *e):
    if e.kind == LIFE_LISTEN:
        return Listener(
            netns_cookie=e.netns_cookie,
            port=e.port,
            address=address(e.family, e.address),
            family=e.family,
            ipv6_only=bool(e.flags & IPV6_ONLY),
            socket_cookie=e.socket_cookie,
            owner=(e.pid, e.start_ns),
            backlog=e.backlog,
            since_ns=e.time_ns,
            netns=e.netns_inode,
        )
    return ListenerEnd(
        netns_cookie=e.netns_cookie,
        socket_cookie=e.socket_cookie,
        time_ns=e.time_ns,
        closer=(e.pid, e.start_ns),
        exit_code=e.exit_code if e.flags & EXITING else None,
        out_of_memory=bool(e.flags & OOM_VICTIM),
    )


def drain(Ring ring, int limit):
    """Up to `limit` lives (Process, ProcessEnd, Listener, ListenerEnd) in the order in which they happened."""
    cdef uint64_t position = ring.position(), end = ring.available()
    cdef uint32_t length = 0
    cdef void *record
    cdef exit_event *ended
    cdef list out = []
    while len(out) < limit:
        record = ring.at(&position, end, &length)
        if record == NULL:
            break
        if length == sizeof(process_event):
            out.append(process(<process_event *>record))
        elif length == sizeof(listen_event):
            out.append(listener(<listen_event *>record))
        elif length == sizeof(exit_event):
            ended = <exit_event *>record
            out.append(ProcessEnd(
                pid=ended.pid,
                start_ns=ended.start_ns,
                exit_code=ended.exit_code,
                out_of_memory=bool(ended.flags & OOM_VICTIM),
                time_ns=ended.time_ns,
            ))
        ring.release(position)
    return out


def held(bytes data, wanted=()):
    """What the walk over open files found, as (process, socket cookie, listener or None): every process at least once,
    every listener, and of connections, of which there may be very many, those in `wanted`.

    Args:
        data: what reading the iterator gave; a cut last record is left out.
        wanted: cookies of sockets.
    """
    cdef const char *start = data
    cdef Py_ssize_t offset = 0
    cdef held_socket h
    cdef uint64_t last_start_ns = 0
    cdef uint32_t last_pid = 0
    cdef bint any_wanted = bool(wanted), same
    cdef object owner = None
    cdef list out = []
    while offset + <Py_ssize_t>sizeof(held_socket) <= len(data):
        memcpy(&h, start + offset, sizeof(held_socket))
        offset += sizeof(held_socket)
        same = owner is not None and h.pid == last_pid and h.start_ns == last_start_ns
        if same and h.state != 10 and not (any_wanted and h.socket_cookie in wanted):
            continue
        if not same:
            owner = Process(pid=h.pid, start_ns=h.start_ns, comm=text(h.comm, 16), uid=h.uid, netns=h.netns_inode)
            last_pid, last_start_ns = h.pid, h.start_ns
        found = None
        if h.state == 10:  # TCP_LISTEN
            found = Listener(
                netns_cookie=h.netns_cookie,
                port=h.local_port,
                address=address(h.family, h.local),
                family=h.family,
                ipv6_only=bool(h.flags & 1),
                socket_cookie=h.socket_cookie,
                owner=(h.pid, h.start_ns),
                backlog=h.backlog,
                netns=h.netns_inode,
            )
        out.append((owner, h.socket_cookie, found))
    return out


def sockets(bytes data, states, int port=0, uint32_t pid=0, int limit=1 << 20):
    """What the walk over open files found, whole: a Socket for each open file and process, at most `limit`.

    Args:
        data: what reading the iterator gave; a cut last record is left out.
        states: names of the kernel's TCP states by number.
        port: sockets from or to this port.
        pid: sockets of this process; with neither of both all that have a port.
    """
    cdef const char *start = data
    cdef Py_ssize_t offset = 0
    cdef held_socket h
    cdef bint any_asked = port or pid
    cdef list out = []
    while offset + <Py_ssize_t>sizeof(held_socket) <= len(data) and len(out) < limit:
        memcpy(&h, start + offset, sizeof(held_socket))
        offset += sizeof(held_socket)
        if not h.local_port or (any_asked and not ((port and port in (h.local_port, h.remote_port)) or (pid and h.pid == pid))):
            continue
        out.append(Socket(
            netns=h.netns_inode,
            netns_cookie=h.netns_cookie,
            cookie=h.socket_cookie,
            state=states[h.state] if h.state < len(states) else "",
            family=h.family,
            local=address(h.family, h.local),
            local_port=h.local_port,
            remote=address(h.family, h.remote) if h.remote_port else "",
            remote_port=h.remote_port,
            ipv6_only=bool(h.flags & 1),
            holder=(h.pid, h.start_ns),
        ))
    return out


def counters(const unsigned char[:] rows, const unsigned char[:] head, int ext_wanted):
    """The last walk's result: (jiffies, monotonic ns, namespaces found, [(cookie, inode, tcp, ext or None), ...])."""
    cdef walk w
    cdef netns_counters row
    cdef Py_ssize_t i
    cdef list out = []
    if head.shape[0] < <Py_ssize_t>sizeof(walk):
        raise ValueError("the walk's head is cut")
    memcpy(&w, &head[0], sizeof(walk))
    for i in range(w.written):
        if (i + 1) * <Py_ssize_t>sizeof(netns_counters) > rows.shape[0]:
            break
        memcpy(&row, &rows[i * <Py_ssize_t>sizeof(netns_counters)], sizeof(netns_counters))
        out.append((
            row.cookie,
            row.inode,
            tuple([row.tcp[k] for k in range(TCP_COUNTERS)]),
            tuple([row.ext[k] for k in range(min(ext_wanted, <int>EXT_COUNTERS))]) if row.complete else None,
        ))
    return w.jiffies, w.monotonic_ns, w.namespaces, out


HELD_BYTES = sizeof(held_socket)
ROW_BYTES = sizeof(netns_counters)
EXT_MAX = <int>EXT_COUNTERS
ROWS_MAX = <int>NETNS_MAX
