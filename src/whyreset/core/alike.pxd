from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.distinct cimport accounts
from whyreset.core.groups cimport frequent
from whyreset.core.waiting cimport sighting, traits

cdef enum:
    # what of a group's key is told
    SENDER = 1
    RECEIVER = 2
    PORT = 4

cdef struct alike_key:      # no padding
    traits traits
    uint8_t sender[16]
    uint8_t receiver[16]
    uint32_t network
    uint16_t port
    uint8_t family
    uint8_t told

cdef struct alike:
    alike_key key
    uint64_t count
    uint64_t first_ns
    uint64_t last_ns
    uint64_t number         # of the sample
    uint32_t next           # the next group of the same hash + 1
    int32_t crowd           # its accounts, where senders, receivers or ports are put together; -1: none
    sighting sample

cdef struct crowd:          # those of its members that the key does not tell
    frequent senders
    frequent receivers
    frequent ports
    accounts noted

cdef uint16_t service_port(const sighting *x) noexcept nogil

cdef class Alike:
    cdef alike *groups
    cdef crowd *crowds
    cdef uint32_t *index
    cdef readonly uint32_t used
    cdef uint32_t crowds_used
    cdef uint32_t limits[4]
    cdef uint32_t held[4]
    cdef uint64_t seed
    cdef bint add(self, const sighting *x) noexcept nogil
    cdef alike *find(self, const alike_key *key, uint64_t hash) noexcept nogil
    cdef alike *open(self, const alike_key *key, uint64_t hash, const sighting *x, bint crowded) noexcept nogil
    cdef void clear(self) noexcept nogil
