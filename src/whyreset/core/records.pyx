# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The kernel's records of resets, joined with what they belong to and grouped, so that Python sees groups.

A record is judged once everything that bears on it has been written: records younger than HOLD stay in the ring until
the next visit. By then the ring of closed connections tells what a segment without a socket once belonged to (the
kernel unhashes a connection some microseconds before it reports the close, so at the moment of the reset the answer may
not exist yet), and a reset that was sent and received on this host has both its records here.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.events cimport *
from whyreset.core.groups cimport TOP, remotes, remotes_add, remotes_distinct
from whyreset.core.memory cimport Memory, closed, hash_tuple
from whyreset.core.ring cimport Ring

import os
import socket

from whyreset.model import Facts, Group, Record, Remotes, Segment

cdef int AF_INET6 = socket.AF_INET6
cdef int AF_INET = socket.AF_INET

cdef enum:
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    ESTABLISHED = 1
    SYN_SENT = 2
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NO_ENDED = 0
    ORDERLY = 1
    HALF_CLOSED = 2
    ENDED_RESET_SENT = 3
    ENDED_RESET_RECEIVED = 4
    ABANDONED = 5
    SILENT = 6
    OLD = 1
    LAST_ACK_OF_ALL = 2
    NEW = 3
    GROUPS = 1024
    NAMESPACES = 64        # groups kept back for what is told apart by namespace alone
    SLOTS = 4096
    TWINS = 8192
    TWIN_WAYS = 8
    ABORTS = 8192

ENDED = ("", "orderly", "half-closed", "reset-sent", "reset-received", "abandoned", "silent")
SEGMENTS = ("", "old", "last-ack", "new")
VIA = ("", "connect", "listener", "listener", "open file", "reader", "closer")
LETTERS = "FSRPAU"

cdef uint64_t SECOND = 1000000000
#: how long a record waits for those that bear on it; far above the microseconds that were seen
cdef uint64_t HOLD = 2000000
#: a close is reported this much after the kernel stopped finding the connection, at the most
cdef uint64_t REPORT_DELAY = 1000000
#: beyond two round trips: what a busy peer may take to notice that its connection is gone
cdef uint64_t IN_FLIGHT = 20000000

#: what of reset_event.flags makes a group
cdef uint32_t FACT_FLAGS = (
    HAS_TRIGGER | IN_CLOSER | EXITING | HAS_FILE | RELEASED | ORPHANED | LINGER_ZERO | LINGER2_NEGATIVE | KERNEL_SOCKET | ACTIVE_OPEN
    | ACCEPT_QUEUE_FULL | ABORT_ON_OVERFLOW | COOKIES_RECENT | EMBRYOS | MEMORY_EXHAUSTED | FIN_RECEIVED | DATA_UNACKED | USER_TIMEOUT
)
cdef enum:
    # beyond the kernel's flags
    BY_OWNER = 1 << 24
    PAYLOAD = 1 << 25
    OPTIONS = 1 << 26
    UNREAD = 1 << 27
    AT_ONCE = 1 << 28
    CROWDED = 1 << 29

cdef struct facts_key:
    uint32_t flags
    uint8_t direction, reason, state, state_before, substate, trigger, ended, segment

cdef struct group_key:
    facts_key facts
    uint32_t netns_inode
    uint64_t netns_cookie
    uint64_t owner_start_ns
    uint64_t closer_start_ns
    uint64_t twin_group          # number of the sent group; 0
    uint32_t owner_pid
    uint32_t closer_pid
    uint32_t exit_code
    uint16_t port
    uint8_t owner_via
    uint8_t pad

cdef struct group:
    group_key key
    uint64_t hash
    uint64_t count
    uint64_t first_ns
    uint64_t last_ns
    uint64_t number              # of its first record
    uint64_t last_number
    uint64_t twin
    int32_t first_sample
    int32_t last_sample
    uint32_t kept
    remotes remotes

cdef struct sample:
    reset_event event
    uint64_t number
    uint64_t twin
    uint32_t ended_ms            # 0xffffffff: nothing remembered
    int32_t next

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
    uint8_t wanted               # its other end is in the ring

cdef struct abort_slot:
    uint64_t cookie
    uint64_t time_ns


cdef inline int64_t sequence_difference(uint32_t a, uint32_t b) noexcept nogil:
    # RFC 9293 section 3.4: sequence numbers compare modulo 2**32
    cdef uint32_t d = a - b
    return <int64_t>d - (<int64_t>1 << 32) if d & 0x80000000U else <int64_t>d


# sets of four-tuples by hash: buckets of eight tags, which may forget but seldom lie
cdef inline uint32_t tag_of(uint64_t h) noexcept nogil:
    return <uint32_t>(h >> 32) | 1


cdef inline uint64_t bucket_of(uint64_t h) noexcept nogil:
    return h % (TWINS // TWIN_WAYS) * TWIN_WAYS


cdef inline void note(uint32_t *tags, uint64_t h) noexcept nogil:
    cdef uint64_t base = bucket_of(h)
    cdef int i
    for i in range(TWIN_WAYS):
        if tags[base + i] == 0 or tags[base + i] == tag_of(h):
            tags[base + i] = tag_of(h)
            return


cdef inline bint noted(const uint32_t *tags, uint64_t h) noexcept nogil:
    cdef uint64_t base = bucket_of(h)
    cdef int i
    for i in range(TWIN_WAYS):
        if tags[base + i] == tag_of(h):
            return True
    return False


cdef class Recorder:
    """Reads the rings of resets and of closed connections; groups what it finds.

    Args:
        resets, closes: the mapped rings.
        memory: the memory of closed connections.
        reasons: the kernel's names of reasons by number.
        states: the kernel's names of socket states by number.
        hz: jiffies a second.
        group_limit: how many groups one flush may tell apart; what is beyond is grouped without port and process.
        sample_limit: how many single records one flush may hold.
        samples_per_group: how many of them one group may hold.
    """

    cdef Ring resets
    cdef Ring closes
    cdef readonly Memory memory
    cdef tuple reasons
    cdef tuple states
    cdef uint32_t hz
    cdef int reason_abort_on_data
    cdef group *groups
    cdef int32_t *slots
    cdef int used
    cdef int group_limit
    cdef sample *samples
    cdef int samples_used
    cdef int sample_limit
    cdef uint32_t samples_per_group
    cdef twin_slot *twins
    cdef uint32_t *twin_tags     # 0: the slot is free
    cdef uint32_t *received_tags # what was received, of all that is in the ring
    cdef uint32_t *young_tags    # what was sent and is too young to be taken
    cdef abort_slot *aborts
    cdef uint64_t seed
    cdef uint64_t number
    cdef uint64_t flushes
    cdef dict facts
    cdef readonly uint64_t records
    cdef readonly uint64_t misread
    cdef readonly uint64_t crowded
    cdef readonly uint64_t echoes_of_receive

    def __cinit__(self, Ring resets, Ring closes, Memory memory, reasons, states, uint32_t hz, int group_limit=64, int sample_limit=256,
                  uint32_t samples_per_group=3):
        self.resets = resets
        self.closes = closes
        self.memory = memory
        self.reasons = tuple(reasons)
        self.states = tuple(states)
        self.hz = hz
        self.reason_abort_on_data = self.reasons.index("TCP_ABORT_ON_DATA") if "TCP_ABORT_ON_DATA" in self.reasons else -1
        if not 1 <= group_limit <= GROUPS - 2 * NAMESPACES or sample_limit < 1 or hz == 0:
            raise ValueError("limits out of range")
        self.group_limit = group_limit
        self.sample_limit = sample_limit
        self.samples_per_group = samples_per_group
        self.groups = <group *>calloc(GROUPS, sizeof(group))
        self.slots = <int32_t *>calloc(SLOTS, sizeof(int32_t))
        self.samples = <sample *>calloc(sample_limit, sizeof(sample))
        self.twins = <twin_slot *>calloc(TWINS, sizeof(twin_slot))
        self.twin_tags = <uint32_t *>calloc(TWINS, sizeof(uint32_t))
        self.received_tags = <uint32_t *>calloc(TWINS, sizeof(uint32_t))
        self.young_tags = <uint32_t *>calloc(TWINS, sizeof(uint32_t))
        self.aborts = <abort_slot *>calloc(ABORTS, sizeof(abort_slot))
        if (self.groups == NULL or self.slots == NULL or self.samples == NULL or self.twins == NULL or self.twin_tags == NULL
                or self.received_tags == NULL or self.young_tags == NULL or self.aborts == NULL):
            raise MemoryError
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.facts = {}
        self.flushes = 1

    def __dealloc__(self):
        free(self.groups)
        free(self.slots)
        free(self.samples)
        free(self.twins)
        free(self.twin_tags)
        free(self.received_tags)
        free(self.young_tags)
        free(self.aborts)

    def drain(self, uint64_t now_ns, bint everything=False):
        """Reads what the kernel wrote; records younger than HOLD stay unless `everything`. Returns records read.

        Args:
            now_ns: CLOCK_BOOTTIME.
        """
        cdef uint64_t before = self.records
        with nogil:
            self.read_closes()
            self.read_resets(now_ns - HOLD if now_ns > HOLD else 0, everything)
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
            else:
                self.misread += 1
        self.closes.release(position)

    cdef void read_resets(self, uint64_t until_ns, bint everything) noexcept nogil:
        cdef uint64_t start = self.resets.position(), end = self.resets.available(), position = start, stop = start
        cdef uint32_t length = 0
        cdef reset_event *e
        if start == end:
            return
        if everything:
            until_ns = 0xFFFFFFFFFFFFFFFFULL
        self.foresee(start, end, until_ns)
        # first what was sent: the records received refer to it
        while True:
            e = <reset_event *>self.resets.at(&position, end, &length)
            if e == NULL or (length == sizeof(reset_event) and self.must_wait(e, until_ns)):
                break
            stop = position
            if length != sizeof(reset_event):
                self.misread += 1
            elif e.direction == RESET_SENT:
                self.take(e)
            elif e.direction != RESET_RECEIVED:
                self.misread += 1
        position = start
        while position < stop:
            e = <reset_event *>self.resets.at(&position, stop, &length)
            if e == NULL:
                break
            if length == sizeof(reset_event) and e.direction == RESET_RECEIVED:
                self.take(e)
        self.resets.release(stop)

    cdef void foresee(self, uint64_t position, uint64_t end, uint64_t until_ns) noexcept nogil:
        """Looks through all that is in the ring, also what is still too young to be taken, for what else refers to it.

        Of a connection that this host resets other records may come some microseconds before that reset; and an active
        reset is traced after it was transmitted, so that on one host its receiver may be traced first.
        """
        cdef uint32_t length = 0
        cdef reset_event *e
        cdef abort_slot *slot
        cdef closed *row
        memset(self.received_tags, 0, TWINS * sizeof(uint32_t))
        memset(self.young_tags, 0, TWINS * sizeof(uint32_t))
        while True:
            e = <reset_event *>self.resets.at(&position, end, &length)
            if e == NULL:
                return
            if length != sizeof(reset_event):
                continue
            if e.time_ns > until_ns and e.direction == RESET_SENT:
                note(self.young_tags, self.twin_hash(e))
            if not e.flags & HAS_SOCKET:
                continue
            if e.direction == RESET_RECEIVED:
                note(self.received_tags, self.twin_hash(e))
            if e.direction != RESET_SENT or e.state == LISTEN:
                continue
            if e.state != TIME_WAIT and e.reason == self.reason_abort_on_data:
                slot = &self.aborts[e.socket_cookie % ABORTS]
                slot.cookie = e.socket_cookie
                slot.time_ns = e.time_ns
            row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
            if row != NULL and row.event.socket_cookie == e.socket_cookie and row.reset_ns == 0:
                row.reset_ns = e.time_ns

    cdef bint must_wait(self, const reset_event *e, uint64_t until_ns) noexcept nogil:
        """Too young, or received from this host just before the visit's end, with its sender's record behind it."""
        if e.time_ns > until_ns:
            return True
        return e.direction == RESET_RECEIVED and until_ns - e.time_ns < HOLD and noted(self.young_tags, self.twin_hash(e))

    cdef void take(self, const reset_event *record) noexcept nogil:
        cdef reset_event e = record[0]
        cdef group_key key
        cdef twin_slot *twin = NULL
        cdef uint32_t ended_ms = 0xFFFFFFFFU
        cdef int index
        cdef int32_t kept = -1
        self.records += 1
        self.number += 1
        memset(&key, 0, sizeof(key))
        if e.direction == RESET_SENT:
            self.join_memory(&e, &key, &ended_ms)
        elif self.is_echo_of_receive(&e):
            self.echoes_of_receive += 1
            return
        else:
            twin = self.find_twin(&e)
            if twin != NULL:
                key.twin_group = twin.group_number
        self.fill_key(&e, &key)
        index = self.group_of(&key)
        self.count(index, &e)
        kept = self.keep(index, &e, ended_ms)
        if twin != NULL:
            # a crowded group's members come from many senders: none of these is the twin of all
            if not self.groups[index].key.facts.flags & CROWDED:
                self.groups[index].twin = twin.group_number
            if kept >= 0:
                self.samples[kept].twin = twin.number
            if twin.flush == self.flushes:
                if self.groups[twin.group].twin == 0 and not self.groups[twin.group].key.facts.flags & CROWDED:
                    self.groups[twin.group].twin = self.groups[index].number
                if twin.sample >= 0:
                    self.samples[twin.sample].twin = self.number
        elif e.direction == RESET_SENT:
            self.offer_twin(&e, index, kept)

    cdef void join_memory(self, reset_event *e, group_key *key, uint32_t *ended_ms) noexcept nogil:
        """What the four-tuple was: the connection that is just ending, or one that has ended before."""
        cdef bint own_socket = e.flags & HAS_SOCKET and e.state != LISTEN
        cdef bint was_reset
        cdef closed *row
        cdef uint64_t since, ended_ns
        cdef int64_t beyond
        if not own_socket and not e.trigger_flags & (ACK | FIN):
            return
        row = self.memory.find(e.netns_cookie, e.local, e.remote, e.local_port, e.remote_port)
        if own_socket:
            if row == NULL or row.event.socket_cookie != e.socket_cookie:
                return
            row.reset_ns = e.time_ns
            if e.state_before == 0:
                e.state_before = row.event.state_before
            if e.state == TIME_WAIT:
                self.recall(e, row)
                e.state_before = row.event.state_before
                ended_ms[0] = self.milliseconds(row.event.time_ns, e.time_ns)
            return
        if row == NULL or row.event.time_ns > e.time_ns + REPORT_DELAY:
            return
        self.recall(e, row)
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
        if since <= IN_FLIGHT + 2 * <uint64_t>row.event.srtt_us * 1000:
            key.facts.flags |= AT_ONCE
        beyond = sequence_difference(e.trigger_seq + e.trigger_length + (1 if e.trigger_flags & FIN else 0), row.event.rcv_nxt)
        if (e.trigger_flags & (SYN | FIN | RST | ACK) == ACK and e.trigger_length == 0 and e.trigger_seq == row.event.rcv_nxt
                and e.trigger_ack == row.event.snd_nxt):
            key.facts.segment = LAST_ACK_OF_ALL
        else:
            key.facts.segment = OLD if beyond <= 0 else NEW

    cdef uint32_t milliseconds(self, uint64_t since, uint64_t until) noexcept nogil:
        return <uint32_t>min((until - since) // 1000000, <uint64_t>0xFFFFFFFE) if until > since else 0

    cdef void recall(self, reset_event *e, const closed *row) noexcept nogil:
        """The socket is gone: what it knew comes from the memory."""
        e.opened_ns = row.event.opened_ns
        e.owner_pid = row.event.owner_pid
        e.owner_start_ns = row.event.owner_start_ns
        e.owner_via = row.event.owner_via
        e.bytes_in = row.event.bytes_in
        e.bytes_out = row.event.bytes_out
        e.snd_nxt = row.event.snd_nxt
        e.rcv_nxt = row.event.rcv_nxt
        e.srtt_us = row.event.srtt_us
        e.idle_jiffies = row.event.idle_jiffies
        e.unread = 0
        e.flags |= row.event.flags & (ACTIVE_OPEN | FIN_RECEIVED | EXITING)
        e.exit_code = row.event.exit_code
        if e.flags & HAS_SOCKET == 0 or e.state == LISTEN:
            e.flags &= ~<uint32_t>(ACCEPT_QUEUE_FULL | ABORT_ON_OVERFLOW | COOKIES_RECENT | EMBRYOS)

    cdef bint is_echo_of_receive(self, const reset_event *e) noexcept nogil:
        """tcp_reset() is also how the kernel ends a closed socket that data came for; no reset was received then."""
        cdef abort_slot *slot = &self.aborts[e.socket_cookie % ABORTS]
        return (e.state == FIN_WAIT1 or e.state == FIN_WAIT2) and slot.cookie == e.socket_cookie and slot.time_ns >= e.time_ns and slot.time_ns - e.time_ns < HOLD

    cdef uint64_t twin_hash(self, const reset_event *e) noexcept nogil:
        """The same at both ends."""
        if e.direction == RESET_SENT:
            return hash_tuple(self.seed, e.family, e.local, e.remote, e.local_port, e.remote_port)
        return hash_tuple(self.seed, e.family, e.remote, e.local, e.remote_port, e.local_port)

    cdef void offer_twin(self, const reset_event *e, int index, int32_t kept) noexcept nogil:
        cdef uint64_t h = self.twin_hash(e), base = bucket_of(h), place = base
        cdef twin_slot *slot
        cdef int i
        for i in range(TWIN_WAYS):
            if self.twin_tags[base + i] == 0:
                place = base + i
                break
        else:
            for i in range(TWIN_WAYS):
                place = base + (self.number + i) % TWIN_WAYS
                # a flood does not push out those whose other end is here already
                if not self.twins[place].wanted or e.time_ns > self.twins[place].time_ns + SECOND:
                    break
        self.twin_tags[place] = tag_of(h)
        slot = &self.twins[place]
        slot.time_ns = e.time_ns
        slot.number = self.number
        slot.group_number = self.groups[index].number
        slot.flush = self.flushes
        slot.group = index
        slot.sample = kept
        memcpy(slot.local, e.local, 16)
        memcpy(slot.remote, e.remote, 16)
        slot.local_port = e.local_port
        slot.remote_port = e.remote_port
        slot.wanted = noted(self.received_tags, h)

    cdef twin_slot *find_twin(self, const reset_event *e) noexcept nogil:
        """The sent record of the reset received here, if this host sent it; each serves once."""
        cdef uint64_t h = self.twin_hash(e), base = bucket_of(h), apart, nearest = SECOND
        cdef twin_slot *slot
        cdef twin_slot *found = NULL
        cdef int i
        for i in range(TWIN_WAYS):
            if self.twin_tags[base + i] != tag_of(h):
                continue
            slot = &self.twins[base + i]
            apart = slot.time_ns - e.time_ns if slot.time_ns > e.time_ns else e.time_ns - slot.time_ns
            # of several between the same ports the nearest: those before it may have been lost on their way
            if (apart <= nearest and slot.local_port == e.remote_port and slot.remote_port == e.local_port
                    and memcmp(slot.local, e.remote, 16) == 0 and memcmp(slot.remote, e.local, 16) == 0):
                nearest = apart
                found = slot
        if found != NULL:
            self.twin_tags[found - self.twins] = 0
        return found

    cdef void fill_key(self, const reset_event *e, group_key *key) noexcept nogil:
        cdef facts_key *f = &key.facts
        f.flags |= e.flags & FACT_FLAGS
        if e.flags & IN_CLOSER and e.closer_pid and e.closer_pid == e.owner_pid and e.closer_start_ns == e.owner_start_ns:
            f.flags |= BY_OWNER
        if e.trigger_length:
            f.flags |= PAYLOAD
        if e.trigger_options:
            f.flags |= OPTIONS
        if e.unread and e.state != LISTEN:
            f.flags |= UNREAD
        f.direction = e.direction
        f.reason = e.reason
        f.state = e.state
        f.state_before = e.state_before
        f.substate = e.substate
        f.trigger = e.trigger_flags & 0x3F
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

    cdef int group_of(self, group_key *key) noexcept nogil:
        cdef int index = self.lookup(key, self.group_limit)
        cdef uint8_t direction
        if index >= 0:
            return index
        # one like it without port and processes
        self.crowded += 1
        key.facts.flags |= CROWDED
        key.owner_pid = key.closer_pid = key.exit_code = 0
        key.owner_start_ns = key.closer_start_ns = key.twin_group = 0
        key.owner_via = 0
        key.port = 0
        index = self.lookup(key, GROUPS - NAMESPACES - 2)
        if index >= 0:
            return index
        # of so many kinds only the namespace, so that its account stays right
        direction = key.facts.direction
        memset(&key.facts, 0, sizeof(facts_key))
        key.facts.flags = CROWDED
        key.facts.direction = direction
        index = self.lookup(key, GROUPS - 2)
        if index >= 0:
            return index
        # nothing told apart but the direction
        key.netns_cookie = 0
        key.netns_inode = 0
        return self.lookup(key, GROUPS)

    cdef int lookup(self, const group_key *key, int limit) noexcept nogil:
        """The group's place; a new one while fewer than `limit` are used; -1 when there is no room."""
        cdef uint64_t h = self.seed, word
        cdef const uint8_t *bytes = <const uint8_t *>key
        cdef size_t i
        cdef uint32_t slot
        cdef group *g
        for i in range(0, sizeof(group_key), 8):
            memcpy(&word, bytes + i, 8)
            h = (h ^ word) * 0x9E3779B97F4A7C15ULL
            h ^= h >> 29
        slot = <uint32_t>(h >> 32) % SLOTS
        while self.slots[slot]:
            g = &self.groups[self.slots[slot] - 1]
            if g.hash == h and memcmp(&g.key, key, sizeof(group_key)) == 0:
                return self.slots[slot] - 1
            slot = (slot + 1) % SLOTS
        if self.used >= limit:
            return -1
        g = &self.groups[self.used]
        memset(g, 0, sizeof(group))
        g.key = key[0]
        g.hash = h
        g.number = self.number
        g.first_sample = -1
        self.used += 1
        self.slots[slot] = self.used
        return self.used - 1

    cdef void count(self, int index, const reset_event *e) noexcept nogil:
        cdef group *g = &self.groups[index]
        if g.count == 0 or e.time_ns < g.first_ns:
            g.first_ns = e.time_ns
        if e.time_ns > g.last_ns:
            g.last_ns = e.time_ns
        g.count += 1
        g.last_number = self.number
        if e.family:
            remotes_add(&g.remotes, self.seed, e.family, e.remote)

    cdef int32_t keep(self, int index, const reset_event *e, uint32_t ended_ms) noexcept nogil:
        cdef group *g = &self.groups[index]
        cdef sample *s
        if self.samples_used >= self.sample_limit or g.kept >= self.samples_per_group:
            return -1
        # each group has a first sample: room for those that may still come is kept back
        if g.kept and self.sample_limit - self.samples_used <= self.group_limit - self.used:
            return -1
        s = &self.samples[self.samples_used]
        s.event = e[0]
        s.number = self.number
        s.twin = 0
        s.ended_ms = ended_ms
        s.next = -1
        if g.first_sample < 0:
            g.first_sample = self.samples_used
        else:
            self.samples[g.last_sample].next = self.samples_used
        g.last_sample = self.samples_used
        g.kept += 1
        self.samples_used += 1
        return g.last_sample

    def flush(self):
        """The groups since the last flush, what was sent before what was received; empties the table."""
        cdef int i
        cdef list sent = [], received = []
        for i in range(self.used):
            (sent if self.groups[i].key.facts.direction == RESET_SENT else received).append(self.make_group(&self.groups[i]))
        if self.used:
            memset(self.slots, 0, SLOTS * sizeof(int32_t))
        self.used = 0
        self.samples_used = 0
        self.flushes += 1
        return sent + received

    cdef object make_group(self, group *g):
        cdef int32_t i = g.first_sample
        cdef list samples = []
        cdef int k
        while i >= 0:
            samples.append(self.make_record(&self.samples[i]))
            i = self.samples[i].next
        top = sorted([(self.address(g.remotes.families[k], g.remotes.addresses[k]), g.remotes.counts[k]) for k in range(<int>g.remotes.used)],
                     key=lambda item: -item[1])
        return Group(
            facts=self.make_facts(&g.key.facts),
            count=g.count,
            first_ns=g.first_ns,
            last_ns=g.last_ns,
            netns=g.key.netns_inode,
            netns_cookie=g.key.netns_cookie,
            port=None if g.key.facts.flags & CROWDED else g.key.port,
            remotes=Remotes(distinct=round(remotes_distinct(&g.remotes)), exact=not g.remotes.overflowed, top=tuple(top)),
            samples=tuple(samples),
            twin=g.twin or None,
            number=g.number,
            last_number=g.last_number,
        )

    cdef str address(self, int family, const uint8_t *data):
        if family == AF_INET6:
            return socket.inet_ntop(AF_INET6, (<const char *>data)[:16])
        # the kernel program found no address where there is no family
        return socket.inet_ntop(AF_INET, (<const char *>data)[:4]) if family == AF_INET else ""

    cdef str state(self, int number):
        if number == 0:
            return ""
        return self.states[number] if number < len(self.states) and self.states[number] else f"STATE_{number}"

    cdef str reason(self, int direction, int number):
        if direction != RESET_SENT:
            return ""
        return self.reasons[number] if number < len(self.reasons) and self.reasons[number] else f"REASON_{number}"

    cdef str letters(self, int flags):
        return "".join([LETTERS[i] for i in range(6) if flags >> i & 1])

    cdef object make_facts(self, facts_key *f):
        cdef bytes raw = (<char *>f)[:sizeof(facts_key)]
        facts = self.facts.get(raw)
        if facts is None:
            if len(self.facts) >= 4096:
                self.facts.clear()
            facts = self.facts[raw] = Facts(
                direction="sent" if f.direction == RESET_SENT else "received",
                reason="" if f.flags & CROWDED and f.reason == 0 else self.reason(f.direction, f.reason),
                state=self.state(f.state),
                state_before=self.state(f.state_before),
                substate=self.state(f.substate),
                trigger=self.letters(f.trigger) if f.flags & HAS_TRIGGER else None,
                trigger_payload=bool(f.flags & PAYLOAD),
                trigger_options=bool(f.flags & OPTIONS),
                segment=SEGMENTS[f.segment],
                ended=ENDED[f.ended],
                at_once=bool(f.flags & AT_ONCE),
                active_open=bool(f.flags & ACTIVE_OPEN),
                in_closer=bool(f.flags & IN_CLOSER),
                by_owner=bool(f.flags & BY_OWNER),
                exiting=bool(f.flags & EXITING),
                has_file=bool(f.flags & HAS_FILE),
                released=bool(f.flags & RELEASED),
                orphaned=bool(f.flags & ORPHANED),
                linger_zero=bool(f.flags & LINGER_ZERO),
                linger2_negative=bool(f.flags & LINGER2_NEGATIVE),
                unread=bool(f.flags & UNREAD),
                data_unacked=bool(f.flags & DATA_UNACKED),
                fin_received=bool(f.flags & FIN_RECEIVED),
                user_timeout=bool(f.flags & USER_TIMEOUT),
                kernel_socket=bool(f.flags & KERNEL_SOCKET),
                accept_queue_full=bool(f.flags & ACCEPT_QUEUE_FULL),
                abort_on_overflow=bool(f.flags & ABORT_ON_OVERFLOW),
                cookies_recent=bool(f.flags & COOKIES_RECENT),
                embryos=bool(f.flags & EMBRYOS),
                memory_exhausted=bool(f.flags & MEMORY_EXHAUSTED),
                crowded=bool(f.flags & CROWDED),
            )
        return facts

    cdef object make_record(self, const sample *s):
        cdef const reset_event *e = &s.event
        cdef bint has_connection = (e.flags & HAS_SOCKET and e.state != LISTEN) or s.ended_ms != 0xFFFFFFFFU
        return Record(
            number=s.number,
            time_ns=e.time_ns,
            direction="sent" if e.direction == RESET_SENT else "received",
            netns=e.netns_inode,
            netns_cookie=e.netns_cookie,
            socket_cookie=e.socket_cookie,
            family=e.family,
            local=self.address(e.family, e.local),
            local_port=e.local_port,
            remote=self.address(e.family, e.remote),
            remote_port=e.remote_port,
            interface=(<const char *>e.interface)[:16].split(b"\0", 1)[0].decode("utf-8", "backslashreplace"),
            trigger=Segment(
                flags=self.letters(e.trigger_flags),
                seq=e.trigger_seq,
                ack=e.trigger_ack,
                length=e.trigger_length,
                window=e.trigger_window,
                ttl=e.trigger_ttl,
            ) if e.flags & HAS_TRIGGER else None,
            reason=self.reason(e.direction, e.reason),
            state=self.state(e.state),
            state_before=self.state(e.state_before),
            opened_ns=e.opened_ns if has_connection and e.opened_ns <= e.time_ns else 0,
            idle_ms=<uint64_t>e.idle_jiffies * 1000 // self.hz if has_connection and e.bytes_in + e.bytes_out else None,
            bytes_in=e.bytes_in,
            bytes_out=e.bytes_out,
            unread=e.unread,
            snd_nxt=e.snd_nxt,
            rcv_nxt=e.rcv_nxt,
            queue=(e.snd_nxt, e.rcv_nxt) if e.flags & HAS_SOCKET and e.state == LISTEN and s.ended_ms == 0xFFFFFFFFU else None,
            ended_ms=s.ended_ms if s.ended_ms != 0xFFFFFFFFU else None,
            exit_code=e.exit_code,
            owner=(e.owner_pid, e.owner_start_ns) if e.owner_pid else None,
            owner_via=VIA[e.owner_via] if e.owner_via < len(VIA) else "",
            closer=(e.closer_pid, e.closer_start_ns) if e.closer_pid else None,
            twin=s.twin or None,
        )
