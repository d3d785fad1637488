# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Packets of interfaces -> connections -> resets: what captures give, live.

A packet that passes several interfaces shows on each of them. Only the place where it showed first counts, so that a
copy is not taken for a segment that was sent again.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from whyreset.core.connections cimport fold, hash_ends, segment
from whyreset.core.formats cimport record
from whyreset.core.packets cimport BATCH
from whyreset.core.segments cimport Analyzer
from whyreset.core.taps cimport NO_LINK, OUTGOING, Sink, frame

cdef enum:
    COPIES = 1 << 14        # a power of two; older ones give way
    INTERFACES = 256

#: copies come within this; what is sent again later may take another way
cdef int64_t SPAN_NS = 1000000000

cdef struct copy:
    uint64_t print
    uint64_t time_ns
    uint32_t place          # interface and direction

cdef struct interface:
    uint32_t index
    uint16_t name


cdef class Live(Sink):
    """See live.pyi."""

    cdef Analyzer analyzer
    cdef object names
    cdef copy *copies
    cdef interface interfaces[INTERFACES]
    cdef readonly uint64_t repeated

    def __cinit__(self, Analyzer analyzer not None, names):
        self.analyzer, self.names = analyzer, names
        self.copies = <copy *>calloc(COPIES, sizeof(copy))
        if self.copies == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.copies)

    def forget_names(self):
        """Interfaces may have other names by now."""
        memset(self.interfaces, 0, sizeof(self.interfaces))

    cdef void take(self, const frame *f) noexcept nogil:
        cdef record packet
        if f.link == NO_LINK:
            return
        memset(&packet, 0, sizeof(packet))
        packet.time_ns = f.time_ns
        packet.link = f.link
        packet.packet.at = f.at
        packet.packet.length = f.captured
        packet.packet.reported = f.length
        if not self.analyzer.take_live(&packet, self.name(f.ifindex)):
            return
        if self.is_copy(&self.analyzer.packets.batch[self.analyzer.packets.batched - 1], f):
            self.analyzer.packets.batched -= 1
            self.analyzer.packets.segments -= 1
            self.repeated += 1
        elif self.analyzer.packets.batched == BATCH or self.analyzer.packets.d.was_in_pieces:
            self.analyzer.flush()

    cdef void settle(self) noexcept nogil:
        self.analyzer.flush()

    cdef bint is_copy(self, const segment *s, const frame *f) noexcept nogil:
        """Whether the same segment showed elsewhere before. TTL and link header change on its way, the rest does not."""
        cdef uint64_t print = hash_ends(self.analyzer.connections, s.ends, s.ports, s.network)
        cdef uint32_t place = f.ifindex << 1 | (f.direction == OUTGOING)
        cdef copy *known
        print = fold(print ^ <uint64_t>s.seq << 32 ^ s.ack, 0x9E3779B97F4A7C15ULL ^ s.length)
        print = fold(print ^ <uint64_t>s.flags << 48 ^ <uint64_t>s.window << 24 ^ s.ip_id, 0xD6E8FEB86659FD93ULL)
        print ^= s.side
        known = &self.copies[print & (COPIES - 1)]
        if known.print == print and known.place != place and <int64_t>(s.time_ns - known.time_ns) < SPAN_NS:
            return True
        known.print = print
        known.place = place
        known.time_ns = s.time_ns
        return False

    cdef uint16_t name(self, uint32_t index) noexcept nogil:
        """The interface's name, by its number; asked for once until `forget_names`."""
        cdef interface *known = &self.interfaces[index % INTERFACES]
        if known.index != index:
            known.index = index
            with gil:
                known.name = self.analyzer.names.number(str(self.names(index)))
        return known.name
