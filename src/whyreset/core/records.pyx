# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The kernel's records of resets, joined with what they belong to and grouped, so that Python sees groups.

A record is judged once everything that bears on it has been written: records younger than HOLD stay in the ring until
the next visit. By then the ring of closed connections tells what a segment without a socket once belonged to (the
kernel unhashes a connection some microseconds before it reports the close, so at the moment of the reset the answer may
not exist yet), and a reset that was sent and received on this host has both its records here.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from whyreset.core.contacts cimport Contacts
from whyreset.core.events cimport *
from whyreset.core.memory cimport Memory, closed, recall
from whyreset.core.merge cimport Merge
from whyreset.core.ring cimport Ring
from whyreset.core.sequence cimport is_segment_of, sequence_difference
from whyreset.core.table cimport *
from whyreset.core.twins cimport Twins, twin_slot
from whyreset.core.values cimport Values

cdef enum:
    FIN = 1
    SYN = 2
    RST = 4
    ACK = 16
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    ABORTS = 8192
    # what a segment without a socket of its own came to: of a connection that has ended, perhaps; a handshake refused
    MAY_BE_LATE = 1
    REFUSED = 2

#: how long a record waits for those that bear on it; far above the microseconds that were seen
cdef uint64_t HOLD = 2000000
cdef uint64_t HOLD_FOR_WIRE = 40000000     # a block of packets is handed over after some milliseconds
#: a reset received waits so much longer: an active reset is traced after it was transmitted, its receiver may come first
cdef uint64_t GRACE = 1000000
#: a close is reported this much after the kernel stopped finding the connection, at the most
cdef uint64_t REPORT_DELAY = 1000000
#: beyond two round trips a segment was in flight for certain within the first, and may have been within the second:
#: what a busy peer takes to notice that its connection is gone
cdef uint64_t AT_ONCE_NS = 2000000
cdef uint64_t SOON_NS = 50000000

#: what of reset_event.flags makes a group
cdef uint32_t FACT_FLAGS = (
    HAS_TRIGGER | IN_CLOSER | EXITING | HAS_FILE | RELEASED | ORPHANED | LINGER_ZERO | LINGER2_NEGATIVE | KERNEL_SOCKET | ACTIVE_OPEN
    | ACCEPT_QUEUE_FULL | ABORT_ON_OVERFLOW | COOKIES_RECENT | EMBRYOS | MEMORY_EXHAUSTED | FIN_RECEIVED | DATA_UNACKED | USER_TIMEOUT
)
cdef struct abort_slot:
    uint64_t cookie
    uint64_t time_ns

cdef inline bint is_young(const reset_event *e, uint64_t until_ns) noexcept nogil:
    return e.time_ns + (GRACE if e.direction == RESET_RECEIVED else 0) > until_ns


cdef class Recorder:
    """Reads the rings of resets and of closed connections; groups what it finds.

    Args:
        resets, closes: the mapped rings.
        memory: the memory of closed connections.
        reasons, states, hz: see core.values.
        group_limit, kind_limit, sample_limit, samples_per_group, samples_per_kind: see core.table; those of a kind are
            the whole where they are 0.
        merge: joins what was sent with what the wire shows; None where no packets are read.
    """

    cdef Ring resets
    cdef Ring closes
    cdef readonly Memory memory
    cdef readonly Contacts contacts
    cdef Table table
    cdef Twins twins
    cdef Values values
    cdef Merge merge
    cdef uint64_t hold
    cdef bint has_reasons
    cdef int reason_not_given
    cdef uint8_t came_to[256]    # by reason
    cdef abort_slot *aborts
    cdef uint64_t number
    cdef readonly uint64_t records
    cdef readonly uint64_t misread
    cdef readonly uint64_t echoes_of_receive

    def __cinit__(self, Ring resets, Ring closes, Memory memory, reasons, states, uint32_t hz, int group_limit=64, int sample_limit=256,
                  uint32_t samples_per_group=3, int kind_limit=0, int samples_per_kind=0, Merge merge=None):
        self.resets = resets
        self.closes = closes
        self.memory = memory
        self.table = Table(group_limit, kind_limit or group_limit, sample_limit, samples_per_group, samples_per_kind or sample_limit)
        self.contacts = Contacts()
        self.twins = Twins()
        self.merge = merge
        self.hold = HOLD if merge is None else HOLD_FOR_WIRE
        self.values = Values(reasons, states, hz)
        self.has_reasons = bool(reasons)
        self.reason_not_given = reasons.index("NOT_SPECIFIED") if "NOT_SPECIFIED" in reasons else 0
        for number, name in enumerate(reasons[:256]):
            self.came_to[number] = MAY_BE_LATE if name in ("NO_SOCKET", "TCP_FLAGS") else REFUSED if name == "INVALID_SYN" else 0
        self.aborts = <abort_slot *>calloc(ABORTS, sizeof(abort_slot))
        if self.aborts == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.aborts)

    @property
    def crowded(self):
        """Records that were grouped without port and process, for want of room."""
        return self.table.crowded

    def serve(self, uint64_t netns_cookie, uint16_t port):
        """Somebody listens on that port of a namespace, now or from now on."""
        self.table.serve(netns_cookie, port)

    def flush(self):
        """The groups since the last flush, what was sent before what was received; empties the table."""
        cdef int i
        cdef list sent = [], received = []
        for i in range(self.table.used):
            (sent if self.table.groups[i].key.facts.direction == RESET_SENT else received).append(self.values.group_value(self.table, i))
        self.table.clear()
        return sent + received

    def drain(self, uint64_t now_ns, bint everything=False):
        """Reads what the kernel wrote; records younger than HOLD stay unless `everything`. Returns records read.

        Args:
            now_ns: CLOCK_BOOTTIME.
        """
        cdef uint64_t before = self.records
        with nogil:
            self.read_closes()
            self.read_resets(now_ns if everything or now_ns < self.hold else now_ns - self.hold, everything)
        return self.records - before

    cdef void read_closes(self) noexcept nogil:
        cdef uint64_t position = self.closes.position(), end = self.closes.available()
        cdef uint32_t length = 0
        cdef void *record
        while True:
            record = self.closes.at(&position, end, &length)
            if record == NULL:
                break
            if length == sizeof(close_event):
                self.memory.add(<close_event *>record)
                self.contacts.closed(<close_event *>record)
            else:
                self.misread += 1
        self.closes.release(position)

    cdef void read_resets(self, uint64_t until_ns, bint everything) noexcept nogil:
        cdef uint64_t start = self.resets.position(), end = self.resets.available(), position = start, stop = start
        cdef uint32_t length = 0
        cdef uint64_t first_received = 0
        cdef bint any_received = False
        cdef reset_event *e
        self.foresee(start, end, until_ns, everything)
        # first what was sent: the records received refer to it
        while True:
            e = <reset_event *>self.resets.at(&position, end, &length)
            if e == NULL or (length == sizeof(reset_event) and not everything and is_young(e, until_ns)):
                break
            # its other end is left for the next visit: so is this one, unless that took too long already
            if (length == sizeof(reset_event) and e.direction == RESET_SENT and not everything and self.twins.arrived
                    and e.time_ns + 5 * GRACE > until_ns and self.twins.is_awaited(e)):
                break
            # another core wrote them: fetch those to come while this one is looked at
            self.resets.prefetch(position + 3 * sizeof(reset_event))
            if length != sizeof(reset_event):
                self.misread += 1
            elif e.direction == RESET_SENT:
                self.take(e)
            elif e.direction != RESET_RECEIVED:
                self.misread += 1
            elif not any_received:
                any_received = True
                first_received = stop
            stop = position
        position = first_received if any_received else stop
        while position < stop:
            e = <reset_event *>self.resets.at(&position, stop, &length)
            if e == NULL:
                break
            if length == sizeof(reset_event) and e.direction == RESET_RECEIVED:
                self.take(e)
        self.twins.forget_arrivals()
        self.resets.release(stop)

    cdef void foresee(self, uint64_t position, uint64_t end, uint64_t until_ns, bint everything) noexcept nogil:
        """Notes which connections this host resets, also in records still too young to be taken: what else is traced of
        such a connection may come some microseconds before. Notes what was received, for what was sent to find it."""
        cdef uint32_t length = 0
        cdef bint young = False      # from here on records stay for the next visit
        cdef reset_event *e
        cdef abort_slot *slot
        cdef closed *row
        while True:
            e = <reset_event *>self.resets.at(&position, end, &length)
            if e == NULL:
                return
            if length != sizeof(reset_event):
                continue
            if e.direction == RESET_RECEIVED:
                young = young or (not everything and is_young(e, until_ns))
                self.twins.expect(e, young)
            elif not everything and is_young(e, until_ns):
                young = True
            if not e.flags & HAS_SOCKET or e.direction != RESET_SENT or e.state == LISTEN:
                continue
            # data for a connection that nobody reads any more: no other segment meets a socket that is closed
            if e.state == CLOSE and e.flags & HAS_TRIGGER:
                slot = &self.aborts[e.socket_cookie % ABORTS]
                slot.cookie = e.socket_cookie
                slot.time_ns = e.time_ns
            row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
            if row != NULL and row.event.socket_cookie == e.socket_cookie and row.reset_ns == 0:
                row.reset_ns = e.time_ns

    cdef void take(self, const reset_event *e) noexcept nogil:
        cdef reset_event joined
        cdef group_key key
        cdef twin_slot *twin = NULL
        cdef uint32_t ended_ms = NOT_REMEMBERED
        cdef int index
        cdef int32_t kept
        cdef group *found
        cdef char interface[16]
        self.records += 1
        self.number += 1
        memset(&key, 0, sizeof(key))
        if e.direction != RESET_SENT:
            if self.is_echo_of_receive(e):
                self.echoes_of_receive += 1
                return
            twin = self.twins.find(e)
            if twin != NULL:
                key.twin_group = twin.group_number
        elif (e.flags & HAS_SOCKET and e.state != LISTEN) or (e.trigger_flags & (ACK | FIN) and self.met(e) == MAY_BE_LATE):
            joined = e[0]
            self.join_memory(&joined, &key, &ended_ms)
            e = &joined
        elif self.met(e) == REFUSED and e.trigger_flags & (SYN | ACK) == ACK:
            self.remember_refused(e)
        if e.direction == RESET_SENT and not key.facts.ended:
            self.contacts.refused(e)
        self.fill_key(e, &key)
        index = self.table.place(&key, self.number)
        self.table.count(index, e, self.number)
        kept = self.table.keep(index, e, self.number, ended_ms)
        found = &self.table.groups[index]
        if self.merge is not None and e.direction == RESET_SENT and self.merge.told(e, interface):
            found.wired += 1
            if kept >= 0 and interface[0]:
                memcpy(self.table.samples[kept].event.interface, interface, 16)
        if twin != NULL:
            self.twins.join(twin, self.table, index, kept, self.number)
        elif e.direction == RESET_SENT:
            self.twins.sent(e, self.table, index, kept, self.number, key.facts.ended == ENDED_RESET_SENT and key.facts.flags & AT_ONCE != 0)

    cdef uint8_t met(self, const reset_event *e) noexcept nogil:
        return self.came_to[e.reason] if self.has_reasons else REFUSED if e.substate == NEW_SYN_RECV else MAY_BE_LATE

    cdef void join_memory(self, reset_event *e, group_key *key, uint32_t *ended_ms) noexcept nogil:
        """What the four-tuple was: the connection that is just ending, or one that has ended before."""
        cdef bint own_socket = e.flags & HAS_SOCKET and e.state != LISTEN
        cdef bint was_reset
        cdef closed *row
        cdef uint64_t since, ended_ns
        cdef int64_t beyond
        row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
        if own_socket:
            if row == NULL or row.event.socket_cookie != e.socket_cookie:
                return
            row.reset_ns = e.time_ns
            if e.state_before == 0:
                e.state_before = row.event.state_before
            if e.state == TIME_WAIT:
                recall(e, row)
                e.state_before = row.event.state_before
                ended_ms[0] = self.milliseconds(row.event.time_ns, e.time_ns)
            return
        if row == NULL or row.event.time_ns > e.time_ns + REPORT_DELAY or not is_segment_of(e, row):
            return
        recall(e, row)
        e.state_before = row.event.state_before
        was_reset = row.reset_ns != 0 and row.reset_ns <= e.time_ns + REPORT_DELAY
        ended_ns = row.reset_ns if was_reset else row.event.time_ns
        since = e.time_ns - ended_ns if e.time_ns > ended_ns else 0
        ended_ms[0] = self.milliseconds(ended_ns, e.time_ns)
        if was_reset:
            key.facts.ended = ENDED_RESET_SENT
        elif row.event.flags & RESET_RECEIVED_HERE:
            key.facts.ended = ENDED_RESET_RECEIVED
        elif row.event.state_before == SYN_SENT:
            key.facts.ended = ABANDONED
        elif row.event.state_before == LAST_ACK or row.event.state_before == CLOSING or row.event.state_before == TIME_WAIT:
            key.facts.ended = ORDERLY
        elif row.event.state_before == FIN_WAIT1 or row.event.state_before == FIN_WAIT2:
            key.facts.ended = ORDERLY if row.event.flags & FIN_RECEIVED else HALF_CLOSED
        else:
            key.facts.ended = SILENT
        if since <= AT_ONCE_NS + 2 * <uint64_t>row.event.srtt_us * 1000:
            key.facts.flags |= AT_ONCE
        elif since <= SOON_NS + 2 * <uint64_t>row.event.srtt_us * 1000:
            key.facts.flags |= SOON
        beyond = sequence_difference(e.trigger_seq + e.trigger_length + (1 if e.trigger_flags & FIN else 0), row.event.rcv_nxt)
        if (e.trigger_flags & (SYN | FIN | RST | ACK) == ACK and e.trigger_length == 0 and e.trigger_seq == row.event.rcv_nxt
                and e.trigger_ack == row.event.snd_nxt):
            key.facts.segment = LAST_ACK_OF_ALL
        else:
            key.facts.segment = OLD if beyond <= 0 else NEW

    cdef void remember_refused(self, const reset_event *e) noexcept nogil:
        """A handshake that was refused at its last segment had no socket whose close could be told. The peer believes in
        the connection: what it sent meanwhile is answered with resets of their own."""
        cdef close_event refused
        cdef closed *row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
        if row != NULL and row.event.time_ns > e.time_ns:
            return
        memset(&refused, 0, sizeof(refused))
        refused.time_ns = e.time_ns
        refused.netns_cookie = e.netns_cookie
        refused.owner_start_ns = e.owner_start_ns
        refused.owner_pid = e.owner_pid
        refused.owner_via = e.owner_via
        refused.snd_nxt = e.trigger_ack
        refused.rcv_nxt = e.trigger_seq
        refused.local_port = e.local_port
        refused.remote_port = e.remote_port
        memcpy(refused.local, e.local, 16)
        memcpy(refused.remote, e.remote, 16)
        refused.family = e.family
        refused.state_before = SYN_RECV
        self.memory.add(&refused)
        row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
        if row != NULL:
            row.reset_ns = e.time_ns

    cdef uint32_t milliseconds(self, uint64_t since, uint64_t until) noexcept nogil:
        return <uint32_t>min((until - since) // 1000000, <uint64_t>0xFFFFFFFE) if until > since else 0

    cdef bint is_echo_of_receive(self, const reset_event *e) noexcept nogil:
        """tcp_reset() is also how the kernel ends a closed socket that data came for; no reset was received then."""
        cdef abort_slot *slot = &self.aborts[e.socket_cookie % ABORTS]
        return (e.state == FIN_WAIT1 or e.state == FIN_WAIT2) and slot.cookie == e.socket_cookie and slot.time_ns >= e.time_ns and slot.time_ns - e.time_ns < HOLD

    cdef void fill_key(self, const reset_event *e, group_key *key) noexcept nogil:
        cdef facts_key *f = &key.facts
        cdef int64_t acknowledged
        f.flags |= e.flags & FACT_FLAGS
        if e.flags & IN_CLOSER and e.closer_pid and e.closer_pid == e.owner_pid and e.closer_start_ns == e.owner_start_ns:
            f.flags |= BY_OWNER
        if e.trigger_length:
            f.flags |= PAYLOAD
        if e.trigger_options:
            f.flags |= OPTIONS
        if e.unread and e.state != LISTEN:
            f.flags |= UNREAD
        if e.reason == self.reason_not_given and not e.flags & HAS_TRIGGER:
            f.flags |= e.flags & KEEPALIVE
        f.direction = e.direction
        f.reason = e.reason
        f.state = e.state
        f.state_before = e.state_before
        f.substate = e.substate
        f.trigger = e.trigger_flags & 0x3F
        if e.trigger_flags & ACK and (e.state == SYN_SENT or e.state == SYN_RECV):
            acknowledged = sequence_difference(e.trigger_ack, e.snd_nxt)
            f.segment = NEW if acknowledged > 0 else OLD if acknowledged < 0 else FITS
        key.netns_inode = e.netns_inode
        key.netns_cookie = e.netns_cookie
        key.owner_pid = e.owner_pid
        key.owner_start_ns = e.owner_start_ns
        key.owner_via = e.owner_via
        key.closer_pid = e.closer_pid
        key.closer_start_ns = e.closer_start_ns
        key.exit_code = e.exit_code
        # the service's port: the peer's where this host opened the connection
        key.port = e.remote_port if e.flags & ACTIVE_OPEN else e.local_port
