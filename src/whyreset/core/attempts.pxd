from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from whyreset.core.events cimport close_event

cdef struct attempt:
    uint64_t netns_cookie
    uint64_t owner_start_ns
    uint64_t count
    uint64_t shortest_ns
    uint64_t longest_ns
    uint64_t first_ns
    uint64_t last_ns
    uint32_t owner_pid
    uint16_t port
    uint8_t family
    uint8_t remote[16]

cdef class Attempts:
    cdef attempt *rows
    cdef int used
    cdef int room
    cdef readonly uint64_t beyond
    cdef void add(self, const close_event *event) noexcept nogil
    cdef str address(self, const attempt *row)
