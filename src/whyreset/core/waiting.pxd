from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.connections cimport connection, seen, segment

cdef enum:
    NO_REASON = 0xFF

cdef struct traits:     # observation.Traits, each as its place among the words that it may be; no padding
    uint8_t flags
    uint8_t handshake
    uint8_t opener
    uint8_t alone
    uint8_t state_lost
    uint8_t before
    uint8_t seq
    uint8_t ack
    uint8_t trigger             # its flags
    uint8_t trigger_none
    uint8_t trigger_payload
    uint8_t trigger_fits
    uint8_t trigger_new_data
    uint8_t delay
    uint8_t idle
    uint8_t sender_fin
    uint8_t receiver_fin
    uint8_t sender_sent_data
    uint8_t receiver_sent_data
    uint8_t sender_outstanding
    uint8_t receiver_outstanding
    uint8_t sender_unanswered
    uint8_t receiver_unanswered
    uint8_t sender_keepalives
    uint8_t receiver_keepalives
    uint8_t sender_window_zero
    uint8_t ttl
    uint8_t ip_id
    uint8_t payload
    uint8_t sender_resets
    uint8_t receiver_resets
    uint8_t earlier
    uint8_t sender_went_on
    uint8_t receiver_went_on
    uint8_t next_reset
    uint8_t trigger_again
    uint8_t trigger_completes
    uint8_t trigger_options
    uint8_t mptcp
    uint8_t spare[1]

cdef struct sighting:   # one reset
    traits traits
    uint64_t number
    uint64_t time_ns
    uint64_t hash
    seen trigger
    uint32_t frame
    uint32_t seq
    uint32_t ack
    uint32_t length
    uint32_t previous           # place of the reset before on the same connection that waits too; 0: none
    uint32_t next_seq
    uint64_t next_after_ns
    uint16_t flags
    uint16_t window
    uint16_t ip_id
    uint16_t name
    uint8_t ttl
    uint8_t side
    uint8_t timestamps
    uint8_t touched             # something followed on the connection
    uint8_t settled             # what followed is known
    uint8_t complete
    uint8_t has_next
    uint8_t has_extras
    uint8_t has_note
    uint8_t mptcp_reason        # RFC 8684 section 3.6; NO_REASON
    uint32_t sender_went_on
    uint32_t receiver_went_on
    uint32_t sender_resets
    uint32_t receiver_resets
    connection connection       # as it was before

cdef class Waiting:
    cdef sighting *ring
    cdef uint32_t size
    cdef uint32_t most
    cdef uint32_t head          # place of the one that waits longest
    cdef uint32_t used
    cdef uint64_t numbers
    cdef readonly uint64_t hurried
    cdef sighting *at(self, uint32_t place) noexcept nogil
    cdef bint is_full(self) noexcept nogil
    cdef sighting *add(self, connection *row, const segment *s) noexcept nogil
    cdef bint is_due(self, uint64_t time_ns) noexcept nogil
    cdef void settle(self, sighting *x, const connection *row) noexcept nogil
    cdef void settle_all(self, const connection *row) noexcept nogil
