# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Connections of this host that were given up without any answer to their SYN, by destination and process. Bounded.

What is beyond the room is counted. A program that gives up very many at once has few destinations, or is a scanner.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from whyreset.core.events cimport ACTIVE_OPEN, RESET_RECEIVED_HERE, close_event

import socket

from whyreset.model import Attempt

cdef enum:
    SYN_SENT = 2


cdef class Attempts:
    """Room for `room` kinds between two takings."""

    def __cinit__(self, int room=64):
        if room < 1:
            raise ValueError("limits out of range")
        self.room = room
        self.rows = <attempt *>calloc(room, sizeof(attempt))
        if self.rows == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.rows)

    cdef void add(self, const close_event *event) noexcept nogil:
        """Takes a connection that is gone; those that had an answer, a reset too, are not meant."""
        cdef attempt *row
        cdef uint64_t took
        cdef int i
        if event.state_before != SYN_SENT or event.flags & RESET_RECEIVED_HERE:
            return
        took = event.time_ns - event.opened_ns if 0 < event.opened_ns < event.time_ns else 0
        for i in range(self.used):
            row = &self.rows[i]
            if (row.port == event.remote_port and row.owner_pid == event.owner_pid and row.owner_start_ns == event.owner_start_ns
                    and row.netns_cookie == event.netns_cookie and memcmp(row.remote, event.remote, 16) == 0):
                row.count += 1
                row.shortest_ns = min(row.shortest_ns, took)
                row.longest_ns = max(row.longest_ns, took)
                row.first_ns = min(row.first_ns, event.time_ns)
                row.last_ns = max(row.last_ns, event.time_ns)
                return
        if self.used == self.room:
            self.beyond += 1
            return
        row = &self.rows[self.used]
        self.used += 1
        row.netns_cookie = event.netns_cookie
        row.owner_pid = event.owner_pid
        row.owner_start_ns = event.owner_start_ns
        row.port = event.remote_port
        row.family = event.family
        memcpy(row.remote, event.remote, 16)
        row.count = 1
        row.shortest_ns = row.longest_ns = took
        row.first_ns = row.last_ns = event.time_ns

    def take(self):
        """What came since it was asked last."""
        cdef attempt *row
        cdef list out = []
        cdef int i
        for i in range(self.used):
            row = &self.rows[i]
            out.append(Attempt(
                netns_cookie=row.netns_cookie,
                remote=self.address(row),
                port=row.port,
                owner=(row.owner_pid, row.owner_start_ns) if row.owner_pid else None,
                count=row.count,
                shortest_ns=row.shortest_ns,
                longest_ns=row.longest_ns,
                first_ns=row.first_ns,
                last_ns=row.last_ns,
            ))
        self.used = 0
        return tuple(out)

    cdef str address(self, const attempt *row):
        if row.family == socket.AF_INET6:
            return socket.inet_ntop(socket.AF_INET6, (<const char *>row.remote)[:16])
        return socket.inet_ntop(socket.AF_INET, (<const char *>row.remote)[:4])
