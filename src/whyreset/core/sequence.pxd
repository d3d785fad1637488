# Sequence numbers: how they compare, and whether a segment's are of a connection.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from whyreset.core.events cimport reset_event
from whyreset.core.memory cimport closed

cdef enum:
    FLAG_ACK = 16
    STATE_SYN_SENT = 2

cdef inline int64_t sequence_difference(uint32_t a, uint32_t b) noexcept nogil:
    # RFC 9293 section 3.4: sequence numbers compare modulo 2**32
    cdef uint32_t d = a - b
    return <int64_t>d - (<int64_t>1 << 32) if d & 0x80000000U else <int64_t>d

cdef inline bint is_segment_of(const reset_event *e, const closed *row) noexcept nogil:
    """Whether a segment's numbers are of that connection, not of another between the same ports: nobody acknowledges
    what was never sent, or what came before the SYN."""
    cdef int64_t acknowledged = sequence_difference(e.trigger_ack, row.event.snd_nxt)
    cdef int64_t place = sequence_difference(e.trigger_seq, row.event.rcv_nxt)
    # SYN and FIN take a number each; beyond half of all numbers every one fits
    cdef int64_t sent = <int64_t>min(row.event.bytes_out, <uint64_t>1 << 31) + 2
    cdef int64_t came = <int64_t>min(row.event.bytes_in, <uint64_t>1 << 31) + 2
    if e.trigger_flags & FLAG_ACK and (acknowledged > 0 or acknowledged < -sent):
        return False
    # a SYN that was never answered did not learn the peer's numbers; no window is larger than 2**30 (RFC 7323 section 2.3)
    return row.event.state_before == STATE_SYN_SENT or -came <= place <= (<int64_t>1 << 30)
