"""Resets that are remembered for a while, found by what is the same of one wherever it is seen."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from whyreset.core.connections cimport fold

cdef enum:
    NO_RING = 0xFF

cdef struct identity:       # what is the same of one reset wherever it is seen, address translation apart; no padding
    uint8_t src[16]
    uint8_t dst[16]
    uint16_t sport
    uint16_t dport
    uint32_t seq
    uint32_t ack            # 0 without ACK
    uint8_t family          # AF_INET or AF_INET6
    uint8_t acks            # it carries ACK
    uint8_t spare[2]

cdef struct spot:           # one reset
    identity who
    uint64_t seen_ns        # CLOCK_BOOTTIME at the visit that brought it
    uint64_t time_ns        # of the packet, since the epoch; 0: not on the wire
    uint64_t cookie         # of the namespace whose kernel told of it
    uint32_t told           # by the kernel so often
    uint32_t shown          # at the first place on the wire so often
    uint32_t ifindex        # the first place
    uint16_t came           # rings, by bit, in which it was incoming
    uint16_t left           # rings, by bit, in which it was outgoing
    uint8_t ring            # of the first place, or NO_RING
    uint8_t came_in         # there it was incoming
    uint8_t claimed         # another one is this one, translated
    uint8_t ttl             # as it came in, where it did; else as it left; 0: not on the wire
    uint32_t next_same      # earlier ones with the same hash, by their places
    uint32_t next_ends
    uint32_t next_numbers

cdef inline uint64_t hash_words(const void *data, int count, uint64_t seed) noexcept nogil:
    cdef uint64_t word
    cdef int i
    for i in range(count):
        memcpy(&word, <const char *>data + 8 * i, 8)
        seed = fold(seed ^ word, 0x9E3779B97F4A7C15ULL)
    return seed

cdef class Spots:
    cdef spot *spots
    cdef uint32_t *same         # the latest place by hash: of all, of both ends, of numbers and receiver
    cdef uint32_t *ends
    cdef uint32_t *numbers
    cdef uint32_t size, most
    cdef uint32_t tail          # the place remembered longest; places are counted from 1
    cdef uint32_t following     # the place after the latest
    cdef uint64_t seeds[2]
    cdef bint map(self, uint32_t size) noexcept nogil
    cdef spot *at(self, uint32_t place) noexcept nogil
    cdef spot *find_same(self, const identity *who) noexcept nogil
    cdef spot *first_between(self, const identity *who) noexcept nogil
    cdef spot *next_between(self, const spot *x, const identity *who) noexcept nogil
    cdef spot *first_numbered(self, const identity *who) noexcept nogil
    cdef bint has_room(self) noexcept nogil
    cdef spot *add(self, const identity *who, uint64_t now_ns) noexcept nogil
    cdef void index(self, uint32_t place) noexcept nogil
