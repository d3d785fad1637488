# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The connections that are remembered: as many as are worth it, up to a bound.

Rows are taken one after the other, so that few connections need little memory; a hash table of half-filled slots finds
them. A row is used again once its connection is over for so long that nothing of it can come any more. Where the bound
is reached, the connection goes that is worth least (refused, never answered, over, open), and of those the one that was
longest silent: so a scan or a flood pushes no open connection out. What was forgotten before its time is counted and
noted in a Bloom filter: a connection that comes back is said to be one whose state may have been lost.

The hash is seeded, so that nobody can aim at one place of the table.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from whyreset.core.octets cimport prefetch

import os

cdef extern from "<sys/mman.h>" nogil:
    enum: PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE
    void *mmap(void *, size_t, int, int, int, long)
    int munmap(void *, size_t)
    int madvise(void *, size_t, int)

cdef enum:
    FIRST_SLOTS = 1024
    # with so many slots on, rows and slots lie in large pages: what is looked up at random is found twice as fast
    HUGE_SLOTS = 1 << 14
    FILTER_WORDS = 1 << 14      # 1 Mbit
    TRIES = 8

#: For how long something may still come of a connection that is over: of a refused attempt, one that nobody answered,
#: one that ended (as long as Linux's TIME-WAIT).
cdef uint64_t[3] LIFETIME_NS = [3000000000, 10000000000, 60000000000]


cdef void *pages(size_t size) noexcept nogil:
    """Memory that is only taken once it is written to, all zeros; NULL where there is none."""
    cdef void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    return NULL if found == <void *>-1 else found


cdef inline uint64_t touched(const connection *row) noexcept nogil:
    """When anything was last seen of it."""
    return max(max(row.sides[0].last.time_ns, row.sides[1].last.time_ns), row.reset_ns)


cdef class Connections:
    """Room for `capacity` connections."""

    def __cinit__(self, uint32_t capacity=1 << 18):
        self.capacity = max(capacity, <uint32_t>1)
        self.mask = FIRST_SLOTS - 1
        self.slots = <slot *>pages(FIRST_SLOTS * sizeof(slot))
        self.forgotten = <uint64_t *>calloc(FILTER_WORDS, sizeof(uint64_t))
        # numbered from 1
        self.rows = <connection *>pages((<size_t>self.capacity + 1) * sizeof(connection))
        self.links = <link *>pages((<size_t>self.capacity + 1) * sizeof(link))
        if self.slots == NULL or self.forgotten == NULL or self.rows == NULL or self.links == NULL:
            raise MemoryError
        self.seeds[0] = int.from_bytes(os.urandom(8), "little") | 1
        self.seeds[1] = int.from_bytes(os.urandom(8), "little") | 1

    def __dealloc__(self):
        free(self.forgotten)
        if self.slots != NULL:
            munmap(self.slots, (<size_t>self.mask + 1) * sizeof(slot))
        if self.rows != NULL:
            munmap(self.rows, (<size_t>self.capacity + 1) * sizeof(connection))
        if self.links != NULL:
            munmap(self.links, (<size_t>self.capacity + 1) * sizeof(link))

    cdef connection *vacate(self, uint64_t hash, uint64_t time_ns) noexcept nogil:
        """A place for a new connection; who had it is still in it (`number` is 0 where nobody had)."""
        cdef uint32_t row = self.expired(time_ns), at
        cdef uint8_t kind = UNANSWERED
        if row == 0 and self.used < self.capacity and (2 * (self.used + 1) <= self.mask or self.grow()):
            self.used += 1
            row = self.used
        else:
            if row == 0:
                row = self.victim()
                self.evicted[self.rows[row].kind] += 1
                self.forget(self.rows[row].hash)
            kind = self.rows[row].kind
            self.unlink(row, kind)
            self.remove(row)
        at = <uint32_t>hash & self.mask
        while self.slots[at].row:
            at = (at + 1) & self.mask
        self.slots[at].row = row
        self.slots[at].hash = <uint32_t>hash
        self.append(row, UNANSWERED)
        return &self.rows[row]

    cdef void become(self, connection *row, uint8_t kind) noexcept nogil:
        """Notes what it is worth from now on."""
        cdef uint32_t number = <uint32_t>(row - self.rows)
        self.unlink(number, row.kind)
        self.append(number, kind)
        row.kind = kind

    cdef uint32_t expired(self, uint64_t time_ns) noexcept nogil:
        """A connection of which nothing can come any more; 0 where there is none."""
        cdef uint32_t row
        cdef uint64_t last
        cdef int kind, i
        for kind in range(<int>OPEN):
            # nobody looks at rows that have left the processor's cache before one of them can have expired
            if time_ns <= self.not_before[kind]:
                continue
            for i in range(TRIES):
                row = self.first[kind]
                if row == 0:
                    break
                last = touched(&self.rows[row])
                if time_ns > last and time_ns - last > LIFETIME_NS[kind]:
                    self.fetch(self.links[row].after)
                    return row
                if row == self.last[kind] or last <= touched(&self.rows[self.links[row].after]):
                    # all behind it were touched later, unless the clock goes backwards
                    self.not_before[kind] = min(last, time_ns) + LIFETIME_NS[kind]
                    break
                # it was heard of again since it stands in line
                self.unlink(row, kind)
                self.append(row, kind)
        return 0

    cdef void fetch(self, uint32_t row) noexcept nogil:
        """Has the processor load a row that will be used anew."""
        cdef int i
        for i in range(<int>sizeof(connection) // 64):
            prefetch(<char *>&self.rows[row] + 64 * i)
        prefetch(&self.slots[self.rows[row].hash & self.mask])

    cdef uint32_t victim(self) noexcept nogil:
        """The connection that is worth least."""
        cdef uint32_t row = 0
        cdef int kind, i
        for kind in range(<int>KINDS):
            for i in range(TRIES):
                row = self.first[kind]
                if row == 0 or row == self.last[kind] or touched(&self.rows[row]) <= touched(&self.rows[self.links[row].after]):
                    break
                self.unlink(row, kind)
                self.append(row, kind)
            if row:
                return self.first[kind]
        return row

    cdef void append(self, uint32_t row, uint8_t kind) noexcept nogil:
        self.links[row].before = self.last[kind]
        self.links[row].after = 0
        if self.last[kind]:
            self.links[self.last[kind]].after = row
        else:
            self.first[kind] = row
        self.last[kind] = row

    cdef void unlink(self, uint32_t row, uint8_t kind) noexcept nogil:
        cdef link *l = &self.links[row]
        if l.before:
            self.links[l.before].after = l.after
        else:
            self.first[kind] = l.after
        if l.after:
            self.links[l.after].before = l.before
        else:
            self.last[kind] = l.before

    cdef void remove(self, uint32_t row) noexcept nogil:
        """Takes it out of the table; those behind it that were pushed on move back (Knuth, algorithm 6.4R)."""
        cdef uint32_t at = self.rows[row].hash & self.mask, next, home
        while self.slots[at].row != row:
            at = (at + 1) & self.mask
        next = at
        while True:
            next = (next + 1) & self.mask
            if self.slots[next].row == 0:
                break
            home = self.slots[next].hash & self.mask
            # it may move to `at` unless its own place lies between
            if (next - home & self.mask) >= (next - at & self.mask):
                self.slots[at] = self.slots[next]
                at = next
        self.slots[at].row = 0

    cdef bint grow(self) noexcept nogil:
        """Twice as many slots."""
        cdef uint32_t mask = 2 * self.mask + 1, at, i
        cdef size_t size = (<size_t>mask + 1) * sizeof(slot)
        cdef slot *grown = <slot *>pages(size)
        if grown == NULL:
            return False
        if mask >= HUGE_SLOTS:
            madvise(grown, size, MADV_HUGEPAGE)
            madvise(self.rows, (<size_t>self.capacity + 1) * sizeof(connection), MADV_HUGEPAGE)
            madvise(self.links, (<size_t>self.capacity + 1) * sizeof(link), MADV_HUGEPAGE)
        for i in range(self.mask + 1):
            if self.slots[i].row:
                at = self.slots[i].hash & mask
                while grown[at].row:
                    at = (at + 1) & mask
                grown[at] = self.slots[i]
        munmap(self.slots, (<size_t>self.mask + 1) * sizeof(slot))
        self.slots = grown
        self.mask = mask
        return True

    cdef void forget(self, uint32_t hash) noexcept nogil:
        cdef uint32_t first = hash & 0xFFFFF, second = hash * 0x9E3779B1U >> 12
        self.forgotten[first >> 6] |= <uint64_t>1 << (first & 63)
        self.forgotten[second >> 6] |= <uint64_t>1 << (second & 63)

    cdef bint was_forgotten(self, uint64_t hash) noexcept nogil:
        """Whether it is one that was forgotten; now and then True of another."""
        cdef uint32_t first = <uint32_t>hash & 0xFFFFF, second = <uint32_t>hash * 0x9E3779B1U >> 12
        return self.forgotten[first >> 6] >> (first & 63) & 1 and self.forgotten[second >> 6] >> (second & 63) & 1
