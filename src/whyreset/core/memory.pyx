# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The memory of closed connections: what each four-tuple last was, in a table that never grows.

Buckets of eight; a full bucket forgets the connection that closed first. The hash is seeded, so that a peer who chooses
ports cannot aim at one bucket.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from whyreset.core.attempts cimport Attempts
from whyreset.core.events cimport ACTIVE_OPEN, EXITING, FIN_RECEIVED, close_event, reset_event

import os

cdef enum:
    WAYS = 8


cdef inline uint64_t mix(uint64_t state, uint64_t word) noexcept nogil:
    # the multiply-xorshift step of splitmix64
    state = (state ^ word) * 0x9E3779B97F4A7C15ULL
    return state ^ (state >> 29)


cdef uint64_t hash_tuple(uint64_t seed, uint64_t netns, const uint8_t *local, const uint8_t *remote, uint16_t local_port, uint16_t remote_port) noexcept nogil:
    cdef uint64_t words[4]
    memcpy(words, local, 16)
    memcpy(&words[2], remote, 16)
    cdef uint64_t state = mix(seed, netns)
    state = mix(state, words[0])
    state = mix(state, words[1])
    state = mix(state, words[2])
    state = mix(state, words[3])
    return mix(state, <uint64_t>local_port << 16 | remote_port)


cdef void recall(reset_event *e, const closed *row) noexcept nogil:
    """The socket is gone: what it knew comes from the memory."""
    e.opened_ns = row.event.opened_ns
    e.owner_pid = row.event.owner_pid
    e.owner_start_ns = row.event.owner_start_ns
    e.owner_via = row.event.owner_via
    e.bytes_in = row.event.bytes_in
    e.bytes_out = row.event.bytes_out
    e.snd_nxt = row.event.snd_nxt
    e.rcv_nxt = row.event.rcv_nxt
    e.srtt_us = row.event.srtt_us
    e.idle_jiffies = row.event.idle_jiffies
    e.unread = 0
    e.flags |= row.event.flags & (ACTIVE_OPEN | FIN_RECEIVED | EXITING)
    e.exit_code = row.event.exit_code


cdef inline uint64_t bucket_of(uint64_t h, uint64_t buckets) noexcept nogil:
    # the lower half of the hash as a fraction of all buckets (Lemire, «Fast random integer generation in an interval»);
    # the upper half is the tag
    return (h & 0xFFFFFFFFU) * buckets >> 32


cdef class Memory:
    """Room for `capacity` closed connections (rounded up to whole buckets), of 140 bytes each, at most 2**32 buckets.

    `attempts` has those never answered.
    """

    def __cinit__(self, size_t capacity=49152):
        self.buckets = (capacity + WAYS - 1) // WAYS or 1
        self.rows = <closed *>calloc(self.buckets * WAYS, sizeof(closed))
        self.tags = <uint32_t *>calloc(self.buckets * WAYS, sizeof(uint32_t))
        if self.rows == NULL or self.tags == NULL:
            raise MemoryError
        self.attempts = Attempts()
        self.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        free(self.rows)
        free(self.tags)

    @property
    def capacity(self):
        return self.buckets * WAYS

    cdef closed *find(self, uint64_t netns, const uint8_t *local, const uint8_t *remote, uint16_t local_port, uint16_t remote_port) noexcept nogil:
        """The connection that this four-tuple last was; NULL if it is not remembered."""
        cdef uint64_t h = hash_tuple(self.seed, netns, local, remote, local_port, remote_port)
        cdef uint64_t base = bucket_of(h, self.buckets) * WAYS
        cdef uint32_t tag = <uint32_t>(h >> 32) | 1
        cdef closed *row
        cdef int i
        for i in range(WAYS):
            if self.tags[base + i] != tag:
                continue
            row = &self.rows[base + i]
            if (row.event.local_port == local_port and row.event.remote_port == remote_port and row.event.netns_cookie == netns
                    and memcmp(row.event.local, local, 16) == 0 and memcmp(row.event.remote, remote, 16) == 0):
                return row
        return NULL

    cdef void add(self, const close_event *event) noexcept nogil:
        cdef closed *row = self.find(event.netns_cookie, event.local, event.remote, event.local_port, event.remote_port)
        cdef uint64_t h, base, oldest
        cdef int i
        if row == NULL:
            h = hash_tuple(self.seed, event.netns_cookie, event.local, event.remote, event.local_port, event.remote_port)
            base = bucket_of(h, self.buckets) * WAYS
            oldest = base
            for i in range(WAYS):
                if self.tags[base + i] == 0:
                    oldest = base + i
                    self.held += 1
                    break
                if self.rows[base + i].event.time_ns < self.rows[oldest].event.time_ns:
                    oldest = base + i
            else:
                self.forgotten += 1
            row = &self.rows[oldest]
            self.tags[oldest] = <uint32_t>(h >> 32) | 1
        self.attempts.add(event)
        row.event = event[0]
        row.reset_ns = 0
