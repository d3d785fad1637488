"""Resets on the wire, joined with what the kernel told of them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.connections cimport segment
from whyreset.core.events cimport reset_event
from whyreset.core.spots cimport Spots, identity, spot
from whyreset.core.table cimport Table
from whyreset.core.values cimport Values

cdef enum:
    MOST_RINGS = 16

cdef struct interface_name:
    uint32_t ifindex
    uint8_t ring
    char name[16]

cdef class Merge:
    cdef Spots spots
    cdef uint32_t judged        # the place to be judged next
    cdef uint32_t asks          # how many translations may still be asked for in this judgement
    cdef uint64_t now_ns
    cdef list namers
    cdef list translators
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
    cdef spot *find_ends(self, const identity *who, bint shown) noexcept nogil
    cdef spot *open(self, const identity *who) noexcept nogil
    cdef void judge_told(self, spot *x, bint doubtful) noexcept nogil
    cdef bint has_translation(self, spot *x, int ring) noexcept nogil
    cdef void judge_shown(self, spot *x, uint64_t epoch_ns, bint doubtful) noexcept nogil
    cdef bint is_tracked(self, const spot *x) noexcept nogil
    cdef bint ask(self, const spot *x, identity *into) noexcept
    cdef int original_of(self, spot *x) noexcept nogil
    cdef bint fits_better(self, const spot *x, const spot *y) noexcept nogil
    cdef void group(self, const spot *x, uint64_t epoch_ns) noexcept nogil
    cdef void name(self, uint8_t ring, uint32_t ifindex, char *into) noexcept nogil
    cdef int learn(self, interface_name *into, uint8_t ring, uint32_t ifindex) except -1
