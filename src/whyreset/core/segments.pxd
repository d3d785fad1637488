"""What turns packets into resets with all that is known about them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.alike cimport Alike
from whyreset.core.connections cimport Connections, connection, segment
from whyreset.core.contacts cimport Contacts
from whyreset.core.formats cimport Names, Walk, record
from whyreset.core.observations cimport Builder
from whyreset.core.octets cimport octets
from whyreset.core.packets cimport Packets
from whyreset.core.steps cimport Steps
from whyreset.core.waiting cimport Waiting

cdef class Analyzer:
    cdef Walk walk
    cdef Names names
    cdef Packets packets
    cdef Connections connections
    cdef Waiting waiting
    cdef readonly Contacts contacts
    cdef Alike alike
    cdef Builder builder
    cdef list bases
    cdef dict extras
    cdef bint each
    cdef list singles
    cdef readonly Steps steps
    cdef uint8_t *carried       # the beginning of a record whose end is in the next block
    cdef uint32_t carried_used
    cdef uint32_t carried_room
    cdef object ended_early
    cdef uint64_t frames        # over all files
    cdef uint64_t bytes
    cdef uint64_t opened, complete, reset
    cdef uint64_t first_ns, last_ns
    cdef int take_block(self, octets *block) noexcept nogil
    cdef bint carry(self, const octets *block, uint32_t size) noexcept nogil
    cdef int take_packets(self, octets *block) noexcept nogil
    cdef bint take_live(self, const record *packet, uint16_t name) noexcept nogil
    cdef void name(self, const record *packet) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void update(self, const segment *s) noexcept nogil
    cdef void take_reset(self, connection *row, const segment *s) noexcept nogil
    cdef void release(self, bint complete) noexcept nogil
