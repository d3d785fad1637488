"""What is remembered of a TCP connection, and of the segments that are being taken in."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from whyreset.core.dissect cimport tunnel
from whyreset.core.hashing cimport fold
from whyreset.core.octets cimport octets, prefetch

cdef enum:
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16

    # seen.valid
    SEEN = 1
    AGAIN_SEEN = 2      # it brought nothing new
    COMPLETES = 4       # it completed the handshake
    HAS_OPTIONS = 8

    # side.known
    ISN = 1
    NEXT = 2
    ACKED = 4
    FINISHED = 8
    SCALE = 16
    TIMESTAMPS = 32

    NOBODY = 2          # for a side: neither
    HISTORY = 23

cdef extern from *:
    uint32_t MOST_NS "0xFFFFFFFFU"

cdef enum handshake:
    NOTHING
    SYN_SEEN
    SYN_ACK_SEEN
    COMPLETE

cdef enum ending:       # of the connection that had the same ends before
    NO_ENDING
    STILL_OPEN
    HALF_CLOSED
    ORDERLY
    WAS_RESET

cdef struct segment:
    uint64_t time_ns
    uint64_t ends[4]        # both addresses, the lower end first
    uint64_t hash
    uint32_t ports          # the lower end's, then the other's
    uint32_t network
    uint32_t frame
    uint32_t seq
    uint32_t ack
    uint32_t length
    uint32_t interface
    uint16_t flags
    uint16_t window
    uint16_t ip_id
    uint16_t name           # of the interface
    uint8_t ttl
    uint8_t family
    uint8_t side            # 0: the lower end sent it
    uint8_t options         # bytes of TCP options
    uint8_t tunnels_used
    octets tcp              # header, options, payload; valid while its block is
    const uint8_t *comment
    const uint8_t *note
    uint16_t comment_length
    uint16_t note_length
    tunnel *tunnels

cdef struct seen:
    uint64_t time_ns
    uint32_t frame
    uint32_t seq
    uint32_t ack
    uint32_t length
    uint16_t flags
    uint16_t valid

cdef struct side:           # two cache lines
    seen last               # that was no reset
    seen before             # the last one with another acknowledgement than that
    uint64_t bytes
    uint32_t isn
    uint32_t next           # one beyond the highest number sent
    uint32_t acked          # the highest number acknowledged
    uint32_t fin_end
    uint32_t packets
    uint32_t fastest_ns     # MOST_NS: it has not answered yet
    uint32_t went_on        # segments after its own reset that sent or acknowledged something new
    uint16_t resets
    uint16_t window
    uint16_t ip_id
    uint16_t ip_id_before
    uint16_t letters        # of the history: which there are
    uint8_t known
    uint8_t scale
    uint8_t ttl_min
    uint8_t ttl_max
    uint8_t unanswered
    uint8_t keepalives
    uint8_t asks            # it sent something new at `asked_ns` that is not acknowledged yet
    uint64_t asked_ns

cdef struct connection:     # six cache lines
    uint64_t ends[4]
    uint32_t ports
    uint32_t network
    uint64_t number
    uint64_t began_ns
    uint32_t began_frame
    uint8_t opener          # the side that sent the SYN, or NOBODY
    uint8_t first           # the side that was seen first
    uint8_t shaken          # handshake
    uint8_t before          # ending
    side sides[2]
    uint64_t reset_ns       # of the last reset
    uint32_t reset_frame
    uint32_t reset_seq
    uint32_t reset_ack
    uint32_t waiting        # the reset of it that waits for what follows, by its place; 0: none
    uint32_t hash           # its lower half
    uint16_t reset_flags
    uint16_t reset_ip_id
    uint16_t reset_name
    uint8_t reset_ttl
    uint8_t reset_by        # or NOBODY
    uint8_t family
    uint8_t lost            # this may be an open connection that was forgotten
    uint8_t kind
    uint8_t history_used
    uint8_t history[HISTORY]

cdef enum kind:             # how much a connection is worth remembering, the least first
    REFUSED
    UNANSWERED
    ENDED
    OPEN
    KINDS

cdef inline int32_t distance(uint32_t a, uint32_t b) noexcept nogil:
    """How far `a` is beyond `b`: sequence numbers compare modulo 2**32 (RFC 9293 section 3.4)."""
    return <int32_t>(a - b)

cdef struct slot:
    uint32_t hash
    uint32_t row                # its number from 1; 0: free

cdef struct link:
    uint32_t before
    uint32_t after

cdef class Connections:
    cdef connection *rows
    cdef link *links            # rows of one kind are in one list, in the order in which they became that
    cdef uint32_t first[KINDS]
    cdef uint32_t last[KINDS]
    cdef uint64_t not_before[KINDS]     # when one of them may have expired, at the earliest
    cdef uint32_t used
    cdef uint32_t capacity
    cdef slot *slots            # open addressing, at most half full
    cdef uint32_t mask
    cdef uint64_t seeds[2]
    cdef uint64_t *forgotten    # a Bloom filter of what was evicted
    cdef uint64_t evicted[KINDS]
    cdef connection *vacate(self, uint64_t hash, uint64_t time_ns) noexcept nogil
    cdef void become(self, connection *row, uint8_t kind) noexcept nogil
    cdef uint32_t expired(self, uint64_t time_ns) noexcept nogil
    cdef void fetch(self, uint32_t row) noexcept nogil
    cdef uint32_t victim(self) noexcept nogil
    cdef void append(self, uint32_t row, uint8_t kind) noexcept nogil
    cdef void unlink(self, uint32_t row, uint8_t kind) noexcept nogil
    cdef void remove(self, uint32_t row) noexcept nogil
    cdef bint grow(self) noexcept nogil
    cdef void forget(self, uint32_t hash) noexcept nogil
    cdef bint was_forgotten(self, uint64_t hash) noexcept nogil


cdef inline uint64_t hash_ends(Connections table, const uint64_t *ends, uint32_t ports, uint32_t network) noexcept nogil:
    cdef uint64_t state = fold(ends[0] ^ table.seeds[0], ends[1] ^ table.seeds[1])
    state ^= fold(ends[2] ^ table.seeds[1] ^ 0x9E3779B97F4A7C15ULL, ends[3] ^ table.seeds[0])
    return fold(state ^ ports ^ <uint64_t>network << 32, 0xD6E8FEB86659FD93ULL ^ table.seeds[0])


cdef inline void fetch_slot(Connections table, uint64_t hash) noexcept nogil:
    """Has the processor load the slot that will be looked at."""
    prefetch(&table.slots[<uint32_t>hash & table.mask])


cdef inline void fetch_row(Connections table, uint64_t hash) noexcept nogil:
    """Has the processor load the row that will be looked at."""
    cdef uint32_t at = <uint32_t>hash & table.mask
    cdef char *row
    while table.slots[at].row:
        if table.slots[at].hash == <uint32_t>hash:
            row = <char *>&table.rows[table.slots[at].row]
            prefetch(row)
            prefetch(row + 64)
            prefetch(row + 128)
            prefetch(row + 192)
            prefetch(row + 256)
            prefetch(row + 320)
            return
        at = (at + 1) & table.mask


cdef inline connection *find_row(Connections table, const uint64_t *ends, uint32_t ports, uint32_t network, uint64_t hash) noexcept nogil:
    """The connection between these ends; NULL where it is not remembered."""
    cdef uint32_t at = <uint32_t>hash & table.mask
    cdef connection *row
    while table.slots[at].row:
        if table.slots[at].hash == <uint32_t>hash:
            row = &table.rows[table.slots[at].row]
            if row.ports == ports and row.network == network and memcmp(row.ends, ends, 32) == 0:
                return row
        at = (at + 1) & table.mask
    return NULL
