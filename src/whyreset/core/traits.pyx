# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The discrete features of a reset, from its connection as it was before: observation.Traits says what each means.

Where a feature has several words, the number is the place of the word in its tuple in core/observations.pyx.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.connections cimport *
from whyreset.core.octets cimport u8
from whyreset.core.follow cimport silence_ns
from whyreset.core.waiting cimport NO_REASON, sighting, traits

cdef enum:
    SECOND = 1000000000
    # a TTL this far from the sender's own may still be another path's
    NEAR_TTL = 2
    # how far an IP identification that counts up may have come since the last segment
    NEAR_ID = 256
    # an answer this many times faster than the sender's fastest was not the sender's
    TOO_EARLY = 4
    # sent again so often without an answer, the peer is gone
    MANY = 3


cdef uint8_t fin_of(const side *me, const side *peer) noexcept nogil:
    if not me.known & FINISHED:
        return 0
    return 2 if peer.known & ACKED and distance(peer.acked, me.fin_end) >= 0 else 1


cdef bint is_outstanding(const side *me, const side *peer) noexcept nogil:
    if not me.known & NEXT:
        return False
    if peer.known & ACKED:
        return distance(me.next, peer.acked) > 0
    return me.known & ISN and me.bytes > 0


cdef bint unacknowledged_data(const side *me, const side *peer, const seen *trigger) noexcept nogil:
    """Whether data came that was not acknowledged: with the trigger, or right before a FIN that brought none."""
    cdef uint32_t end = trigger.seq + trigger.length
    if not me.known & ACKED:
        return trigger.length > 0
    return distance(end, me.acked) > 0 and (trigger.length > 0 or trigger.flags & FIN)


cdef uint8_t count(uint32_t number) noexcept nogil:
    return 2 if number > 1 else <uint8_t>number


cdef uint8_t place_of_seq(const side *me, const side *peer, const segment *s) noexcept nogil:
    cdef int32_t beyond
    cdef uint32_t window
    if s.seq == 0 and s.flags & ACK and not (me.known & NEXT and me.next == 0):
        return 1
    if not me.known & NEXT:
        return 0
    beyond = distance(s.seq, me.next)
    if beyond == 0:
        return 2
    if beyond < 0:
        return 3
    window = 65535
    if peer.packets:
        window = <uint32_t>peer.window << (peer.scale if me.known & peer.known & SCALE else 0)
        # nobody knows the scale of a connection whose beginning was not seen
        if not (me.known & peer.known & ISN):
            window <<= 14
    return 4 if <uint32_t>beyond <= window else 5


cdef uint8_t place_of_ack(const side *peer, const segment *s) noexcept nogil:
    cdef int32_t beyond
    if not s.flags & ACK:
        return 0
    if not peer.known & NEXT:
        return 1
    beyond = distance(s.ack, peer.next)
    if beyond == 0:
        return 2
    return 3 if beyond < 0 else 4


cdef uint8_t fits(const seen *other, const segment *s) noexcept nogil:
    """How a reset answers a segment: RFC 9293 section 3.10.7.1, «if the ACK bit is off, sequence number zero is used,
    <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>; if the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>»."""
    if not other.valid:
        return 0
    if other.flags & ACK:
        return 1 if not s.flags & ACK and s.seq == other.ack else 0
    if s.flags & ACK and s.seq == 0 and s.ack == other.seq + other.length + (other.flags & SYN != 0) + (other.flags & FIN != 0):
        return 2
    return 0


cdef uint8_t compare_ttl(const side *me, const segment *s) noexcept nogil:
    if not me.packets:
        return 0
    if me.ttl_min <= s.ttl <= me.ttl_max:
        return 1
    return 2 if me.ttl_min - NEAR_TTL <= <int>s.ttl <= me.ttl_max + NEAR_TTL else 3


cdef uint8_t compare_id(const side *me, const segment *s) noexcept nogil:
    cdef uint16_t step = <uint16_t>(me.ip_id - me.ip_id_before)
    if s.family != 4 or me.packets < 2 or step == 0 or step > NEAR_ID:
        return 0
    if s.ip_id == 0:
        return 1
    step = <uint16_t>(s.ip_id - me.ip_id)
    return 2 if 0 < step <= NEAR_ID else 3


cdef void read_multipath(sighting *x, const segment *s) noexcept nogil:
    """What Multipath TCP says in the reset (RFC 8684 sections 3.5 and 3.6)."""
    cdef uint32_t at = 20, end = 20 + s.options
    cdef uint8_t kind, size, subtype
    x.mptcp_reason = NO_REASON
    while at < end:
        kind = u8(&s.tcp, at)
        if kind == 0:
            return
        if kind == 1:
            at += 1
            continue
        size = u8(&s.tcp, at + 1)
        if size < 2:
            return
        if kind == 30 and size > 2:
            subtype = u8(&s.tcp, at + 2) >> 4
            x.traits.mptcp = 1 if subtype == 7 else (2 if subtype == 8 else 3)
            if subtype == 8 and size == 4:
                x.mptcp_reason = u8(&s.tcp, at + 3)
            return
        at += size


cdef void judge(sighting *x, const connection *row, const segment *s) noexcept nogil:
    """All but what follows later."""
    cdef const side *me = &row.sides[s.side]
    cdef const side *peer = &row.sides[1 - s.side]
    cdef const seen *trigger = NULL
    cdef traits *t = &x.traits
    cdef uint64_t silence, since
    t.flags = <uint8_t>s.flags
    t.handshake = row.shaken
    t.opener = 0 if row.opener == NOBODY else (1 if row.opener == s.side else 2)
    t.alone = not me.packets and not peer.packets and row.reset_by == NOBODY
    t.state_lost = row.lost
    t.before = row.before
    t.seq = place_of_seq(me, peer, s)
    t.ack = place_of_ack(peer, s)

    t.trigger_fits = fits(&peer.last, s)
    if t.trigger_fits:
        trigger = &peer.last
    else:
        t.trigger_fits = fits(&peer.before, s)
        if t.trigger_fits:
            trigger = &peer.before
    t.trigger_none = trigger == NULL
    if trigger != NULL:
        x.trigger = trigger[0]
        t.trigger = <uint8_t>trigger.flags
        t.trigger_payload = trigger.length > 0
        t.trigger_new_data = unacknowledged_data(me, peer, trigger)
        t.trigger_again = trigger.valid & AGAIN_SEEN != 0
        t.trigger_completes = trigger.valid & COMPLETES != 0
        t.trigger_options = trigger.valid & HAS_OPTIONS != 0
        since = s.time_ns - trigger.time_ns if s.time_ns > trigger.time_ns else 0
        if me.fastest_ns != MOST_NS and since * TOO_EARLY < me.fastest_ns:
            t.delay = 1
        else:
            t.delay = 2 if since <= SECOND else 3
    elif peer.last.valid:
        t.delay = 2 if s.time_ns - peer.last.time_ns <= SECOND or s.time_ns < peer.last.time_ns else 3

    silence = silence_ns(row, s.time_ns)
    t.idle = 0 if silence < SECOND else (1 if silence < <uint64_t>60 * SECOND else 2)
    t.sender_fin = fin_of(me, peer)
    t.receiver_fin = fin_of(peer, me)
    t.sender_sent_data = me.bytes > 0
    t.receiver_sent_data = peer.bytes > 0
    t.sender_outstanding = is_outstanding(me, peer)
    t.receiver_outstanding = is_outstanding(peer, me)
    t.sender_unanswered = me.unanswered >= MANY
    t.receiver_unanswered = peer.unanswered >= MANY
    t.sender_keepalives = me.keepalives > 0
    t.receiver_keepalives = peer.keepalives > 0
    t.sender_window_zero = me.packets > 0 and me.window == 0
    t.ttl = compare_ttl(me, s)
    t.ip_id = compare_id(me, s)
    t.payload = s.length > 0
    read_multipath(x, s)
    t.sender_resets = count(me.resets)
    t.receiver_resets = count(peer.resets)
    if row.reset_by == s.side:
        t.earlier = 1 if row.reset_seq == s.seq and row.reset_ack == s.ack else 2


cdef void judge_later(sighting *x, const connection *row) noexcept nogil:
    """What followed, by the connection as it is now."""
    cdef const side *peer = &row.sides[1 - x.side]
    cdef int32_t ahead
    x.traits.sender_went_on = x.sender_went_on > 0
    x.traits.receiver_went_on = x.receiver_went_on > 0
    if not x.has_next:
        return
    ahead = distance(x.next_seq, x.seq)
    if ahead == 0:
        x.traits.next_reset = 1
    # Weaver, Sommer, Paxson, «Detecting forged TCP reset packets» (2009): no stack resets again with a number beyond all
    # that it sent
    elif ahead > 2 and (not peer.known & ACKED or distance(x.next_seq, peer.acked) > 2) and not row.sides[x.side].known & FINISHED:
        x.traits.next_reset = 2
    else:
        x.traits.next_reset = 3
