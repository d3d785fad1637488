# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Packets -> TCP segments, in batches."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from whyreset.core.connections cimport *
from whyreset.core.dissect cimport *
from whyreset.core.formats cimport record
from whyreset.core.fragments cimport Fragments
from whyreset.core.frames cimport enter_frame
from whyreset.core.internet cimport enter_internet, enter_protocol
from whyreset.core.links cimport enter_link
from whyreset.core.octets cimport *
from whyreset.core.wifi cimport enter_aggregated

cdef enum:
    EN10MB = 1
    IP_4 = 0x0800
    IP_6 = 0x86DD
    TCP = 6


cdef class Packets:
    """Takes packets one after the other; what they hold stands in `batch` until it is taken in."""

    def __cinit__(self):
        self.fragments = Fragments()

    cdef bint take(self, const record *packet, uint32_t frame) noexcept nogil:
        """One packet; whether there is more in it, for which `take_next` asks."""
        cdef dissection *d = &self.d
        self.packet = packet
        self.frame = frame
        d.was_in_pieces = False
        if packet.link == EN10MB and self.take_plain():
            return False
        d.rest = packet.packet
        d.layer = LINK
        d.number = packet.link
        d.interface = 0
        d.network = 0
        d.vlan = 0
        d.tunnels_used = 0
        d.others.length = 0
        return self.take_next()

    cdef bint take_next(self) noexcept nogil:
        """The next frame in the packet; whether there is still more in it."""
        cdef dissection *d = &self.d
        cdef segment *s = &self.batch[self.batched]
        cdef int found = self.dissect()
        if found == SEGMENT:
            self.append(&d.rest, d.src, d.dst, d.family, d.ttl)
            s.ip_id = d.ip_id
            s.network |= d.network
            s.interface = d.interface
            s.tunnels_used = d.tunnels_used
            if d.is_part:
                s.length = 0
            if d.tunnels_used:
                memcpy(s.tunnels, d.tunnels, d.tunnels_used * sizeof(tunnel))
        elif found != OTHER:
            self.skipped[found] += 1
        d.tunnels_used = 0
        return d.others.length and enter_aggregated(d) == ONWARD

    cdef bint take_plain(self) noexcept nogil:
        """What most packets are: TCP in IP in Ethernet, without anything else. False where it is more than that."""
        cdef octets rest = self.packet.packet
        cdef octets tcp
        cdef uint32_t kind, total
        if rest.length < 54 or rest.reported < rest.length:
            return False
        kind = be16(&rest, 12)
        if kind == IP_4:
            total = be16(&rest, 16)
            if u8(&rest, 14) != 0x45 or u8(&rest, 23) != TCP or be16(&rest, 20) & 0x3FFF or total < 40 or u8(&rest, 46) >> 4 < 5:
                return False
            tcp = rest
            skip(&tcp, 34)
            limit(&tcp, total - 20)
            self.append(&tcp, rest.at + 26, rest.at + 30, 4, u8(&rest, 22))
            self.batch[self.batched - 1].ip_id = be16(&rest, 18)
            return True
        if kind == IP_6 and rest.length >= 74:
            total = be16(&rest, 18)
            if u8(&rest, 14) >> 4 != 6 or u8(&rest, 20) != TCP or total < 20 or u8(&rest, 66) >> 4 < 5:
                return False
            tcp = rest
            skip(&tcp, 54)
            limit(&tcp, total)
            self.append(&tcp, rest.at + 22, rest.at + 38, 6, u8(&rest, 21))
            return True
        return False

    cdef int dissect(self) noexcept nogil:
        """Down to the TCP segment, or to what stands in the way."""
        cdef dissection *d = &self.d
        cdef int found, layers
        for layers in range(MOST_LAYERS):
            if d.layer == INTERNET:
                found = enter_internet(d, self.fragments)
            elif d.layer == PROTOCOL:
                found = enter_protocol(d, self.fragments)
            elif d.layer == LINK:
                found = enter_link(d)
            else:
                found = enter_frame(d)
            if found != ONWARD:
                return found
        return TOO_DEEP

    cdef void append(self, const octets *tcp, const uint8_t *src, const uint8_t *dst, uint8_t family, uint8_t ttl) noexcept nogil:
        """A segment, of which 16 bytes are there, between two addresses of that family."""
        cdef segment *s = &self.batch[self.batched]
        cdef uint64_t a[2]
        cdef uint64_t b[2]
        cdef uint32_t sport = be16(tcp, 0), dport = be16(tcp, 2), header = (u8(tcp, 12) >> 4) * 4
        if family == 4:
            a[0] = a[1] = b[0] = b[1] = 0
            memcpy(a, src, 4)
            memcpy(b, dst, 4)
        else:
            memcpy(a, src, 16)
            memcpy(b, dst, 16)
        s.side = a[0] > b[0] or (a[0] == b[0] and (a[1] > b[1] or (a[1] == b[1] and sport > dport)))
        if s.side:
            s.ends[0], s.ends[1], s.ends[2], s.ends[3] = b[0], b[1], a[0], a[1]
            s.ports = dport << 16 | sport
        else:
            s.ends[0], s.ends[1], s.ends[2], s.ends[3] = a[0], a[1], b[0], b[1]
            s.ports = sport << 16 | dport
        s.network = <uint32_t>1 << 31 if family == 6 else 0
        s.time_ns = self.packet.time_ns
        s.frame = self.frame
        s.seq = be32(tcp, 4)
        s.ack = be32(tcp, 8)
        s.flags = be16(tcp, 12) & 0xFFF
        s.window = be16(tcp, 14)
        s.options = <uint8_t>(header - 20)
        s.length = tcp.reported - header if tcp.reported > header else 0
        s.ip_id = 0
        s.ttl = ttl
        s.family = family
        s.name = 0
        s.interface = 0
        s.tcp = tcp[0]
        s.comment_length = self.packet.comment_length
        s.comment = self.packet.comment
        s.note_length = self.packet.note_length
        s.note = self.packet.note
        s.tunnels_used = 0
        s.tunnels = self.tunnels[self.batched]
        self.segments += 1
        self.batched += 1
