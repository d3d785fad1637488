from libc.stdint cimport uint8_t, uint32_t, uint64_t

from whyreset.core.connections cimport segment
from whyreset.core.dissect cimport MOST_TUNNELS, OUTCOMES, dissection, tunnel
from whyreset.core.formats cimport record
from whyreset.core.fragments cimport Fragments
from whyreset.core.octets cimport octets

cdef enum:
    BATCH = 32

cdef class Packets:
    cdef Fragments fragments
    cdef dissection d
    cdef const record *packet
    cdef uint32_t frame
    cdef segment batch[BATCH]
    cdef tunnel tunnels[BATCH][MOST_TUNNELS]
    cdef int batched
    cdef uint64_t segments
    cdef uint64_t skipped[OUTCOMES]
    cdef bint take(self, const record *packet, uint32_t frame) noexcept nogil
    cdef bint take_next(self) noexcept nogil
    cdef bint take_plain(self) noexcept nogil
    cdef int dissect(self) noexcept nogil
    cdef void append(self, const octets *tcp, const uint8_t *src, const uint8_t *dst, uint8_t family, uint8_t ttl) noexcept nogil
