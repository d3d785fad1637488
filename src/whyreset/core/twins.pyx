# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Both ends on this host: the reset that was sent and the one that was received are the same.

What was received is indexed before what was sent is looked at, so that a flood, which gets nothing back, costs nothing
and crowds nothing out. What was sent waits a second for a reset that arrives in a later visit.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.events cimport reset_event
from whyreset.core.memory cimport hash_tuple
from whyreset.core.table cimport CROWDED, Table

import os

cdef enum:
    TWINS = 8192
    TWIN_WAYS = 8
    ARRIVALS = 2048
    ARRIVAL_SLOTS = 4096

cdef uint64_t SECOND = 1000000000


cdef inline void fill(twin_slot *slot, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
    slot.number = number
    slot.group_number = table.groups[index].number
    slot.flush = table.flushes
    slot.group = index
    slot.sample = kept


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
        a.young = young
        self.arrived += 1
        self.places[slot] = self.arrived

    cdef void forget_arrivals(self) noexcept nogil:
        """Their records leave the ring."""
        if self.arrived:
            memset(self.places, 0, ARRIVAL_SLOTS * sizeof(int32_t))
            self.arrived = 0

    cdef void sent(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
        """A reset was sent: it may have arrived here, or will."""
        cdef arrival *a = self.meet(e) if self.arrived else NULL
        if a != NULL and not a.young:
            fill(&a.sent, table, index, kept, number)
        else:
            fill(self.offer(e, number, a != NULL), table, index, kept, number)

    cdef arrival *meet(self, const reset_event *e) noexcept nogil:
        """The nearest reset received of the same four-tuple, if it has no nearer twin; NULL where none came.

        One four-tuple may be reset twice, as by the echo of a segment in flight: the nearest in time is the twin.
        """
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t slot = h % ARRIVAL_SLOTS, apart
        cdef arrival *a
        cdef arrival *nearest = NULL
        cdef uint64_t least = SECOND + 1
        while self.places[slot]:
            a = &self.arrivals[self.places[slot] - 1]
            slot = (slot + 1) % ARRIVAL_SLOTS
            if (a.hash != h or a.event.local_port != e.remote_port or a.event.remote_port != e.local_port
                    or memcmp(a.event.local, e.remote, 16) != 0 or memcmp(a.event.remote, e.local, 16) != 0):
                continue
            apart = a.event.time_ns - e.time_ns if a.event.time_ns > e.time_ns else e.time_ns - a.event.time_ns
            if apart < least and apart < a.apart:
                nearest, least = a, apart
        if nearest != NULL:
            nearest.apart = least
        return nearest

    cdef twin_slot *offer(self, const reset_event *e, uint64_t number, bint wanted) noexcept nogil:
        """A place for what may arrive in a later visit; those whose other end is known to come keep theirs in a flood."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t base = h % (TWINS // TWIN_WAYS) * TWIN_WAYS, place = base + number % TWIN_WAYS
        cdef twin_slot *slot
        cdef int i
        for i in range(TWIN_WAYS):
            if self.tags[base + i] == 0:
                place = base + i
                break
            slot = &self.slots[base + i]
            if self.slots[place].wanted and (not slot.wanted or slot.time_ns + SECOND < e.time_ns):
                place = base + i
        self.tags[place] = <uint32_t>(h >> 32) | 1
        slot = &self.slots[place]
        slot.time_ns = e.time_ns
        slot.wanted = wanted
        memcpy(slot.local, e.local, 16)
        memcpy(slot.remote, e.remote, 16)
        slot.local_port = e.local_port
        slot.remote_port = e.remote_port
        return slot

    cdef twin_slot *find(self, const reset_event *e) noexcept nogil:
        """The reset sent that arrived here as this one, if this host sent it; each serves once."""
        cdef uint64_t h, slot
        cdef arrival *a
        h = hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)
        slot = h % ARRIVAL_SLOTS
        while self.places[slot]:
            a = &self.arrivals[self.places[slot] - 1]
            if a.event == e:
                return &a.sent if a.apart <= SECOND else self.find_earlier(e)
            slot = (slot + 1) % ARRIVAL_SLOTS
        return self.find_earlier(e)

    cdef twin_slot *find_earlier(self, const reset_event *e) noexcept nogil:
        """The same among what was sent in earlier visits."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)
        cdef uint64_t base = h % (TWINS // TWIN_WAYS) * TWIN_WAYS, apart, least = SECOND + 1
        cdef uint32_t tag = <uint32_t>(h >> 32) | 1
        cdef twin_slot *slot
        cdef int i, nearest = -1
        for i in range(TWIN_WAYS):
            if self.tags[base + i] != tag:
                continue
            slot = &self.slots[base + i]
            apart = slot.time_ns - e.time_ns if slot.time_ns > e.time_ns else e.time_ns - slot.time_ns
            if (apart < least and slot.local_port == e.remote_port and slot.remote_port == e.local_port
                    and memcmp(slot.local, e.remote, 16) == 0 and memcmp(slot.remote, e.local, 16) == 0):
                nearest, least = i, apart
        if nearest < 0:
            return NULL
        self.tags[base + nearest] = 0
        return &self.slots[base + nearest]

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
