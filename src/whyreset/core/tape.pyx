# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A bounded ring of packets in memory: the flight recorder's, and the way from the kernel's rings to Python.

Packets lie in it one after the other, as many as have room. Only what was asked for is kept of each: its headers, and
no more, unless a length was named.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from whyreset.core.octets cimport be16, octets, u8
from whyreset.core.taps cimport NO_LINK, Sink, frame

cdef enum:
    NO_PACKET = 0xFFFFFFFF
    EN10MB = 1
    VLAN = 0x8100
    SERVICE_VLAN = 0x88A8
    IP_4 = 0x0800
    IP_6 = 0x86DD
    TCP = 6
    RST = 4
    TAG_BYTES = 4
    ADDRESSES = 12          # both of an Ethernet header
    # of what is not plain TCP, for its headers; of a reset, for what it says
    SOME = 128
    # no packet is longer: a whole segment of GSO with its headers fits
    LONGEST = 1 << 17


cdef uint32_t headers_end(const uint8_t *at, uint32_t length, uint16_t link) noexcept nogil:
    """Where the headers end: with TCP's, or after so much that a tunnel's are likely to be there."""
    cdef octets o
    cdef uint32_t ip = 0, tcp
    cdef uint16_t kind = 0
    cdef int i
    o.at, o.length, o.reported = at, length, length
    if link == EN10MB:
        ip = ADDRESSES + 2
        kind = be16(&o, ADDRESSES)
        for i in range(2):
            if kind == VLAN or kind == SERVICE_VLAN:
                kind = be16(&o, ip + 2)
                ip += TAG_BYTES
    else:
        kind = IP_4 if u8(&o, 0) >> 4 == 4 else IP_6
    if kind == IP_4 and u8(&o, ip + 9) == TCP and be16(&o, ip + 6) & 0x1FFF == 0:
        tcp = ip + (u8(&o, ip) & 0xF) * 4
    elif kind == IP_6 and u8(&o, ip + 6) == TCP:
        tcp = ip + 40
    else:
        return SOME
    if u8(&o, tcp + 13) & RST:
        return tcp + 60 + SOME
    return tcp + max((u8(&o, tcp + 12) >> 4) * 4, 20)


cdef class Tape:
    """See tape.pyi."""

    def __cinit__(self, uint64_t size=32 << 20, uint32_t snap=0):
        self.size = size & ~<uint64_t>7
        self.snap = snap
        if self.size < 4096:
            raise ValueError("a tape has 4096 bytes at least")
        self.ring = <uint8_t *>malloc(self.size)
        if self.ring == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.ring)

    def channel(self, uint32_t place):
        """What a source hands its packets to."""
        cdef Channel channel = Channel()
        channel.tape, channel.place = self, place
        return channel

    def put(self, uint64_t time_ns, uint32_t place, uint32_t ifindex, uint8_t direction, uint16_t link, uint32_t length, const uint8_t[::1] data not None, uint16_t tag=0):
        """One packet."""
        cdef frame f
        cdef uint8_t nothing = 0
        f.time_ns, f.ifindex, f.direction, f.link, f.length = time_ns, ifindex, direction, link, length
        f.at = &data[0] if data.shape[0] else &nothing
        f.captured = <uint32_t>min(data.shape[0], <Py_ssize_t>LONGEST)
        f.tag, f.tag_type = tag, VLAN if tag else 0
        self.add(&f, place)

    def take(self, uint32_t most):
        """The oldest."""
        return [each[:7] for each in self.take_seen(most)]

    def take_seen(self, uint32_t most):
        """The oldest, with when they were seen."""
        cdef list out = []
        cdef entry *e
        while self.head != self.tail and <uint32_t>len(out) < most:
            e = self.at(self.head)
            if e.captured != NO_PACKET:
                out.append(self.value_of(e))
                self.count -= 1
            self.head += e.size
        return out

    @property
    def begin(self):
        """The place of the oldest."""
        return self.head

    @property
    def end(self):
        """The place after the newest."""
        return self.tail

    def read(self, uint64_t place, uint32_t most, uint64_t since_ns=0):
        """Some from a place on."""
        found, place = self.read_seen(place, most, since_ns)
        return [each[:7] for each in found], place

    def read_seen(self, uint64_t place, uint32_t most, uint64_t since_ns=0):
        """Some from a place on, with when they were seen."""
        cdef list out = []
        cdef uint64_t offset = max(place, self.head)
        cdef entry *e
        while offset < self.tail and <uint32_t>len(out) < most:
            e = self.at(offset)
            if e.captured != NO_PACKET and (e.seen_ns or e.time_ns) >= since_ns:
                out.append(self.value_of(e))
            offset += e.size
        return out, offset

    cdef inline entry *at(self, uint64_t offset) noexcept nogil:
        return <entry *>(self.ring + offset % self.size)

    cdef object value_of(self, const entry *e):
        cdef const uint8_t *data = <const uint8_t *>e + sizeof(entry)
        return (e.time_ns, e.place, e.ifindex, e.direction, e.link, e.length, data[:e.captured], e.seen_ns)

    cdef void make_room(self, uint64_t size) noexcept nogil:
        """So many bytes in one piece at the tail; the oldest give way."""
        cdef entry *e
        cdef uint64_t rest = self.size - self.tail % self.size
        if rest < size:             # it does not fit before the end: that stays empty
            while self.size - (self.tail - self.head) < rest:
                self.forget()
            e = self.at(self.tail)
            e.size, e.captured = <uint32_t>rest, NO_PACKET
            self.tail += rest
        while self.size - (self.tail - self.head) < size:
            self.forget()

    cdef void forget(self) noexcept nogil:
        cdef const entry *e = self.at(self.head)
        if e.captured != NO_PACKET:
            self.count -= 1
            self.overwritten += 1
        self.head += e.size

    cdef void add(self, const frame *f, uint32_t place) noexcept nogil:
        cdef uint32_t kept = min(self.snap or headers_end(f.at, f.captured, f.link), f.captured)
        cdef uint32_t tag = TAG_BYTES if f.tag_type and f.link == EN10MB and kept >= ADDRESSES else 0
        cdef uint64_t size = (sizeof(entry) + kept + tag + 7) & ~<uint64_t>7
        cdef entry *e
        cdef uint8_t *to
        if f.link == NO_LINK:
            self.unreadable += 1
            return
        if kept > LONGEST or size > self.size:
            self.overwritten += 1
            return
        self.make_room(size)
        e = self.at(self.tail)
        self.tail += size
        self.count += 1
        e.size, e.captured = <uint32_t>size, kept + tag
        e.time_ns, e.length, e.ifindex, e.place = f.time_ns, f.length + tag, f.ifindex, place
        e.link, e.direction, e.seen_ns = f.link, f.direction, self.seen_ns
        to = <uint8_t *>e + sizeof(entry)
        if tag:                     # back where it was on the wire
            memcpy(to, f.at, ADDRESSES)
            to[ADDRESSES], to[ADDRESSES + 1] = f.tag_type >> 8, f.tag_type & 0xFF
            to[ADDRESSES + 2], to[ADDRESSES + 3] = f.tag >> 8, f.tag & 0xFF
            memcpy(to + ADDRESSES + TAG_BYTES, f.at + ADDRESSES, kept - ADDRESSES)
        else:
            memcpy(to, f.at, kept)


cdef class Channel(Sink):
    """See tape.pyi."""

    cdef void take(self, const frame *f) noexcept nogil:
        self.tape.add(f, self.place)
