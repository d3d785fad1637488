from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from whyreset.core.attempts cimport Attempts
from whyreset.core.events cimport close_event, reset_event

cdef struct closed:
    close_event event
    uint64_t reset_ns      # when our reset of it was traced; 0: none

cdef uint64_t hash_tuple(uint64_t seed, uint64_t netns, const uint8_t *local, const uint8_t *remote, uint16_t local_port, uint16_t remote_port) noexcept nogil

cdef void recall(reset_event *e, const closed *row) noexcept nogil

cdef class Memory:
    cdef closed *rows
    cdef uint32_t *tags
    cdef uint64_t buckets
    cdef uint64_t seed
    cdef readonly Attempts attempts
    cdef readonly uint64_t held
    cdef readonly uint64_t forgotten
    cdef void add(self, const close_event *event) noexcept nogil
    cdef closed *find(self, uint64_t netns, const uint8_t *local, const uint8_t *remote, uint16_t local_port, uint16_t remote_port) noexcept nogil
