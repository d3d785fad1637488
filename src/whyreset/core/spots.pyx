# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Resets that are remembered for a while, found by what is the same of one wherever it is seen.

They lie in a ring, the oldest first; three hash tables of places lead to them. All of it is one mapping of its own,
which doubles up to the bound: memory from the heap would keep what each doubling leaves behind.
"""

import os

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memset

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void *MAP_FAILED

cdef enum:
    FIRST = 1024
    LOOK = 64           # so many with one hash are looked at

cdef size_t EACH = sizeof(spot) + 3 * sizeof(uint32_t)


cdef class Spots:
    """See spots.pxd.

    Args:
        most: so many at most, a power of two.
    """

    def __cinit__(self, uint32_t most):
        if most < FIRST or most & (most - 1):
            raise ValueError("limits out of range")
        self.most = most
        self.tail = self.following = 1
        self.seeds[0] = int.from_bytes(os.urandom(8), "little")
        self.seeds[1] = int.from_bytes(os.urandom(8), "little")
        if not self.map(FIRST):
            raise MemoryError

    def __dealloc__(self):
        if self.spots != NULL:
            munmap(self.spots, self.size * EACH)

    cdef bint map(self, uint32_t size) noexcept nogil:
        """Memory for so many, empty."""
        cdef void *found = mmap(NULL, size * EACH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if found == MAP_FAILED:
            return False
        self.spots = <spot *>found
        self.same = <uint32_t *>(self.spots + size)
        self.ends = self.same + size
        self.numbers = self.ends + size
        self.size = size
        return True

    cdef spot *at(self, uint32_t place) noexcept nogil:
        """By its place; NULL where it is not remembered any more."""
        if place == 0 or place - self.tail >= self.following - self.tail:
            return NULL
        return &self.spots[place & (self.size - 1)]

    cdef spot *find_same(self, const identity *who) noexcept nogil:
        """The reset with the same ends and numbers."""
        cdef spot *x = self.at(self.same[hash_words(who, 6, self.seeds[0]) & (self.size - 1)])
        cdef int i
        for i in range(LOOK):
            if x == NULL or memcmp(&x.who, who, sizeof(identity)) == 0:
                return x
            x = self.at(x.next_same)
        return NULL

    cdef spot *first_between(self, const identity *who) noexcept nogil:
        """The latest between the same ends, whatever its numbers."""
        cdef spot *x = self.at(self.ends[hash_ends_of(who, self.seeds[1]) & (self.size - 1)])
        if x != NULL and (memcmp(&x.who, who, 36) or x.who.family != who.family):
            return self.next_between(x, who)
        return x

    cdef spot *next_between(self, const spot *x, const identity *who) noexcept nogil:
        """The one before it."""
        cdef spot *y = self.at(x.next_ends)
        cdef int i
        for i in range(LOOK):
            if y == NULL or (memcmp(&y.who, who, 36) == 0 and y.who.family == who.family):
                return y
            y = self.at(y.next_ends)
        return NULL

    cdef spot *first_numbered(self, const identity *who) noexcept nogil:
        """The latest that may have the same numbers and receiver; the ones before it by `next_numbers`."""
        return self.at(self.numbers[hash_numbers_of(who, self.seeds[0]) & (self.size - 1)])

    cdef bint has_room(self) noexcept nogil:
        """Whether one more fits without one being forgotten; twice as many from now on, up to the bound."""
        cdef spot *before = self.spots
        cdef uint32_t size = self.size, place
        if self.following - self.tail < size:
            return True
        if size >= self.most:
            return False
        if not self.map(2 * size):
            self.most = size
            return False
        for place in range(self.tail, self.following):
            self.spots[place & (self.size - 1)] = before[place & (size - 1)]
            self.index(place)
        munmap(before, size * EACH)
        return True

    cdef spot *add(self, const identity *who, uint64_t now_ns) noexcept nogil:
        """One more, where there is room. It may move them all. NULL: all were forgotten instead."""
        cdef uint32_t place = self.following
        cdef spot *x
        self.following += 1
        if self.following == 0:     # after four billion: no place is 0
            self.tail = self.following = 1
            memset(self.same, 0, 3 * self.size * sizeof(uint32_t))
            return NULL
        x = &self.spots[place & (self.size - 1)]
        memset(x, 0, sizeof(spot))
        x.who = who[0]
        x.seen_ns = now_ns
        x.ring = NO_RING
        self.index(place)
        return x

    cdef void index(self, uint32_t place) noexcept nogil:
        cdef spot *x = &self.spots[place & (self.size - 1)]
        cdef uint32_t *first = &self.same[hash_words(&x.who, 6, self.seeds[0]) & (self.size - 1)]
        x.next_same = first[0]
        first[0] = place
        first = &self.ends[hash_ends_of(&x.who, self.seeds[1]) & (self.size - 1)]
        x.next_ends = first[0]
        first[0] = place
        first = &self.numbers[hash_numbers_of(&x.who, self.seeds[0]) & (self.size - 1)]
        x.next_numbers = first[0]
        first[0] = place


cdef inline uint64_t hash_ends_of(const identity *who, uint64_t seed) noexcept nogil:
    return fold(hash_words(who.src, 4, seed) ^ <uint64_t>who.sport << 32 ^ who.dport, 0xD6E8FEB86659FD93ULL)


cdef inline uint64_t hash_numbers_of(const identity *who, uint64_t seed) noexcept nogil:
    cdef uint64_t state = hash_words(who.dst, 2, seed ^ 0x5851F42D4C957F2DULL)
    return fold(state ^ <uint64_t>who.seq << 32 ^ who.ack ^ <uint64_t>who.dport << 24, 0xD6E8FEB86659FD93ULL)
