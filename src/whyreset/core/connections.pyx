# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The connections that are remembered: a hash table that begins small, grows while that is worth it, and is bounded.

Buckets of eight; their tags and times fill one cache line. Where a bucket is full, the connection goes whose age, measured
by what its kind is worth remembering, is greatest: a refused attempt for seconds, one that is over for as long as late
segments of it may come, an open one for an hour. Only when all eight are worth keeping does the table grow. The hash is
seeded, so that nobody can aim at one bucket. What had to be forgotten is counted and noted in a Bloom filter, so that a
connection that comes back is said to be one whose state may have been lost.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.octets cimport prefetch

import os

cdef extern from "<sys/mman.h>" nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    """
    enum: PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MREMAP_MAYMOVE
    void *mmap(void *, size_t, int, int, int, long)
    void *mremap(void *, size_t, size_t, int)
    int munmap(void *, size_t)

cdef extern from * nogil:
    """
    static inline uint64_t whyreset_fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t fold "whyreset_fold"(uint64_t, uint64_t)

cdef enum:
    WAYS = 8
    FIRST_BUCKETS = 512
    FILTER_WORDS = 1 << 14      # 1 Mbit
    HOUR = 16 * 3600            # in units of a mark

#: how often a kind's lifetime goes into an hour: refused 3 s, unanswered 10 s, ended 60 s (as long as Linux's
#: TIME-WAIT), open 1 h; in the order of `lifetime`
cdef uint32_t[4] SHORTER = [1200, 360, 60, 1]


cdef class Connections:
    """Room for `capacity` connections at most (rounded up to a power of two)."""

    def __cinit__(self, uint64_t capacity=1 << 18):
        self.most = 1
        while self.most * WAYS < capacity:
            self.most *= 2
        self.mask = min(self.most, <uint64_t>FIRST_BUCKETS) - 1
        self.forgotten = <uint64_t *>calloc(FILTER_WORDS, sizeof(uint64_t))
        self.buckets = <bucket *>mmap(NULL, (self.mask + 1) * sizeof(bucket), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        self.rows = <connection *>mmap(NULL, (self.mask + 1) * WAYS * sizeof(connection), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if self.forgotten == NULL or <void *>self.buckets == <void *>-1 or <void *>self.rows == <void *>-1:
            raise MemoryError
        self.seeds[0] = int.from_bytes(os.urandom(8), "little") | 1
        self.seeds[1] = int.from_bytes(os.urandom(8), "little") | 1

    def __dealloc__(self):
        free(self.forgotten)
        if self.buckets != NULL and <void *>self.buckets != <void *>-1:
            munmap(self.buckets, (self.mask + 1) * sizeof(bucket))
        if self.rows != NULL and <void *>self.rows != <void *>-1:
            munmap(self.rows, (self.mask + 1) * WAYS * sizeof(connection))

    @property
    def capacity(self):
        """How many there is room for now."""
        return (self.mask + 1) * WAYS

    cdef uint64_t hash(self, const uint64_t *ends, uint32_t ports, uint32_t network) noexcept nogil:
        # the folded multiplication of wyhash; the halves of each product are secret
        cdef uint64_t state = fold(ends[0] ^ self.seeds[0], ends[1] ^ self.seeds[1])
        state ^= fold(ends[2] ^ self.seeds[1] ^ 0x9E3779B97F4A7C15ULL, ends[3] ^ self.seeds[0])
        return fold(state ^ ports ^ <uint64_t>network << 32, 0xD6E8FEB86659FD93ULL ^ self.seeds[0])

    cdef void fetch(self, uint64_t hash) noexcept nogil:
        """Has the processor load the bucket that will be looked at."""
        prefetch(&self.buckets[hash & self.mask])

    cdef void fetch_row(self, uint64_t hash) noexcept nogil:
        """Has the processor load the row that will be looked at."""
        cdef uint64_t at = hash & self.mask
        cdef uint32_t tag = <uint32_t>(hash >> 32) | 1
        cdef char *row
        cdef int i
        for i in range(WAYS):
            if self.buckets[at].tags[i] == tag:
                row = <char *>&self.rows[at * WAYS + i]
                prefetch(row)
                prefetch(row + 64)
                prefetch(row + 128)
                prefetch(row + 192)
                prefetch(row + 256)
                return

    cdef connection *find(self, const uint64_t *ends, uint32_t ports, uint32_t network, uint64_t hash) noexcept nogil:
        """The connection between these ends; NULL where it is not remembered."""
        cdef uint64_t at = hash & self.mask
        cdef uint32_t tag = <uint32_t>(hash >> 32) | 1
        cdef connection *row
        cdef int i
        for i in range(WAYS):
            if self.buckets[at].tags[i] == tag:
                row = &self.rows[at * WAYS + i]
                if row.ports == ports and row.network == network and memcmp(row.ends, ends, 32) == 0:
                    return row
        return NULL

    cdef connection *vacate(self, uint64_t hash, uint64_t time_ns) noexcept nogil:
        """A place for a new connection; who had it is still in it (`number` is 0 where nobody had)."""
        cdef uint32_t now = <uint32_t>(time_ns >> 26)      # about 1/16 s (67 ms)
        cdef uint32_t tag = <uint32_t>(hash >> 32) | 1
        cdef uint64_t at, score, worst
        cdef int32_t age
        cdef int i, victim
        cdef bucket *b
        cdef connection *row
        while True:
            at = hash & self.mask
            b = &self.buckets[at]
            victim = 0
            worst = 0
            for i in range(WAYS):
                if b.tags[i] == 0:
                    b.tags[i] = tag
                    row = &self.rows[at * WAYS + i]
                    row.number = 0
                    return row
                age = <int32_t>((now << 2) - (b.marks[i] & <uint32_t>~3)) >> 2
                score = <uint64_t>(age if age > 0 else 0) * SHORTER[b.marks[i] & 3]
                if score >= worst:
                    worst = score
                    victim = i
            if worst >= HOUR or not self.grow():
                break
        row = &self.rows[at * WAYS + victim]
        if b.marks[victim] & 3 == OPEN:
            self.evicted_open += 1
            self.forget(self.hash(row.ends, row.ports, row.network))
        elif worst < HOUR:
            if b.marks[victim] & 3 == ENDED:
                self.evicted_ended += 1
            else:
                self.evicted_unanswered += 1
            self.forget(self.hash(row.ends, row.ports, row.network))
        b.tags[victim] = tag
        return row

    cdef void mark(self, const connection *row, uint64_t hash, uint64_t time_ns, int lifetime) noexcept nogil:
        """Notes that it was touched, and what it is worth."""
        self.buckets[hash & self.mask].marks[(row - self.rows) & (WAYS - 1)] = <uint32_t>(time_ns >> 26) << 2 | lifetime

    cdef bint grow(self) noexcept nogil:
        """Doubles the table: one more bit of the hash sends each connection to its bucket or to that one's twin."""
        cdef uint64_t old = self.mask + 1, at
        cdef connection *row
        cdef void *grown
        cdef int i
        if old >= self.most:
            return False
        grown = mremap(self.rows, old * WAYS * sizeof(connection), 2 * old * WAYS * sizeof(connection), MREMAP_MAYMOVE)
        if grown == <void *>-1:
            self.most = old     # there is no more memory
            return False
        self.rows = <connection *>grown
        grown = mremap(self.buckets, old * sizeof(bucket), 2 * old * sizeof(bucket), MREMAP_MAYMOVE)
        if grown == <void *>-1:
            self.most = old
            mremap(self.rows, 2 * old * WAYS * sizeof(connection), old * WAYS * sizeof(connection), 0)
            return False
        self.buckets = <bucket *>grown
        for at in range(old):
            for i in range(WAYS):
                row = &self.rows[at * WAYS + i]
                if self.buckets[at].tags[i] and self.hash(row.ends, row.ports, row.network) & old:
                    self.buckets[at + old].tags[i] = self.buckets[at].tags[i]
                    self.buckets[at + old].marks[i] = self.buckets[at].marks[i]
                    memcpy(&self.rows[(at + old) * WAYS + i], row, sizeof(connection))
                    self.buckets[at].tags[i] = 0
        self.mask = 2 * old - 1
        return True

    cdef void forget(self, uint64_t hash) noexcept nogil:
        cdef uint32_t first = <uint32_t>(hash >> 20), second = <uint32_t>(hash >> 40)
        self.forgotten[(first >> 6) & (FILTER_WORDS - 1)] |= <uint64_t>1 << (first & 63)
        self.forgotten[(second >> 6) & (FILTER_WORDS - 1)] |= <uint64_t>1 << (second & 63)

    cdef bint was_forgotten(self, uint64_t hash) noexcept nogil:
        """Whether it is one that was forgotten; now and then True of another."""
        cdef uint32_t first = <uint32_t>(hash >> 20), second = <uint32_t>(hash >> 40)
        return (self.forgotten[(first >> 6) & (FILTER_WORDS - 1)] >> (first & 63) & 1
                and self.forgotten[(second >> 6) & (FILTER_WORDS - 1)] >> (second & 63) & 1)
