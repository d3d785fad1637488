# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Groups of like resets within one flush: bounded, and so that one kind of reset cannot crowd out the others."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.events cimport reset_event
from whyreset.core.groups cimport remotes_add

import os

cdef enum:
    GROUPS = 1024
    NAMESPACES = 64        # groups kept back for what is told apart by namespace alone
    SLOTS = 4096
    KINDS = 1024
    PORTS = 65536          # bits; ports that share one are of one kind


cdef inline uint16_t spot(uint64_t netns_cookie, uint16_t port) noexcept nogil:
    return <uint16_t>(netns_cookie * 40503) ^ port


cdef class Table:
    """Groups and the single records kept of them.

    Args:
        group_limit: how many groups one flush may tell apart; what is beyond is grouped without port and process.
        kind_limit: how many of them may be of one kind, so that no flood hides the rest: the same facts, in the same
            namespace, of ports that somebody listened on or of such that nobody did.
        sample_limit: how many single records one flush may hold.
        samples_per_group: how many of them one group may hold.
        samples_per_kind: how many of them may be of one kind, beyond the first of each group.
    """

    def __cinit__(self, int group_limit, int kind_limit, int sample_limit, uint32_t samples_per_group, int samples_per_kind):
        if not 1 <= group_limit <= GROUPS - 2 * NAMESPACES or kind_limit < 1 or sample_limit < 1:
            raise ValueError("limits out of range")
        self.group_limit = group_limit
        self.kind_limit = kind_limit
        self.sample_limit = sample_limit
        self.samples_per_group = samples_per_group
        self.samples_per_kind = samples_per_kind
        self.groups = <group *>calloc(GROUPS, sizeof(group))
        self.slots = <int32_t *>calloc(SLOTS, sizeof(int32_t))
        self.kinds = <uint16_t *>calloc(KINDS, sizeof(uint16_t))
        self.kinds_kept = <uint16_t *>calloc(KINDS, sizeof(uint16_t))
        self.served = <uint8_t *>calloc(PORTS // 8, 1)
        self.samples = <sample *>calloc(sample_limit, sizeof(sample))
        if self.groups == NULL or self.slots == NULL or self.kinds == NULL or self.kinds_kept == NULL or self.served == NULL or self.samples == NULL:
            raise MemoryError
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.flushes = 1

    def __dealloc__(self):
        free(self.groups)
        free(self.slots)
        free(self.kinds)
        free(self.kinds_kept)
        free(self.served)
        free(self.samples)

    cdef void serve(self, uint64_t netns_cookie, uint16_t port) noexcept nogil:
        """Somebody listens there: its resets are of another kind than those of ports that nobody ever had.

        A scan tries so many of these that the clients of a service that has just died would be lost among them.
        """
        cdef uint16_t bit = spot(netns_cookie, port)
        self.served[bit >> 3] |= <uint8_t>(1 << (bit & 7))

    cdef int place(self, group_key *key, uint64_t number) noexcept nogil:
        """The group that a record belongs to; where there is no room for it, one that tells less apart."""
        cdef uint64_t word
        cdef uint8_t direction
        cdef uint16_t bit
        cdef int kind, index
        # in a flood most records are like the one before
        if self.latest < self.used and memcmp(&self.groups[self.latest].key, key, sizeof(group_key)) == 0:
            return self.latest
        memcpy(&word, &key.facts.direction, 8)
        bit = spot(key.netns_cookie, key.port)
        word ^= self.seed ^ <uint64_t>key.facts.flags << 17 ^ key.netns_cookie << 7 ^ <uint64_t>(self.served[bit >> 3] >> (bit & 7) & 1) << 3
        kind = (word * 0x9E3779B97F4A7C15ULL >> 32) % KINDS
        index = self.lookup(key, number, self.group_limit if self.kinds[kind] < self.kind_limit else 0)
        if index >= 0:
            self.kinds[kind] += self.groups[index].count == 0
            self.groups[index].kind = kind
            self.latest = index
            return index
        # one like it without port and processes
        self.crowded += 1
        key.facts.flags |= CROWDED
        key.owner_pid = key.closer_pid = key.exit_code = 0
        key.owner_start_ns = key.closer_start_ns = key.twin_group = 0
        key.owner_via = 0
        key.port = 0
        index = self.lookup(key, number, GROUPS - NAMESPACES - 2)
        if index >= 0:
            return index
        # of so many kinds only the namespace, so that its account stays right
        direction = key.facts.direction
        memset(&key.facts, 0, sizeof(facts_key))
        key.facts.flags = CROWDED
        key.facts.direction = direction
        index = self.lookup(key, number, GROUPS - 2)
        if index >= 0:
            return index
        # nothing told apart but the direction
        key.netns_cookie = 0
        key.netns_inode = 0
        return self.lookup(key, number, GROUPS)

    cdef int lookup(self, const group_key *key, uint64_t number, int limit) noexcept nogil:
        """The group's place; a new one while fewer than `limit` are used; -1 when there is no room."""
        cdef uint64_t h = self.seed, word
        cdef const uint8_t *bytes = <const uint8_t *>key
        cdef size_t i
        cdef uint32_t slot
        cdef group *g
        for i in range(0, sizeof(group_key), 8):
            memcpy(&word, bytes + i, 8)
            h = (h ^ word) * 0x9E3779B97F4A7C15ULL
            h ^= h >> 29
        slot = <uint32_t>(h >> 32) % SLOTS
        while self.slots[slot]:
            g = &self.groups[self.slots[slot] - 1]
            if g.hash == h and memcmp(&g.key, key, sizeof(group_key)) == 0:
                return self.slots[slot] - 1
            slot = (slot + 1) % SLOTS
        if self.used >= limit:
            return -1
        g = &self.groups[self.used]
        memset(g, 0, sizeof(group))
        g.key = key[0]
        g.hash = h
        g.number = number
        g.first_sample = -1
        self.used += 1
        self.slots[slot] = self.used
        return self.used - 1

    cdef void count(self, int index, const reset_event *e, uint64_t number) noexcept nogil:
        cdef group *g = &self.groups[index]
        if g.count == 0 or e.time_ns < g.first_ns:
            g.first_ns = e.time_ns
        if e.time_ns > g.last_ns:
            g.last_ns = e.time_ns
        g.count += 1
        g.last_number = number
        if e.family:
            remotes_add(&g.remotes, self.seed, e.family, e.remote)

    cdef int32_t keep(self, int index, const reset_event *e, uint64_t number, uint32_t ended_ms) noexcept nogil:
        """Keeps the record itself, if there is room; its place, or -1."""
        cdef group *g = &self.groups[index]
        cdef sample *s
        if self.samples_used >= self.sample_limit or g.kept >= self.samples_per_group:
            return -1
        # each group has a first sample: room for those that may still come is kept back
        if g.kept and self.sample_limit - self.samples_used <= self.group_limit - self.used:
            return -1
        if g.kept and self.kinds_kept[g.kind] >= self.samples_per_kind:
            return -1
        self.kinds_kept[g.kind] += g.kept > 0
        s = &self.samples[self.samples_used]
        s.event = e[0]
        s.number = number
        s.twin = 0
        s.ended_ms = ended_ms
        s.next = -1
        if g.first_sample < 0:
            g.first_sample = self.samples_used
        else:
            self.samples[g.last_sample].next = self.samples_used
        g.last_sample = self.samples_used
        g.kept += 1
        self.samples_used += 1
        return g.last_sample

    cdef void clear(self) noexcept nogil:
        """Begins the next flush."""
        if self.used:
            memset(self.slots, 0, SLOTS * sizeof(int32_t))
            memset(self.kinds, 0, KINDS * sizeof(uint16_t))
            memset(self.kinds_kept, 0, KINDS * sizeof(uint16_t))
        self.used = 0
        self.samples_used = 0
        self.flushes += 1
