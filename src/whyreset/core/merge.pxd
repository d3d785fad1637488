"""Resets on the wire, joined with what the kernel told of them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.connections cimport segment
from whyreset.core.events cimport reset_event
from whyreset.core.table cimport Table
from whyreset.core.values cimport Values

cdef enum:
    MOST_RINGS = 16
    NO_RING = 0xFF

cdef struct identity:       # what is the same of one reset wherever it is seen, address translation apart; no padding
    uint8_t src[16]
    uint8_t dst[16]
    uint32_t seq
    uint32_t ack            # 0 without ACK
    uint16_t sport
    uint16_t dport
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
    uint32_t next_same      # earlier ones with the same hash, by their places
    uint32_t next_ends
    uint32_t next_numbers

cdef struct interface_name:
    uint32_t ifindex
    uint8_t ring
    char name[16]

cdef class Merge:
    cdef spot *spots
    cdef uint32_t *same         # the latest place by hash: of all, of both ends, of numbers and receiver
    cdef uint32_t *ends
    cdef uint32_t *numbers
    cdef uint32_t size, most
    cdef uint32_t tail          # the place remembered longest; places are counted from 1
    cdef uint32_t judged        # the place to be judged next
    cdef uint32_t following     # the place after the latest
    cdef uint64_t seeds[2]
    cdef uint64_t now_ns
    cdef list namers
    cdef uint64_t cookies[MOST_RINGS]
    cdef uint32_t inodes[MOST_RINGS]
    cdef uint64_t off_wire[MOST_RINGS]
    cdef readonly uint64_t undecided
    cdef readonly uint64_t past_stack
    cdef readonly uint64_t related
    cdef interface_name names[256]
    cdef Table table
    cdef Values values
    cdef uint64_t number
    cdef void sight(self, uint8_t ring, const segment *s, uint32_t ifindex, bint outgoing, uint64_t time_ns) noexcept nogil
    cdef bint told(self, const reset_event *e, char *interface) noexcept nogil
    cdef spot *at(self, uint32_t place) noexcept nogil
    cdef spot *find_same(self, const identity *who) noexcept nogil
    cdef spot *find_ends(self, const identity *who, bint shown) noexcept nogil
    cdef spot *open(self, const identity *who) noexcept nogil
    cdef void index(self, uint32_t place) noexcept nogil
    cdef bint make_room(self) noexcept nogil
    cdef void judge_one(self, spot *x, uint64_t epoch_ns, bint doubtful) noexcept nogil
    cdef int original_of(self, const spot *x) noexcept nogil
    cdef void group(self, const spot *x, uint64_t epoch_ns) noexcept nogil
    cdef void name(self, uint8_t ring, uint32_t ifindex, char *into) noexcept nogil
    cdef int learn(self, interface_name *into, uint8_t ring, uint32_t ifindex) except -1
