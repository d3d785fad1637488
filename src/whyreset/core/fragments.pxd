from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.dissect cimport dissection

cdef enum:
    HEAD = 512              # bytes kept of a datagram: its headers, and what a reset may say
    UNIT_WORDS = 128        # bits for the units of 8 bytes in the longest datagram

cdef struct datagram:
    uint8_t src[16]
    uint8_t dst[16]
    uint32_t id
    uint16_t vlan
    uint8_t protocol
    uint8_t family
    bint ended              # the last piece came
    uint32_t total          # bytes, once that is known
    uint32_t units          # how many units came
    uint8_t head[HEAD]
    uint64_t came[UNIT_WORDS]

cdef class Fragments:
    cdef uint32_t room
    cdef datagram *rows
    cdef uint32_t *tags
    cdef uint64_t *touched      # which piece came last; 0: free
    cdef uint64_t pieces
    cdef readonly uint64_t forgotten
    cdef uint8_t whole[HEAD]
    cdef int add(self, dissection *d, uint32_t id, uint8_t protocol, uint32_t offset, bint more) noexcept nogil
    cdef uint32_t find(self, const dissection *d, uint32_t id, uint8_t protocol) noexcept nogil
