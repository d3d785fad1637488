# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The bytes of captures -> packets -> TCP segments -> connections -> resets with all that is known about them.

Packets are decoded in batches: while the later ones are decoded, the processor loads what is remembered of the
connections of the earlier ones.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

from whyreset.core.alike cimport Alike
from whyreset.core.connections cimport *
from whyreset.core.dissect cimport *
from whyreset.core.follow cimport *
from whyreset.core.formats cimport AGAIN, FRAME, MORE, PACKET, STOPPED, Names, Walk, record
from whyreset.core.fragments cimport Fragments
from whyreset.core.frames cimport enter_frame
from whyreset.core.internet cimport enter_internet, enter_protocol
from whyreset.core.links cimport enter_link
from whyreset.core.observations cimport Builder, tunnels_value
from whyreset.core.octets cimport *
from whyreset.core.steps cimport Steps
from whyreset.core.waiting cimport Waiting, sighting
from whyreset.core.wifi cimport enter_aggregated

from whyreset.observation import Conversations, Problem

cdef enum:
    BATCH = 32
    PIECE = 1 << 30             # octets have 32 bits
    MOST_PAYLOAD = 128

#: why a packet was passed over though it may have held TCP, in the order of `outcome` from CUT on
cdef tuple REASONS = ("cut", "malformed", "fragment", "link-type", "encrypted", "too-deep")

SKIPPED = {
    "cut": "cut so short that its headers are not all there",
    "malformed": "its headers contradict themselves",
    "fragment": "a piece of a datagram whose other pieces are missing",
    "link-type": "of a link type that is not known",
    "encrypted": "encrypted",
    "too-deep": "wrapped too often",
}


cdef class Analyzer:
    """See segments.pyi."""

    cdef Walk walk
    cdef Names names
    cdef Fragments fragments
    cdef Connections connections
    cdef Waiting waiting
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
    cdef segment batch[BATCH]
    cdef tunnel tunnels[BATCH][MOST_TUNNELS]
    cdef int batched
    cdef dissection d
    cdef object ended_early
    cdef uint64_t frames        # over all files
    cdef uint64_t segments
    cdef uint64_t bytes
    cdef uint64_t opened, complete, reset
    cdef uint64_t first_ns, last_ns
    cdef uint64_t skipped[OUTCOMES]

    def __cinit__(self, uint64_t capacity=1 << 18, bint each=False, uint64_t follow=0):
        self.names = Names()
        self.walk = Walk(self.names)
        self.fragments = Fragments()
        self.connections = Connections(capacity)
        self.waiting = Waiting()
        self.alike = Alike()
        self.bases = [0]
        self.extras = {}
        self.builder = Builder(self.names, self.bases, self.extras)
        self.each, self.singles, self.steps = each, [], Steps(follow)

    def __dealloc__(self):
        free(self.carried)

    @property
    def problem(self):
        """Where and why reading stopped."""
        if self.walk.problem is not None:
            return Problem(byte=self.walk.offset, text=self.walk.problem)
        return self.ended_early

    @property
    def consumed(self):
        """Bytes of this file that were read."""
        return self.walk.offset

    def begin(self):
        """A next file."""
        self.bytes += self.walk.offset
        self.walk = Walk(self.names)
        self.carried_used = 0
        self.ended_early = None
        self.bases.append(self.frames)

    def feed(self, const uint8_t[::1] block not None):
        """The next bytes of the file."""
        cdef octets rest
        cdef uint64_t at = 0, size = block.shape[0]
        cdef int found = MORE
        while at < size and found != STOPPED:
            rest.at = &block[at]
            rest.length = rest.reported = <uint32_t>min(size - at, <uint64_t>PIECE)
            at += rest.length
            with nogil:
                found = self.take_block(&rest)
            if found < 0:
                raise MemoryError
        return found != STOPPED

    def end(self):
        """The file has no more bytes."""
        cdef uint64_t at = self.walk.offset
        if self.problem is not None:
            return
        if not self.walk.begun and at == 0 and not self.carried_used:
            self.ended_early = Problem(byte=0, text="it is empty")
        elif not self.walk.begun:
            self.ended_early = Problem(byte=at, text=f"this is no capture: it has only {self.carried_used} bytes")
        elif self.carried_used or self.walk.skipping:
            self.ended_early = Problem(byte=at + self.carried_used, text=f"it ends in the midst of a packet, which begins at byte {at}")

    def finish(self):
        """No more files: all that waits is released."""
        while self.waiting.used:
            self.release(False)

    def take(self):
        """What is complete."""
        cdef list out = self.singles
        cdef uint32_t i
        self.singles = []
        for i in range(self.alike.used):
            out.append(self.builder.group(self.alike, i))
        self.alike.clear()
        return out

    def summary(self):
        """What was read so far."""
        cdef int i, end = OUTCOMES
        return Conversations(
            packets=self.frames,
            segments=self.segments,
            bytes=self.bytes + self.walk.offset,
            first_ns=self.first_ns if self.frames else None,
            last_ns=self.last_ns if self.frames else None,
            connections=self.opened,
            complete=self.complete,
            reset=self.reset,
            resets=self.waiting.numbers,
            evicted_open=self.connections.evicted[OPEN],
            evicted_unanswered=self.connections.evicted[UNANSWERED],
            evicted_ended=self.connections.evicted[ENDED],
            hurried=self.waiting.hurried,
            skipped={REASONS[i - CUT]: self.skipped[i] for i in range(CUT, end) if self.skipped[i]},
        )

    cdef int take_block(self, octets *block) noexcept nogil:
        """A block of any size; what begins in it and ends in the next one is carried. Returns a status, or -1."""
        cdef octets carried
        cdef uint32_t wanted
        cdef int found = MORE
        while self.carried_used:
            if self.walk.need > self.carried_used:
                wanted = min(self.walk.need - self.carried_used, block.length)
                if not self.carry(block, wanted):
                    return -1
                skip(block, wanted)
                if self.carried_used < self.walk.need:
                    return MORE
            carried.at = self.carried
            carried.length = carried.reported = self.carried_used
            found = self.take_packets(&carried)
            memmove(self.carried, carried.at, carried.length)
            self.carried_used = carried.length
            if found == STOPPED:
                return STOPPED
        found = self.take_packets(block)
        if found == MORE and block.length and not self.carry(block, block.length):
            return -1
        return found

    cdef bint carry(self, const octets *block, uint32_t size) noexcept nogil:
        cdef void *grown
        if self.carried_room - self.carried_used < size:
            grown = realloc(self.carried, 2 * (self.carried_used + size))
            if grown == NULL:
                return False
            self.carried = <uint8_t *>grown
            self.carried_room = 2 * (self.carried_used + size)
        memcpy(self.carried + self.carried_used, block.at, size)
        self.carried_used += size
        return True

    cdef int take_packets(self, octets *block) noexcept nogil:
        cdef record packet
        cdef int found
        while True:
            found = self.walk.next(block, &packet)
            if found == PACKET:
                self.frames += 1
                self.take_packet(&packet)
            elif found == FRAME:
                self.frames += 1
            elif found != AGAIN:
                break
        self.flush()
        return found

    cdef void take_packet(self, const record *packet) noexcept nogil:
        cdef dissection *d = &self.d
        cdef int found
        if not self.first_ns or packet.time_ns < self.first_ns:
            self.first_ns = packet.time_ns
        if packet.time_ns > self.last_ns:
            self.last_ns = packet.time_ns
        d.rest = packet.packet
        d.layer = LINK
        d.number = packet.link
        d.interface = 0
        d.network = 0
        d.vlan = 0
        d.tunnels_used = 0
        d.was_in_pieces = False
        d.others.length = 0
        while True:
            found = self.dissect()
            if found == SEGMENT:
                self.take_segment(packet)
            elif found != OTHER:
                self.skipped[found] += 1
            if not d.others.length:
                break
            d.tunnels_used = 0
            if enter_aggregated(d) != ONWARD:
                break

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

    cdef void take_segment(self, const record *packet) noexcept nogil:
        cdef dissection *d = &self.d
        cdef segment *s = &self.batch[self.batched]
        cdef octets *tcp = &d.rest
        cdef uint64_t src[2]
        cdef uint64_t dst[2]
        cdef uint32_t sport = be16(tcp, 0), dport = be16(tcp, 2), header = (u8(tcp, 12) >> 4) * 4
        self.segments += 1
        memcpy(src, d.src, 16)
        memcpy(dst, d.dst, 16)
        s.side = src[0] > dst[0] or (src[0] == dst[0] and (src[1] > dst[1] or (src[1] == dst[1] and sport > dport)))
        memcpy(&s.ends[2 * s.side], src, 16)
        memcpy(&s.ends[2 - 2 * s.side], dst, 16)
        s.ports = dport << 16 | sport if s.side else sport << 16 | dport
        s.network = d.network | (<uint32_t>1 << 31 if d.family == 6 else 0)
        s.time_ns = packet.time_ns
        s.frame = <uint32_t>self.frames
        s.seq = be32(tcp, 4)
        s.ack = be32(tcp, 8)
        s.flags = be16(tcp, 12) & 0xFFF
        s.window = be16(tcp, 14)
        s.options = <uint8_t>(header - 20)
        s.length = tcp.reported - header if tcp.reported > header and not d.is_part else 0
        s.ip_id = d.ip_id
        s.ttl = d.ttl
        s.family = d.family
        s.name = 0
        s.tcp = tcp[0]
        s.comment_length = packet.comment_length
        s.comment = packet.comment
        s.tunnels_used = d.tunnels_used
        if d.tunnels_used:
            memcpy(self.tunnels[self.batched], d.tunnels, d.tunnels_used * sizeof(tunnel))
        s.tunnels = self.tunnels[self.batched]
        if s.flags & RST:
            s.name = self.walk.name_of(packet, d.interface)
        s.hash = self.connections.hash(s.ends, s.ports, s.network)
        self.connections.fetch(s.hash)
        self.batched += 1
        # a datagram from pieces lies where the next one will
        if self.batched == BATCH or d.was_in_pieces:
            self.flush()

    cdef void flush(self) noexcept nogil:
        """Takes in what was decoded."""
        cdef int i
        for i in range(self.batched):
            self.connections.fetch_row(self.batch[i].hash)
        for i in range(self.batched):
            self.update(&self.batch[i])
        self.batched = 0

    cdef void update(self, const segment *s) noexcept nogil:
        cdef connection *row
        cdef sighting *x
        cdef int before = 0
        cdef uint8_t now
        while self.waiting.is_due(s.time_ns):
            self.release(True)
        row = self.connections.find(s.ends, s.ports, s.network, s.hash)
        if row == NULL:
            row = self.connections.vacate(s.hash, s.time_ns)
            if row.number and row.waiting:
                self.waiting.settle_all(row)
            self.opened += 1
            open_connection(row, s, self.opened, UNANSWERED, NO_ENDING, s.flags & SYN == 0 and self.connections.was_forgotten(s.hash))
        elif begins_anew(row, s):
            before = ending_of(row)
            if row.waiting:
                self.waiting.settle_all(row)
            self.opened += 1
            open_connection(row, s, self.opened, row.kind, before, False)
        elif row.waiting:
            x = self.waiting.at(row.waiting)
            if x == NULL:
                row.waiting = 0
            else:
                x.touched = True
        if row.number == self.steps.connection:
            with gil:
                self.steps.add(self.builder.step_of(s))
        if s.flags & RST:
            self.take_reset(row, s)
        else:
            before = row.shaken
            follow(row, s)
            self.complete += row.shaken == COMPLETE and before != COMPLETE
        now = kind_of(row)
        if now != row.kind:
            self.connections.become(row, now)

    cdef void take_reset(self, connection *row, const segment *s) noexcept nogil:
        cdef sighting *x
        cdef octets payload = s.tcp
        if self.waiting.is_full():
            self.waiting.hurried += 1
            self.release(False)
        self.reset += row.reset_by == NOBODY
        x = self.waiting.add(row, s)
        follow_reset(row, s)
        skip(&payload, 20 + s.options)
        limit(&payload, min(s.length, <uint32_t>MOST_PAYLOAD))
        if payload.length or s.comment_length or s.tunnels_used:
            x.has_extras = True
            with gil:
                self.extras[x.number] = (
                    payload.at[:payload.length],
                    s.comment[:s.comment_length].decode(errors="replace") if s.comment_length else "",
                    tunnels_value(s.tunnels, s.tunnels_used),
                )

    cdef void release(self, bint complete) noexcept nogil:
        """The reset that waits longest is given out."""
        cdef sighting *x = self.waiting.at(self.waiting.head)
        cdef connection *row = NULL
        if not x.settled:
            if x.touched:
                row = self.connections.find(x.connection.ends, x.connection.ports, x.connection.network, x.hash)
                if row != NULL and row.number != x.connection.number:
                    row = NULL
            self.waiting.settle(x, row)
            x.complete = complete
        if self.each:
            with gil:
                self.singles.append(self.builder.single(x))
        elif not self.alike.add(x) and x.has_extras:
            with gil:
                self.extras.pop(x.number, None)
        self.waiting.head += 1
        self.waiting.used -= 1
