# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Resets that wait for what follows them on their connection: two seconds of the capture's time, in a bounded queue.

What followed is the difference between the connection as it was and as it is then; so a segment that follows costs
nothing but a mark. A connection whose place another one takes is settled before.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from whyreset.core.connections cimport *
from whyreset.core.traits cimport judge, judge_later

cdef enum:
    FIRST = 64
    LOOK_BACK = 8       # resets of one connection that learn of the next one

#: Weaver, Sommer and Paxson's span for a second reset back to back
cdef int64_t SPAN_NS = 2000000000


cdef class Waiting:
    """Room for `most` resets (a power of two); when there is none left, the longest waiting is hurried."""

    def __cinit__(self, uint32_t most=16384):
        self.most = most
        self.size = min(most, <uint32_t>FIRST)
        self.head = 1
        self.ring = <sighting *>calloc(self.size, sizeof(sighting))
        if self.ring == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.ring)

    cdef sighting *at(self, uint32_t place) noexcept nogil:
        """By its place; NULL where that one waits no more."""
        if place == 0 or place - self.head >= self.used:
            return NULL
        return &self.ring[place & (self.size - 1)]

    cdef bint is_full(self) noexcept nogil:
        """Whether one must be released before another can be added; makes room first."""
        cdef sighting *grown
        cdef uint32_t i
        if self.used < self.size:
            return False
        if self.size >= self.most:
            return True
        grown = <sighting *>calloc(2 * self.size, sizeof(sighting))
        if grown == NULL:
            self.most = self.size
            return True
        for i in range(self.head, self.head + self.used):
            memcpy(&grown[i & (2 * self.size - 1)], &self.ring[i & (self.size - 1)], sizeof(sighting))
        free(self.ring)
        self.ring = grown
        self.size *= 2
        return False

    cdef sighting *add(self, connection *row, const segment *s) noexcept nogil:
        """A reset, before its connection takes notice of it."""
        cdef uint32_t place = self.head + self.used
        cdef sighting *x = &self.ring[place & (self.size - 1)]
        cdef sighting *other = self.at(row.waiting)
        cdef int i
        memset(x, 0, sizeof(sighting) - sizeof(connection))
        x.connection = row[0]
        self.numbers += 1
        x.number = self.numbers
        x.time_ns = s.time_ns
        x.hash = s.hash
        x.frame = s.frame
        x.seq = s.seq
        x.ack = s.ack
        x.length = s.length
        x.flags = s.flags
        x.window = s.window
        x.ip_id = s.ip_id
        x.name = s.name
        x.ttl = s.ttl
        x.side = s.side
        x.timestamps = s.options == 12
        judge(x, row, s)
        if other != NULL:
            x.previous = row.waiting
            for i in range(LOOK_BACK):
                if other == NULL:
                    break
                other.touched = True
                if other.side == s.side and not other.has_next:
                    other.has_next = True
                    other.next_seq = s.seq
                    other.next_after_ns = s.time_ns - other.time_ns if s.time_ns > other.time_ns else 0
                other = self.at(other.previous)
        row.waiting = place
        self.used += 1
        return x

    cdef bint is_due(self, uint64_t time_ns) noexcept nogil:
        """Whether the one that waits longest has waited enough (or the clock has jumped back)."""
        cdef int64_t since
        if not self.used:
            return False
        since = <int64_t>(time_ns - self.ring[self.head & (self.size - 1)].time_ns)
        return since >= SPAN_NS or since < -SPAN_NS

    cdef void settle(self, sighting *x, const connection *row) noexcept nogil:
        """What followed is known now. `row` may be NULL where nothing did."""
        cdef const side *me
        cdef const side *peer
        x.settled = True
        if row == NULL:
            return
        me = &row.sides[x.side]
        peer = &row.sides[1 - x.side]
        x.sender_went_on = me.went_on - x.connection.sides[x.side].went_on
        x.receiver_went_on = peer.packets - x.connection.sides[1 - x.side].packets
        x.sender_resets = me.resets - x.connection.sides[x.side].resets - 1 if me.resets > x.connection.sides[x.side].resets else 0
        x.receiver_resets = peer.resets - x.connection.sides[1 - x.side].resets
        judge_later(x, row)

    cdef void settle_all(self, const connection *row) noexcept nogil:
        """The connection is about to be forgotten."""
        cdef sighting *x = self.at(row.waiting)
        while x != NULL:
            if not x.settled:
                self.settle(x, row)
            x = self.at(x.previous)
