# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Datagrams in pieces (RFC 791 section 3.2, RFC 8200 section 4.5): of each only what came and how it begins is kept.

A datagram is given out with the piece that completes it, whatever the order: that is the frame in which Wireshark shows
it. What is never completed is forgotten for the sake of others, the longest untouched first.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *


cdef class Fragments:
    """Room for `room` incomplete datagrams."""

    def __cinit__(self, uint32_t room=512):
        self.room = room
        self.rows = <datagram *>calloc(room, sizeof(datagram))
        self.tags = <uint32_t *>calloc(room, sizeof(uint32_t))
        self.touched = <uint64_t *>calloc(room, sizeof(uint64_t))
        if self.rows == NULL or self.tags == NULL or self.touched == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.rows)
        free(self.tags)
        free(self.touched)

    cdef uint32_t find(self, const dissection *d, uint32_t id, uint8_t protocol) noexcept nogil:
        """The place of a datagram; a fresh one where this is the first piece that comes."""
        cdef uint32_t words[4]
        # as Wireshark: tags tell datagrams of IPv4 apart
        cdef uint16_t vlan = d.vlan if d.family == 4 else 0
        cdef uint32_t i, tag, oldest = 0
        cdef datagram *row
        memcpy(words, d.src, 16)
        tag = (id * 0x9E3779B1U ^ words[0] ^ words[3] * 0x85EBCA6BU) * 0xC2B2AE35U
        for i in range(self.room):
            if self.tags[i] != tag or not self.touched[i]:
                continue
            row = &self.rows[i]
            if (row.id == id and row.protocol == protocol and row.family == d.family and row.vlan == vlan
                    and memcmp(row.src, d.src, 16) == 0 and memcmp(row.dst, d.dst, 16) == 0):
                return i
        for i in range(self.room):
            if self.touched[i] < self.touched[oldest]:
                oldest = i
        if self.touched[oldest]:
            self.forgotten += 1
        self.tags[oldest] = tag
        row = &self.rows[oldest]
        memset(row, 0, sizeof(datagram))
        row.id = id
        row.protocol = protocol
        row.family = d.family
        row.vlan = vlan
        memcpy(row.src, d.src, 16)
        memcpy(row.dst, d.dst, 16)
        return oldest

    cdef int add(self, dissection *d, uint32_t id, uint8_t protocol, uint32_t offset, bint more) noexcept nogil:
        """One piece, all of it captured; `rest` becomes the beginning of the datagram when this completes it."""
        cdef uint32_t size = d.rest.reported
        cdef uint32_t end = offset + size
        cdef uint32_t unit, at
        cdef datagram *row
        if end > 65535 or (more and size & 7):
            return MALFORMED
        at = self.find(d, id, protocol)
        row = &self.rows[at]
        self.pieces += 1
        self.touched[at] = self.pieces
        if not more:
            if row.ended and row.total != end:
                return MALFORMED
            row.ended = True
            row.total = end
        for unit in range(offset >> 3, (end + 7) >> 3):
            if row.came[unit >> 6] >> (unit & 63) & 1:
                continue
            row.came[unit >> 6] |= <uint64_t>1 << (unit & 63)
            row.units += 1
            if unit < HEAD >> 3:
                copy(&d.rest, (unit << 3) - offset, &row.head[unit << 3], min(end - (unit << 3), <uint32_t>8))
        if not row.ended or row.units < (row.total + 7) >> 3:
            return FRAGMENT
        self.touched[at] = 0
        memcpy(self.whole, row.head, HEAD)
        d.rest.at = self.whole
        d.rest.reported = row.total
        d.rest.length = min(row.total, <uint32_t>HEAD)
        d.was_in_pieces = True
        return ONWARD
