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
#: an active reset is traced after it was transmitted, so that its receiver on this host is traced up to so long before
cdef uint64_t TRACED_LATER = 1000000


cdef inline uint64_t distance(uint64_t a, uint64_t b) noexcept nogil:
    return a - b if a > b else b - a


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

    cdef void expect(self, const reset_event *e, uint64_t position) noexcept nogil:
        """A reset received, in the ring at `position`: its twin may be among what was sent."""
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
        a.position = position
        a.apart = SECOND + 1
        self.arrived += 1
        self.places[slot] = self.arrived

    cdef uint64_t awaited(self, const reset_event *e) noexcept nogil:
        """The position of the reset received just before this one was traced as sent; beyond all others if none was."""
        cdef arrival *a = self.nearest(e, TRACED_LATER) if self.arrived else NULL
        return a.position if a != NULL and a.event.time_ns <= e.time_ns else 0xFFFFFFFFFFFFFFFFULL

    cdef void forget_from(self, uint64_t position) noexcept nogil:
        """Those at or after this position are not taken in this visit: nothing sent shall be joined to them yet."""
        cdef int i
        for i in range(self.arrived):
            if self.arrivals[i].position >= position:
                self.arrivals[i].apart = 0

    cdef arrival *nearest(self, const reset_event *e, uint64_t within) noexcept nogil:
        """The reset received of the same four-tuple that is nearest in time, if it is near enough and nearer than any before."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t slot = h % ARRIVAL_SLOTS, apart, least = within + 1
        cdef arrival *a
        cdef arrival *found = NULL
        while self.places[slot]:
            a = &self.arrivals[self.places[slot] - 1]
            slot = (slot + 1) % ARRIVAL_SLOTS
            if (a.hash != h or a.event.local_port != e.remote_port or a.event.remote_port != e.local_port
                    or memcmp(a.event.local, e.remote, 16) != 0 or memcmp(a.event.remote, e.local, 16) != 0):
                continue
            apart = distance(a.event.time_ns, e.time_ns)
            if apart < least and apart < a.apart:
                found, least = a, apart
        return found

    cdef void forget_arrivals(self) noexcept nogil:
        """Their records leave the ring."""
        if self.arrived:
            memset(self.places, 0, ARRIVAL_SLOTS * sizeof(int32_t))
            self.arrived = 0

    cdef void sent(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
        """A reset was sent: it may have arrived here, or will."""
        if not (self.arrived and self.meet(e, table, index, kept, number)):
            self.offer(e, table, index, kept, number)

    cdef bint meet(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
        """Joins what was sent to the nearest reset received of the same four-tuple; false where none came.

        One four-tuple may be reset twice, as by the echo of a segment in flight: the nearest in time is the twin.
        """
        cdef arrival *a = self.nearest(e, SECOND)
        if a == NULL:
            return False
        a.apart = distance(a.event.time_ns, e.time_ns)
        fill(&a.sent, table, index, kept, number)
        return True

    cdef void offer(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number) noexcept nogil:
        """For a reset that arrives in a later visit."""
        cdef uint64_t h = hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        cdef uint64_t base = h % (TWINS // TWIN_WAYS) * TWIN_WAYS, place = base + number % TWIN_WAYS
        cdef twin_slot *slot
        cdef int i
        for i in range(TWIN_WAYS):
            if self.tags[base + i] == 0:
                place = base + i
                break
        self.tags[place] = <uint32_t>(h >> 32) | 1
        slot = &self.slots[place]
        slot.time_ns = e.time_ns
        fill(slot, table, index, kept, number)
        memcpy(slot.local, e.local, 16)
        memcpy(slot.remote, e.remote, 16)
        slot.local_port = e.local_port
        slot.remote_port = e.remote_port

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
            apart = distance(slot.time_ns, e.time_ns)
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
