# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Both ends on this host: the reset that was sent and the one that was received are the same.

What was received is indexed before what was sent is looked at, so that a flood, which gets nothing back, costs nothing
and crowds nothing out. What was sent waits a second for a reset that arrives in a later visit. Namespaces may use the
same addresses and ports at the same time: the numbers of the reset must be those that its receiver could accept.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.events cimport HAS_TRIGGER, reset_event
from whyreset.core.memory cimport hash_tuple
from whyreset.core.table cimport CROWDED, Table

import os

cdef enum:
    FIN = 1
    SYN = 2
    ACK = 16
    SYN_SENT = 2
    TWINS = 8192
    TWIN_WAYS = 8
    ARRIVALS = 2048
    ARRIVAL_SLOTS = 4096

cdef uint64_t SECOND = 1000000000


cdef inline uint32_t ack_of(const reset_event *e) noexcept nogil:
    """The reset's acknowledgement number."""
    if not e.flags & HAS_TRIGGER:
        return e.rcv_nxt
    return e.trigger_seq + e.trigger_length + (1 if e.trigger_flags & SYN else 0) + (1 if e.trigger_flags & FIN else 0)


cdef inline bint accepts(const reset_event *e, uint32_t seq, uint32_t ack) noexcept nogil:
    """Whether the socket that received a reset would have accepted one with these numbers.

    RFC 9293 section 3.10.7.3 (SYN-SENT: by what it acknowledges), RFC 5961 section 3.2 (else: by its number;
    tcp_reset_check() takes one before it, too). No range is enough: first numbers of equal four-tuples in different
    namespaces differ by the time between them alone (secure_tcp_seq(), 64 ns each). So a reset that was accepted for
    being at the end of selectively acknowledged data stays without its twin.
    """
    if e.state == SYN_SENT:
        return e.snd_nxt == ack
    return seq == e.rcv_nxt or <uint32_t>(seq + 1) == e.rcv_nxt


cdef inline int rank_of(const twin_slot *slot, const reset_event *received) noexcept nogil:
    """How well a reset that was sent fits one that was received between the same ports; below 0 not at all.

    Before a handshake is through only the answer to the SYN can be received, and later anything else. An abort goes
    before the answers to what was in flight then: whichever came first, the abort is why. Then the number counts.
    """
    if slot.to_syn != (received.state == SYN_SENT) or not accepts(received, slot.seq, slot.ack):
        return -1
    return (0 if slot.in_flight else 2) + (slot.seq == received.rcv_nxt)


cdef inline bint same_ends(const twin_slot *slot, const reset_event *received) noexcept nogil:
    return (slot.family == received.family and slot.local_port == received.remote_port and slot.remote_port == received.local_port
            and memcmp(slot.local, received.remote, 16) == 0 and memcmp(slot.remote, received.local, 16) == 0)


cdef class Twins:
    """The two records of each reset that stayed on this host."""

    def __cinit__(self):
        self.slots = <twin_slot *>calloc(TWINS, sizeof(twin_slot))
        self.tags = <uint32_t *>calloc(TWINS, sizeof(uint32_t))
        self.arrivals = <arrival *>calloc(ARRIVALS, sizeof(arrival))
        self.places = <int32_t *>calloc(ARRIVAL_SLOTS, sizeof(int32_t))
        if self.slots == NULL or self.tags == NULL or self.arrivals == NULL or self.places == NULL:
            raise MemoryError
        self.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        free(self.slots)
        free(self.tags)
        free(self.arrivals)
        free(self.places)

    cdef void expect(self, const reset_event *e, bint young) noexcept nogil:
        """A reset received, in this visit or in the next: its twin may be among what was sent."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)
        cdef uint64_t slot = h % ARRIVAL_SLOTS
        cdef arrival *a
        if self.arrived >= ARRIVALS:
            return
        while self.places[slot]:
            slot = (slot + 1) % ARRIVAL_SLOTS
        a = &self.arrivals[self.arrived]
        a.event = e
        a.hash = h
        a.apart = SECOND + 1
        a.rank = -1
        a.young = young
        self.arrived += 1
        self.places[slot] = self.arrived

    cdef bint is_awaited(self, const reset_event *e) noexcept nogil:
        """Whether a reset between the same ports was received that is taken in the next visit only."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t place = h % ARRIVAL_SLOTS
        while self.places[place]:
            if self.arrivals[self.places[place] - 1].hash == h and self.arrivals[self.places[place] - 1].young:
                return True
            place = (place + 1) % ARRIVAL_SLOTS
        return False

    cdef void forget_arrivals(self) noexcept nogil:
        """Their records leave the ring."""
        if self.arrived:
            memset(self.places, 0, ARRIVAL_SLOTS * sizeof(int32_t))
            self.arrived = 0

    cdef void sent(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number, bint in_flight) noexcept nogil:
        """A reset was sent: it may have arrived here, or will."""
        cdef twin_slot slot
        cdef arrival *a = NULL
        memset(&slot, 0, sizeof(slot))
        slot.time_ns = e.time_ns
        slot.number = number
        slot.group_number = table.groups[index].number
        slot.flush = table.flushes
        slot.group = index
        slot.sample = kept
        # RFC 9293 section 3.10.7: what answers an ACK takes its number from that, what answers another segment has 0
        slot.seq = (e.trigger_ack if e.trigger_flags & ACK else 0) if e.flags & HAS_TRIGGER else e.snd_nxt
        slot.ack = ack_of(e)
        slot.to_syn = e.trigger_flags & (SYN | ACK) == SYN
        slot.in_flight = in_flight
        slot.family = e.family
        memcpy(slot.local, e.local, 16)
        memcpy(slot.remote, e.remote, 16)
        slot.local_port = e.local_port
        slot.remote_port = e.remote_port
        if self.arrived:
            a = self.meet(e, &slot)
        if a == NULL or a.young:
            slot.wanted = a != NULL
            self.offer(&slot)

    cdef arrival *meet(self, const reset_event *e, const twin_slot *slot) noexcept nogil:
        """The reset received that this one fits best, if that has no better twin; NULL where none came."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t place = h % ARRIVAL_SLOTS, apart
        cdef arrival *a
        cdef arrival *best = NULL
        cdef uint64_t least = 0
        cdef int rank, highest = -1
        while self.places[place]:
            a = &self.arrivals[self.places[place] - 1]
            place = (place + 1) % ARRIVAL_SLOTS
            if a.hash != h or not same_ends(slot, a.event):
                continue
            apart = a.event.time_ns - e.time_ns if a.event.time_ns > e.time_ns else e.time_ns - a.event.time_ns
            rank = rank_of(slot, a.event)
            if rank < 0 or apart > SECOND or rank < a.rank or (rank == a.rank and apart >= a.apart):
                continue
            if rank > highest or (rank == highest and apart < least):
                best, highest, least = a, rank, apart
        if best != NULL:
            best.apart = least
            best.rank = highest
            best.sent = slot[0]
        return best

    cdef void offer(self, const twin_slot *slot) noexcept nogil:
        """For a reset that arrives in a later visit; those whose other end is known to come keep their place in a flood."""
        cdef uint64_t h = hash_tuple(self.seed, slot.family, slot.local, slot.remote, slot.local_port, slot.remote_port)
        cdef uint64_t base = h % (TWINS // TWIN_WAYS) * TWIN_WAYS, place = base
        cdef twin_slot *other
        cdef twin_slot *least
        cdef int i
        for i in range(TWIN_WAYS):
            if self.tags[base + i] == 0:
                place = base + i
                break
            other, least = &self.slots[base + i], &self.slots[place]
            # the oldest of those that nobody waits for, else the oldest
            if other.wanted < least.wanted or (other.wanted == least.wanted and other.number < least.number):
                place = base + i
            elif other.wanted and other.time_ns + SECOND < slot.time_ns:
                other.wanted = 0
        self.tags[place] = <uint32_t>(h >> 32) | 1
        self.slots[place] = slot[0]

    cdef twin_slot *find(self, const reset_event *e) noexcept nogil:
        """The reset sent that arrived here as this one, if this host sent it; each serves once."""
        cdef uint64_t h, slot
        cdef arrival *a
        h = hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)
        slot = h % ARRIVAL_SLOTS
        while self.places[slot]:
            a = &self.arrivals[self.places[slot] - 1]
            if a.event == e:
                return &a.sent if a.rank >= 0 else self.find_earlier(e)
            slot = (slot + 1) % ARRIVAL_SLOTS
        return self.find_earlier(e)

    cdef twin_slot *find_earlier(self, const reset_event *e) noexcept nogil:
        """The same among what was sent in earlier visits."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)
        cdef uint64_t base = h % (TWINS // TWIN_WAYS) * TWIN_WAYS, apart, least = 0
        cdef uint32_t tag = <uint32_t>(h >> 32) | 1
        cdef twin_slot *slot
        cdef int i, rank, highest = -1, best = -1
        for i in range(TWIN_WAYS):
            slot = &self.slots[base + i]
            if self.tags[base + i] != tag or not same_ends(slot, e):
                continue
            apart = slot.time_ns - e.time_ns if slot.time_ns > e.time_ns else e.time_ns - slot.time_ns
            rank = rank_of(slot, e)
            if rank >= 0 and apart <= SECOND and (rank > highest or (rank == highest and apart < least)):
                best, highest, least = i, rank, apart
        if best < 0:
            return NULL
        self.tags[base + best] = 0
        return &self.slots[base + best]

    cdef void join(self, twin_slot *twin, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
        """Has the two refer to each other, as groups and as single records."""
        # a crowded group's members come from many senders: none of these is the twin of all
        if not table.groups[index].key.facts.flags & CROWDED:
            table.groups[index].twin = twin.group_number
        if kept >= 0:
            table.samples[kept].twin = twin.number
        if twin.flush == table.flushes:
            if table.groups[twin.group].twin == 0 and not table.groups[twin.group].key.facts.flags & CROWDED:
                table.groups[twin.group].twin = table.groups[index].number
            if twin.sample >= 0:
                table.samples[twin.sample].twin = number
