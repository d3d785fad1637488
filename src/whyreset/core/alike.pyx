# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Resets that are alike, counted together, so that Python sees groups.

First each group has one sender, one receiver and one port. Where there are too many of those, resets are put together by
whom they are for (a scanner gets resets from many hosts and ports), then by who sends them (a spoofed flood goes to many),
then by traits alone; a bounded account of senders, receivers and ports stands beside each.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.connections cimport *
from whyreset.core.distinct cimport note_address, note_port
from whyreset.core.groups cimport frequent_add
from whyreset.core.waiting cimport sighting

import os

cdef enum:
    INDEX = 4096


cdef inline uint64_t hash_key(const alike_key *key, uint64_t seed) noexcept nogil:
    cdef const uint64_t *words = <const uint64_t *>key
    cdef size_t i
    for i in range(sizeof(alike_key) // 8):
        seed = (seed ^ words[i]) * 0x9E3779B97F4A7C15ULL
        seed ^= seed >> 29
    return seed


cdef uint16_t service_port(const sighting *x) noexcept nogil:
    """The acceptor's port; where nobody knows who that is, of whoever only answered, else the lower one."""
    cdef uint32_t ports = x.connection.ports
    cdef uint8_t opener = x.connection.opener
    if opener == NOBODY and not x.connection.sides[x.side].packets:
        if x.connection.sides[1 - x.side].packets or (x.seq == 0 and x.flags & ACK):
            opener = 1 - x.side
    if opener == NOBODY:
        return <uint16_t>min(ports >> 16, ports & 0xFFFF)
    return <uint16_t>(ports & 0xFFFF) if opener == 0 else <uint16_t>(ports >> 16)


cdef class Alike:
    """Room for `limits` groups: those told apart in all, by receiver, by sender, by traits."""

    def __cinit__(self, limits=(512, 128, 128, 256)):
        cdef int i
        for i in range(4):
            self.limits[i] = limits[i]
        self.groups = <alike *>malloc(sum(limits) * sizeof(alike))
        self.crowds = <crowd *>malloc(sum(limits[1:]) * sizeof(crowd))
        self.index = <uint32_t *>calloc(INDEX, sizeof(uint32_t))
        if self.groups == NULL or self.crowds == NULL or self.index == NULL:
            raise MemoryError
        self.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        free(self.groups)
        free(self.crowds)
        free(self.index)

    cdef alike *find(self, const alike_key *key, uint64_t hash) noexcept nogil:
        cdef uint32_t at = self.index[hash & (INDEX - 1)]
        while at:
            if memcmp(&self.groups[at - 1].key, key, sizeof(alike_key)) == 0:
                return &self.groups[at - 1]
            at = self.groups[at - 1].next
        return NULL

    cdef alike *open(self, const alike_key *key, uint64_t hash, const sighting *x, bint crowded) noexcept nogil:
        cdef alike *group = &self.groups[self.used]
        group.key = key[0]
        group.count = 0
        group.first_ns = x.time_ns
        group.last_ns = x.time_ns
        group.sample = x[0]
        group.next = self.index[hash & (INDEX - 1)]
        group.crowd = -1
        if crowded:
            group.crowd = self.crowds_used
            memset(&self.crowds[self.crowds_used], 0, sizeof(crowd))
            self.crowds_used += 1
        self.used += 1
        self.index[hash & (INDEX - 1)] = self.used
        return group

    cdef bint add(self, const sighting *x) noexcept nogil:
        """Counts one; whether it became a sample."""
        cdef alike_key key
        cdef alike *group = NULL
        cdef const uint8_t *low = <const uint8_t *>&x.connection.ends[0]
        cdef const uint8_t *high = <const uint8_t *>&x.connection.ends[2]
        cdef const uint8_t *sender = low if x.side == 0 else high
        cdef const uint8_t *receiver = high if x.side == 0 else low
        cdef uint8_t port[16]
        cdef uint64_t hash
        cdef int level
        cdef crowd *accounts
        memset(&key, 0, sizeof(key))
        memset(port, 0, 16)
        key.traits = x.traits
        key.family = x.connection.family
        key.network = x.connection.network
        key.port = service_port(x)
        memcpy(port, &key.port, 2)
        memcpy(key.sender, sender, 16)
        memcpy(key.receiver, receiver, 16)
        for level in range(4):
            if level == 1:
                key.told = RECEIVER
                key.port = 0
                memset(key.sender, 0, 16)
            elif level == 2:
                key.told = SENDER
                memcpy(key.sender, sender, 16)
                memset(key.receiver, 0, 16)
            elif level == 3:
                key.told = 0
                key.family = 0
                key.network = 0
                memset(key.sender, 0, 16)
            else:
                key.told = SENDER | RECEIVER | PORT
            hash = hash_key(&key, self.seed)
            group = self.find(&key, hash)
            if group != NULL:
                break
            # the last level takes whatever comes
            if self.held[level] < self.limits[level]:
                self.held[level] += 1
                group = self.open(&key, hash, x, level > 0)
                break
        if group == NULL:
            # even the kinds are too many: the last one stands for the rest, counted though not told apart
            group = &self.groups[self.used - 1]
        group.count += 1
        group.first_ns = min(group.first_ns, x.time_ns)
        group.last_ns = max(group.last_ns, x.time_ns)
        if group.crowd >= 0:
            accounts = &self.crowds[group.crowd]
            if not group.key.told & SENDER:
                frequent_add(&accounts.senders, x.connection.family, sender)
                note_address(accounts.noted.senders, sender)
            if not group.key.told & RECEIVER:
                frequent_add(&accounts.receivers, x.connection.family, receiver)
                note_address(accounts.noted.receivers, receiver)
            frequent_add(&accounts.ports, 0, port)
            note_port(accounts.noted.ports, service_port(x))
        return group.sample.number == x.number

    cdef void clear(self) noexcept nogil:
        self.used = 0
        self.crowds_used = 0
        memset(self.held, 0, sizeof(self.held))
        memset(self.index, 0, INDEX * sizeof(uint32_t))
