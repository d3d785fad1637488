# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What one more segment tells about its connection."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from whyreset.core.connections cimport *
from whyreset.core.octets cimport *

cdef enum:
    # the history's letters, as places in HISTORY_LETTERS (core/observations.pyx)
    LETTER_SYN
    LETTER_SYN_ACK
    LETTER_ACK
    LETTER_DATA
    LETTER_FIN
    LETTER_RESET
    LETTER_FIN_RESET
    LETTER_MANY
    LETTER_AGAIN
    LETTER_WINDOW


cdef bint begins_anew(const connection *row, const segment *s) noexcept nogil:
    """Whether a SYN opens another connection than the one that these ends are known for."""
    cdef const side *me = &row.sides[s.side]
    cdef const side *peer = &row.sides[1 - s.side]
    if s.flags & (SYN | ACK | RST | FIN) != SYN:
        return False
    if me.known & ISN:
        return me.isn != s.seq
    if me.packets:
        return True
    # both may open at once (RFC 9293 section 3.5); else whoever was there before is gone
    return not (peer.packets and peer.known & ISN and row.shaken == SYN_SEEN) and row.number != 0


cdef int ending_of(const connection *row) noexcept nogil:
    """How a connection had ended by the time another one takes its place."""
    if row.reset_by != NOBODY:
        return WAS_RESET
    if row.sides[0].known & FINISHED and row.sides[1].known & FINISHED:
        return ORDERLY
    if (row.sides[0].known | row.sides[1].known) & FINISHED:
        return HALF_CLOSED
    return STILL_OPEN


cdef uint8_t kind_of(const connection *row) noexcept nogil:
    """What it is worth remembering."""
    if row.reset_by != NOBODY:
        # nothing came of it but a reset
        return ENDED if row.shaken == COMPLETE or row.sides[0].bytes or row.sides[1].bytes else REFUSED
    if row.sides[0].known & row.sides[1].known & FINISHED:
        return ENDED
    return OPEN if row.sides[0].packets and row.sides[1].packets else UNANSWERED


cdef uint64_t silence_ns(const connection *row, uint64_t time_ns) noexcept nogil:
    """Time since anybody said anything but a reset."""
    cdef uint64_t last = 0
    cdef int i
    for i in range(2):
        if row.sides[i].last.valid and row.sides[i].last.time_ns > last:
            last = row.sides[i].last.time_ns
    return time_ns - last if last and time_ns > last else 0


cdef void open_connection(connection *row, const segment *s, uint64_t number, uint8_t kind, int before, bint lost) noexcept nogil:
    """`kind`: the list that the row stands in."""
    memset(row, 0, sizeof(connection))
    memcpy(row.ends, s.ends, 32)
    row.ports = s.ports
    row.network = s.network
    row.family = s.family
    row.hash = <uint32_t>s.hash
    row.kind = kind
    row.number = number
    row.began_ns = s.time_ns
    row.began_frame = s.frame
    row.first = s.side
    row.opener = NOBODY
    row.reset_by = NOBODY
    row.before = before
    row.lost = lost
    row.sides[0].fastest_ns = row.sides[1].fastest_ns = MOST_NS


cdef inline void add_letter(connection *row, const segment *s, int letter, bint again=False) noexcept nogil:
    cdef side *me = &row.sides[s.side]
    if me.letters >> letter & 1 and not again:
        return
    me.letters |= 1 << letter
    if row.history_used < HISTORY:
        # which side's it is stands in the lowest bit
        row.history[row.history_used] = letter << 1 | s.side
        row.history_used += 1


cdef inline void add_history(connection *row, const segment *s, bint old_data) noexcept nogil:
    """Zeek's letters (TCP analyzer, update_history()); those that repeat by their count are told once."""
    cdef side *me = &row.sides[s.side]
    cdef uint16_t flags = s.flags & (SYN | FIN | RST)
    if flags == 0:
        if s.length:
            add_letter(row, s, LETTER_DATA)
            if old_data:
                add_letter(row, s, LETTER_AGAIN)
        elif s.flags & ACK:
            add_letter(row, s, LETTER_ACK)
    elif flags == SYN:
        add_letter(row, s, LETTER_SYN_ACK if s.flags & ACK else LETTER_SYN)
    elif flags == FIN:
        add_letter(row, s, LETTER_FIN)
    elif flags == RST:
        add_letter(row, s, LETTER_RESET, row.reset_by == s.side and row.reset_seq != s.seq)
    else:
        add_letter(row, s, LETTER_FIN_RESET if flags & SYN == 0 else LETTER_MANY)
    if s.window == 0 and not flags:
        add_letter(row, s, LETTER_WINDOW)


cdef inline void read_options(side *me, const segment *s) noexcept nogil:
    """RFC 7323: the scale and the timestamps that a SYN offers."""
    cdef uint32_t at = 20, end = 20 + s.options
    cdef uint8_t kind, size
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
        if kind == 3 and size == 3:
            me.known |= SCALE
            me.scale = min(u8(&s.tcp, at + 2), <uint8_t>14)
        elif kind == 8:
            me.known |= TIMESTAMPS
        at += size


cdef void follow(connection *row, const segment *s) noexcept nogil:
    """A segment that is no reset."""
    cdef side *me = &row.sides[s.side]
    cdef side *peer = &row.sides[1 - s.side]
    cdef uint32_t end = s.seq + s.length + (s.flags & SYN != 0) + (s.flags & FIN != 0)
    cdef bint news = False
    cdef uint8_t shaken = row.shaken
    cdef uint16_t valid = SEEN
    if s.flags & SYN:
        follow_syn(row, s)
    elif row.shaken == SYN_ACK_SEEN and s.flags & ACK and s.side == row.opener and peer.known & ISN and distance(s.ack, peer.isn) > 0 and distance(s.ack, peer.next) <= 0:
        row.shaken = COMPLETE
    add_history(row, s, me.known & NEXT and distance(end, me.next) <= 0)

    if me.known & NEXT and distance(end, me.next) <= 0 and not (s.flags & ACK and (not me.known & ACKED or distance(s.ack, me.acked) > 0)):
        valid |= AGAIN_SEEN
    if row.shaken == COMPLETE and shaken != COMPLETE:
        valid |= COMPLETES
    if s.options:
        valid |= HAS_OPTIONS

    if not me.known & NEXT or distance(end, me.next) > 0:
        news = me.known & NEXT != 0
        me.known |= NEXT
        me.next = end
        me.unanswered = 0
        if end != s.seq:
            me.asks = 1
            me.asked_ns = s.time_ns
    elif s.length <= 1 and s.flags & (SYN | FIN | ACK) == ACK and s.seq == me.next - 1 and peer.known & ACKED and peer.acked == me.next:
        if me.keepalives < 255:
            me.keepalives += 1
    elif end != s.seq:
        # from now on nobody can tell which of the two was answered (Karn)
        me.asks = 0
        if me.unanswered < 255:
            me.unanswered += 1
    if s.flags & FIN:
        me.known |= FINISHED
        me.fin_end = end

    if s.flags & ACK and (not me.known & ACKED or distance(s.ack, me.acked) > 0):
        news = news or me.known & ACKED
        me.known |= ACKED
        me.acked = s.ack
        if peer.asks and distance(s.ack, peer.next) >= 0:
            peer.asks = 0
            if s.time_ns >= peer.asked_ns and s.time_ns - peer.asked_ns < me.fastest_ns:
                me.fastest_ns = <uint32_t>(s.time_ns - peer.asked_ns)
    peer.unanswered = 0
    peer.keepalives = 0
    if news and me.resets:
        me.went_on += 1

    if me.last.valid and me.last.ack != s.ack:
        me.before = me.last
    me.last.time_ns = s.time_ns
    me.last.frame = s.frame
    me.last.seq = s.seq
    me.last.ack = s.ack
    me.last.length = s.length
    me.last.flags = s.flags
    me.last.valid = valid
    me.bytes += s.length
    me.window = s.window
    me.ip_id_before = me.ip_id
    me.ip_id = s.ip_id
    if me.packets == 0 or s.ttl < me.ttl_min:
        me.ttl_min = s.ttl
    if s.ttl > me.ttl_max:
        me.ttl_max = s.ttl
    # the usual form of timestamps outside of a SYN (RFC 7323 appendix A)
    if s.options == 12 and be32(&s.tcp, 20) == 0x0101080A:
        me.known |= TIMESTAMPS
    me.packets += 1


cdef void follow_syn(connection *row, const segment *s) noexcept nogil:
    cdef side *me = &row.sides[s.side]
    if s.flags & (ACK | FIN) == 0:
        if row.opener == NOBODY:
            row.opener = s.side
        if row.shaken == NOTHING:
            row.shaken = SYN_SEEN
    elif s.flags & ACK and not s.flags & FIN:
        # where both opened at once, whoever was first is the opener
        if row.opener == NOBODY:
            row.opener = 1 - s.side
        if row.shaken < SYN_ACK_SEEN:
            row.shaken = SYN_ACK_SEEN
    if not me.known & ISN or me.isn != s.seq:
        me.known |= ISN
        me.isn = s.seq
        # whoever answers a SYN anew has forgotten what it sent before
        me.known &= ~NEXT
    read_options(me, s)


cdef void follow_reset(connection *row, const segment *s) noexcept nogil:
    """A reset, after it was looked at."""
    cdef side *me = &row.sides[s.side]
    add_history(row, s, False)
    if me.resets < 0xFFFF:
        me.resets += 1
    row.reset_by = s.side
    row.reset_ns = s.time_ns
    row.reset_frame = s.frame
    row.reset_seq = s.seq
    row.reset_ack = s.ack
    row.reset_flags = s.flags
    row.reset_ip_id = s.ip_id
    row.reset_ttl = s.ttl
    row.reset_name = s.name
