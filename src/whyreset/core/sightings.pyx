# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The resets among the packets of one namespace, for the merge."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from whyreset.core.connections cimport RST, segment
from whyreset.core.formats cimport record
from whyreset.core.merge cimport Merge
from whyreset.core.packets cimport Packets
from whyreset.core.taps cimport NO_LINK, OUTGOING, Sink, frame


cdef class Sightings(Sink):
    """See sightings.pyi."""

    cdef Merge merge
    cdef uint8_t ring
    cdef Packets packets
    cdef readonly uint64_t resets

    def __cinit__(self, Merge merge not None, uint8_t ring):
        self.merge, self.ring, self.packets = merge, ring, Packets()

    cdef void take(self, const frame *f) noexcept nogil:
        cdef record packet
        cdef segment *s
        if f.link == NO_LINK:
            return
        memset(&packet, 0, sizeof(packet))
        packet.time_ns = f.time_ns
        packet.link = f.link
        packet.packet.at = f.at
        packet.packet.length = f.captured
        packet.packet.reported = f.length
        self.packets.take(&packet, 0)
        if self.packets.batched:
            s = &self.packets.batch[0]
            # what is in a tunnel is seen outside of it as well
            if s.flags & RST and not s.tunnels_used:
                self.resets += 1
                self.merge.sight(self.ring, s, f.ifindex, f.direction == OUTGOING, f.time_ns)
        self.packets.batched = 0
