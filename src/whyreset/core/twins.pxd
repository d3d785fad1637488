from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.events cimport reset_event
from whyreset.core.table cimport Table

cdef struct twin_slot:
    uint64_t time_ns
    uint64_t number
    uint64_t group_number        # of the sent record's group
    uint64_t flush               # in which flush the two below hold
    int32_t group
    int32_t sample
    uint8_t local[16]
    uint8_t remote[16]
    uint16_t local_port, remote_port
    uint8_t wanted               # its other end is in the ring, for the next visit
    uint8_t family
    uint8_t to_syn               # it answers a SYN
    uint8_t in_flight            # it answers what was in flight when the connection was reset
    uint32_t seq                 # of the reset on the wire
    uint32_t ack

cdef struct arrival:
    const reset_event *event     # of a reset received, in the ring
    uint64_t hash
    uint64_t apart               # in time, from the one sent that is its twin so far
    int rank                     # of that one: see rank_of
    bint young                   # it is taken in the next visit
    twin_slot sent

cdef class Twins:
    cdef twin_slot *slots
    cdef uint32_t *tags          # 0: the slot is free
    cdef arrival *arrivals
    cdef int32_t *places
    cdef int arrived
    cdef uint64_t seed
    cdef void expect(self, const reset_event *e, bint young) noexcept nogil
    cdef bint is_awaited(self, const reset_event *e) noexcept nogil
    cdef void forget_arrivals(self) noexcept nogil
    cdef void sent(self, const reset_event *e, Table table, int index, int32_t kept, uint64_t number, bint in_flight) noexcept nogil
    cdef arrival *meet(self, const reset_event *e, const twin_slot *slot) noexcept nogil
    cdef void offer(self, const twin_slot *slot) noexcept nogil
    cdef twin_slot *find(self, const reset_event *e) noexcept nogil
    cdef twin_slot *find_earlier(self, const reset_event *e) noexcept nogil
    cdef void join(self, twin_slot *twin, Table table, int index, int32_t kept, uint64_t number) noexcept nogil
