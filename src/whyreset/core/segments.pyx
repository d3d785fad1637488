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
from whyreset.core.contacts cimport Contacts
from whyreset.core.dissect cimport CUT, OUTCOMES
from whyreset.core.follow cimport *
from whyreset.core.formats cimport AGAIN, FRAME, MORE, PACKET, STOPPED, Names, Walk, record
from whyreset.core.observations cimport Builder, tunnels_value
from whyreset.core.octets cimport *
from whyreset.core.packets cimport BATCH, Packets
from whyreset.core.steps cimport Steps
from whyreset.core.waiting cimport Waiting, sighting

from whyreset.observation import Conversations, Problem

cdef enum:
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

    def __cinit__(self, uint64_t capacity=1 << 18, bint each=False, uint64_t follow=0):
        self.names = Names()
        self.walk = Walk(self.names)
        self.packets = Packets()
        self.connections = Connections(capacity)
        self.waiting = Waiting()
        self.contacts = Contacts()
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

    @property
    def packets_seen(self):
        """Packets so far."""
        return self.frames

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

    def pass_time(self, uint64_t now_ns):
        """It is later now, though no packet says so."""
        while self.waiting.used and self.waiting.is_due(now_ns):
            self.release(True)

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
            segments=self.packets.segments,
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
            skipped={REASONS[i - CUT]: self.packets.skipped[i] for i in range(CUT, end) if self.packets.skipped[i]},
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
        cdef bint more
        cdef int found
        while True:
            found = self.walk.next(block, &packet)
            if found == PACKET:
                self.frames += 1
                if not self.first_ns or packet.time_ns < self.first_ns:
                    self.first_ns = packet.time_ns
                if packet.time_ns > self.last_ns:
                    self.last_ns = packet.time_ns
                more = self.packets.take(&packet, <uint32_t>self.frames)
                self.name(&packet)
                while more:
                    more = self.packets.take_next()
                    self.name(&packet)
            elif found == FRAME:
                self.frames += 1
            elif found != AGAIN:
                break
        self.flush()
        return found

    cdef bint take_live(self, const record *packet, uint16_t name) noexcept nogil:
        """One packet of an interface. Whether it is a segment, which then is the last of the batch; it waits for `flush`,
        as its bytes must."""
        cdef int before = self.packets.batched
        self.frames += 1
        if not self.first_ns:
            self.first_ns = packet.time_ns
        self.last_ns = packet.time_ns
        # no interface of ours shows several frames in one
        self.packets.take(packet, <uint32_t>self.frames)
        if self.packets.batched == before:
            return False
        self.packets.batch[before].name = name
        return True

    cdef void name(self, const record *packet) noexcept nogil:
        """Notes where a reset was captured, while that is still known; makes room for the next segment."""
        cdef segment *s
        if self.packets.batched:
            s = &self.packets.batch[self.packets.batched - 1]
            if s.flags & RST and s.frame == <uint32_t>self.frames:
                s.name = self.walk.name_of(packet, s.interface)
        # a datagram from pieces lies where the next one will
        if self.packets.batched == BATCH or self.packets.d.was_in_pieces:
            self.flush()

    cdef void flush(self) noexcept nogil:
        """Takes in what was decoded. What will be needed is loaded first, step by step for all of them at once."""
        cdef segment *s
        cdef int i, count = self.packets.batched
        for i in range(count):
            s = &self.packets.batch[i]
            s.hash = hash_ends(self.connections, s.ends, s.ports, s.network)
            fetch_slot(self.connections, s.hash)
        for i in range(count):
            fetch_row(self.connections, self.packets.batch[i].hash)
        for i in range(count):
            self.update(&self.packets.batch[i])
        self.packets.batched = 0

    cdef void update(self, const segment *s) noexcept nogil:
        cdef connection *row
        cdef sighting *x
        cdef int before = 0
        cdef uint8_t now
        while self.waiting.used and self.waiting.is_due(s.time_ns):
            self.release(True)
        row = find_row(self.connections, s.ends, s.ports, s.network, s.hash)
        if row == NULL:
            row = self.connections.vacate(s.hash, s.time_ns)
            if row.number and row.waiting:
                self.waiting.settle_all(row)
            self.opened += 1
            open_connection(row, s, self.opened, UNANSWERED, NO_ENDING, s.flags & SYN == 0 and self.connections.was_forgotten(s.hash))
        elif s.flags & SYN and begins_anew(row, s):
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
            if row.shaken != before:
                self.complete += row.shaken == COMPLETE
                self.contacts.answered_on_wire(row)
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
        self.contacts.refused_on_wire(row, s)
        follow_reset(row, s)
        skip(&payload, 20 + s.options)
        limit(&payload, min(s.length, <uint32_t>MOST_PAYLOAD))
        if payload.length or s.comment_length or s.note_length or s.tunnels_used:
            x.has_extras = True
            x.has_note = s.note_length > 0
            with gil:
                self.extras[x.number] = (
                    payload.at[:payload.length],
                    s.comment[:s.comment_length].decode(errors="replace") if s.comment_length else "",
                    tunnels_value(s.tunnels, s.tunnels_used),
                    s.note[:s.note_length],
                )

    cdef void release(self, bint complete) noexcept nogil:
        """The reset that waits longest is given out."""
        cdef sighting *x = self.waiting.at(self.waiting.head)
        cdef connection *row = NULL
        if not x.settled:
            if x.touched:
                row = find_row(self.connections, x.connection.ends, x.connection.ports, x.connection.network, x.hash)
                if row != NULL and row.number != x.connection.number:
                    row = NULL
            self.waiting.settle(x, row)
            x.complete = complete
        if self.each or x.has_note:     # a note is of one reset alone
            with gil:
                self.singles.append(self.builder.single(x))
        elif not self.alike.add(x) and x.has_extras:
            with gil:
                self.extras.pop(x.number, None)
        self.waiting.head += 1
        self.waiting.used -= 1
