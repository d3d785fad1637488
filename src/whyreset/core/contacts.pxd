from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.connections cimport connection, segment
from whyreset.core.events cimport close_event, reset_event

cdef enum:
    PLACES = 16         # that are told apart exactly
    OPENED = 8
    ADDRESSES = 4
    SKETCH_BITS = 7
    REGISTERS = 128     # 2 ** SKETCH_BITS
    HOT = 256

# how a place was tried, as bits
cdef enum:
    BY_CONNECT = 1      # a SYN with options as stacks send them
    BY_SYN = 2          # a SYN as programs make them
    BY_FIN = 4
    BY_NULL = 8
    BY_XMAS = 16
    BY_ACK = 32
    BY_MAIMON = 64
    BY_OTHER = 128

cdef struct place:
    uint32_t first_s
    uint16_t port
    uint16_t again
    uint8_t address     # index into remote.here; ADDRESSES: none of these
    uint8_t techniques

cdef struct remote:
    uint64_t netns_cookie
    uint8_t address[16]
    uint64_t began_ns
    uint64_t failed_ns              # its first place
    uint64_t last_ns
    uint64_t tries
    uint64_t accepted
    uint64_t addresses_seen         # a bit for each of 64 classes of addresses
    uint32_t netns_inode
    uint16_t low
    uint16_t high
    uint16_t opened[OPENED]
    uint8_t here[ADDRESSES][16]
    place places[PLACES]
    uint8_t registers[REGISTERS]
    uint8_t family
    uint8_t techniques
    uint8_t places_used
    uint8_t opened_used
    uint8_t here_used
    uint8_t crowded                 # more places than are told apart
    uint8_t listed
    uint8_t handshake

cdef struct hot:                    # new remotes that came to a port within a second
    uint64_t key
    uint64_t second
    uint32_t count

cdef class Contacts:
    cdef remote *rows
    cdef uint32_t *tags
    cdef uint32_t *changed          # rows to be told
    cdef hot *hots
    cdef uint64_t buckets
    cdef uint64_t seed
    cdef uint32_t listed
    cdef remote *latest
    cdef readonly uint64_t held
    cdef readonly uint64_t forgotten
    cdef readonly uint64_t passed
    cdef void refused(self, const reset_event *e) noexcept nogil
    cdef void closed(self, const close_event *e) noexcept nogil
    cdef void refused_on_wire(self, const connection *row, const segment *s) noexcept nogil
    cdef void answered_on_wire(self, const connection *row) noexcept nogil
    cdef void fail(self, uint64_t netns, uint32_t inode, uint8_t family, const uint8_t *address, const uint8_t *here, uint16_t port,
                   uint8_t technique, uint64_t time_ns) noexcept nogil
    cdef void succeed(self, uint64_t netns, uint8_t family, const uint8_t *address, uint16_t port, bint was_asked, bint proven,
                      uint64_t time_ns) noexcept nogil
    cdef remote *find(self, uint64_t netns, uint8_t family, const uint8_t *address, uint64_t time_ns, bint make, uint32_t rate_key) noexcept nogil
    cdef bint is_hot(self, uint64_t netns, uint32_t port, uint64_t time_ns) noexcept nogil
    cdef void show(self, remote *r) noexcept nogil
    cdef object failed(self, remote *r)
    cdef object value(self, remote *r)
