# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Who contacted which ports of this host first, and what came of it: evidence for scans, in a table that never grows.

A contact is a failure where this host's stack reset a segment that belongs to no connection, and a success where a
connection was accepted (it is told when it closes; on the wire when its SYN is answered). For each remote (for IPv6 the /64, since one host may have all of
that) and namespace, the places (address and port of this host) that failed are kept exactly while they are few;
beyond that HyperLogLog counts them (128 registers: standard error 1.04 / 11.3 = 9 %).

Evidence lives for a day. Buckets of eight; in a full one the remote goes that is least suspicious: it stays by the time
of its last contact, and the longer the more places it tried. So a flood of spoofed sources, which contact one place
each, pushes out one another. A newcomer always has a place, so that nobody can fill the table for the day; but where so
many remotes are new at one port within a second, that is no scan of theirs, and they are passed over.
"""

from libc.math cimport log
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.connections cimport *
from whyreset.core.events cimport *
from whyreset.core.hashing cimport fold, hash_address
from whyreset.core.sketch cimport sketch_add, sketch_count

import os
import socket

from whyreset.model import Contact, Target

cdef extern from * nogil:
    int __builtin_popcountll(unsigned long long)

cdef enum:
    WAYS = 8
    URG = 32
    SYN_SENT = 2
    SYN_RECV = 3
    LISTEN = 10
    # stacks send more options with a SYN than its segment size; programs that make their own send none or that alone
    FEW_OPTIONS = 4
    NEW_A_SECOND = 64

cdef uint64_t SECOND = 1000000000
cdef uint64_t DAY = 86400 * SECOND
#: how much longer a remote stays than its last contact, by the number of places that it tried
cdef uint64_t[4] STAYS = [0, 600 * SECOND, 3600 * SECOND, 43200 * SECOND]
#: one that only was accepted goes as if it had been silent for so long
cdef uint64_t HARMLESS = 3600 * SECOND

cdef int AF_INET = socket.AF_INET
cdef int AF_INET6 = socket.AF_INET6
TECHNIQUES = ("connect", "syn", "fin", "null", "xmas", "ack", "maimon", "other")


cdef uint8_t technique_of(uint8_t flags, bint by_stack, bint bare) noexcept nogil:
    """How a segment that belongs to no connection tries a port; 0 where it is no try.

    Args:
        flags: of TCP.
        by_stack: it has options as stacks send them with a SYN.
        bare: neither options nor payload.
    """
    flags &= 0x3F
    if flags == SYN:
        return BY_CONNECT if by_stack else BY_SYN
    if flags == FIN:
        return BY_FIN
    if flags == 0:
        return BY_NULL
    if flags == FIN | PSH | URG:
        return BY_XMAS
    if flags & (SYN | ACK) == SYN | ACK and not flags & FIN:
        return 0                        # an answer
    if flags & ACK and not flags & SYN:
        # what stacks send of a connection that they still believe in has data, or options
        if not bare or flags & (PSH | URG):
            return 0
        return BY_MAIMON if flags & FIN else BY_ACK
    return BY_OTHER


cdef class Contacts:
    """See contacts.pyi."""

    def __cinit__(self, size_t capacity=4096):
        self.buckets = 1
        while self.buckets * WAYS < capacity:
            self.buckets *= 2
        self.rows = <remote *>calloc(self.buckets * WAYS, sizeof(remote))
        self.tags = <uint32_t *>calloc(self.buckets * WAYS, sizeof(uint32_t))
        self.changed = <uint32_t *>calloc(self.buckets * WAYS, sizeof(uint32_t))
        self.hots = <hot *>calloc(HOT, sizeof(hot))
        if self.rows == NULL or self.tags == NULL or self.changed == NULL or self.hots == NULL:
            raise MemoryError
        self.seed = int.from_bytes(os.urandom(8), "little")

    def __dealloc__(self):
        free(self.rows)
        free(self.tags)
        free(self.changed)
        free(self.hots)

    @property
    def capacity(self):
        return self.buckets * WAYS

    @property
    def waiting(self):
        return self.listed

    def take(self, int most):
        cdef list out = []
        cdef uint32_t i, kept = 0
        cdef remote *r
        cdef int least
        # in a crowd those come first that have what it takes to be called a scan
        for least in (4, 0):
            kept = 0
            for i in range(self.listed):
                r = &self.rows[self.changed[i]]
                if len(out) < most and r.places_used >= least:
                    r.listed = 0
                    if r.places_used:
                        out.append(self.value(r))
                else:
                    self.changed[kept] = self.changed[i]
                    kept += 1
            self.listed = kept
        return out

    cdef void refused(self, const reset_event *e) noexcept nogil:
        """A segment that belongs to no connection was answered with a reset."""
        cdef uint8_t technique
        if not e.flags & HAS_TRIGGER or e.family == 0 or (e.flags & HAS_SOCKET and e.state != LISTEN):
            return
        if e.flags & HAS_SOCKET and e.trigger_flags & SYN:
            return                      # a listener refused it; the port is open
        technique = technique_of(e.trigger_flags, e.trigger_options > FEW_OPTIONS, e.trigger_length == 0 and e.trigger_options == 0)
        if technique:
            self.fail(e.netns_cookie, e.netns_inode, e.family, e.remote, e.local, e.local_port, technique, e.time_ns)

    cdef void closed(self, const close_event *e) noexcept nogil:
        """A connection is gone. Only who answered our SYN-ACK, or our SYN, has shown that its address is its own."""
        if e.family == 0 or e.opened_ns == 0 or e.state_before == SYN_SENT or e.state_before == SYN_RECV:
            return
        self.succeed(e.netns_cookie, e.family, e.remote, e.local_port, (e.flags & ACTIVE_OPEN) == 0, True, e.time_ns)

    cdef void refused_on_wire(self, const connection *row, const segment *s) noexcept nogil:
        """A reset on the wire, before its connection takes notice: whether it answers one that tried a port."""
        cdef const side *peer = &row.sides[1 - s.side]
        cdef uint8_t technique
        cdef bint by_stack = peer.known & (SCALE | TIMESTAMPS) != 0
        if row.shaken > SYN_SEEN or row.sides[s.side].packets or row.reset_by != NOBODY or peer.packets == 0:
            return
        if row.shaken == NOTHING and peer.packets > 1:
            return
        technique = technique_of(<uint8_t>peer.last.flags, by_stack, peer.last.length == 0 and peer.last.valid & HAS_OPTIONS == 0)
        if technique:
            self.fail(0, 0, AF_INET6 if row.family == 6 else AF_INET, <const uint8_t *>&row.ends[2 * (1 - s.side)], <const uint8_t *>&row.ends[2 * s.side],
                      <uint16_t>(row.ports >> 16 if s.side == 0 else row.ports), technique, s.time_ns)

    cdef void answered_on_wire(self, const connection *row) noexcept nogil:
        """A SYN was answered with a SYN-ACK, or that with an ACK."""
        cdef int server = 1 - row.opener
        if row.opener == NOBODY or row.shaken < SYN_ACK_SEEN:
            return
        self.succeed(0, AF_INET6 if row.family == 6 else AF_INET, <const uint8_t *>&row.ends[2 * row.opener], <uint16_t>(row.ports >> 16 if server == 0 else row.ports),
                     True, row.shaken == COMPLETE, row.sides[server].last.time_ns)

    cdef void fail(self, uint64_t netns, uint32_t inode, uint8_t family, const uint8_t *address, const uint8_t *here, uint16_t port,
                   uint8_t technique, uint64_t time_ns) noexcept nogil:
        cdef remote *r = self.find(netns, family, address, time_ns, True, port)
        cdef uint32_t now_s = <uint32_t>(time_ns // SECOND)
        cdef uint64_t h
        cdef int i, where = ADDRESSES
        cdef place *p
        if r == NULL:
            return
        r.netns_inode = inode
        r.tries += 1
        r.techniques |= technique
        for i in range(r.here_used):
            if memcmp(r.here[i], here, 16) == 0:
                where = i
                break
        h = hash_address(here, self.seed)
        if where == ADDRESSES:
            if r.here_used < ADDRESSES:
                where = r.here_used
                memcpy(r.here[where], here, 16)
                r.here_used += 1
            r.addresses_seen |= <uint64_t>1 << (h & 63)
        if r.tries == 1 or port < r.low:
            r.low = port
        if port > r.high:
            r.high = port
        h = fold(h ^ port, 0x9E3779B97F4A7C15ULL ^ self.seed)
        # one multiplication leaves neighbouring ports too much alike
        h = fold(h ^ 0xD6E8FEB86659FD93ULL, 0xA0761D6478BD642FULL ^ self.seed)
        sketch_add(r.registers, SKETCH_BITS, h)
        for i in range(r.places_used):
            p = &r.places[i]
            if p.port == port and p.address == where:
                p.techniques |= technique
                if p.again < 0xFFFF:
                    p.again += 1
                self.show(r)
                return
        if r.places_used == PLACES:
            r.crowded = 1
        else:
            p = &r.places[r.places_used]
            r.failed_ns = r.failed_ns if r.places_used else time_ns
            r.places_used += 1
            p.port = port
            p.address = where
            p.techniques = technique
            p.again = 0
            p.first_s = now_s
        self.show(r)

    cdef void succeed(self, uint64_t netns, uint8_t family, const uint8_t *address, uint16_t port, bint was_asked, bint proven,
                      uint64_t time_ns) noexcept nogil:
        """
        Args:
            was_asked: the remote had opened the connection, to this port of ours.
            proven: it has completed the handshake.
        """
        cdef remote *r = self.find(netns, family, address, time_ns, True, 0x10000)
        cdef int i
        if r == NULL:
            return
        r.handshake |= proven
        if not was_asked:
            return
        r.accepted += proven
        for i in range(r.opened_used):
            if r.opened[i] == port:
                return
        if r.opened_used < OPENED:
            r.opened[r.opened_used] = port
            r.opened_used += 1
            if r.places_used:
                self.show(r)

    cdef remote *find(self, uint64_t netns, uint8_t family, const uint8_t *address, uint64_t time_ns, bint make, uint32_t rate_key) noexcept nogil:
        """The remote's row; a new one with `make`, NULL where there is none for it."""
        cdef uint8_t key[16]
        cdef uint64_t h, base, stays, least = 0xFFFFFFFFFFFFFFFFULL
        cdef uint32_t tag
        cdef uint8_t listed
        cdef remote *r
        cdef remote *victim = NULL
        cdef int i
        memcpy(key, address, 16)
        if family == AF_INET6:
            memset(key + 8, 0, 8)
        r = self.latest
        if r == NULL or r.netns_cookie != netns or r.family != family or memcmp(r.address, key, 16) != 0:
            h = fold(hash_address(key, self.seed) ^ family, netns ^ 0xA0761D6478BD642FULL)
            base = (h & (self.buckets - 1)) * WAYS
            tag = <uint32_t>(h >> 32) | 1
            r = NULL
            for i in range(WAYS):
                if self.tags[base + i] == tag:
                    r = &self.rows[base + i]
                    if r.netns_cookie == netns and r.family == family and memcmp(r.address, key, 16) == 0:
                        break
                    r = NULL
            if r == NULL:
                if not make or (rate_key <= 0xFFFF and self.is_hot(netns, rate_key, time_ns)):
                    return NULL
                for i in range(WAYS):
                    if self.tags[base + i] == 0:
                        victim = &self.rows[base + i]
                        self.held += 1
                        break
                    r = &self.rows[base + i]
                    stays = r.last_ns
                    if r.places_used == 0:
                        stays -= min(stays, HARMLESS)
                    elif r.places_used >= PLACES:
                        stays += DAY
                    else:
                        stays += STAYS[min(r.places_used - 1, 3)]
                    if stays < least:
                        least = stays
                        victim = r
                else:
                    # what is older than a day is no evidence any more
                    if victim.last_ns + DAY > time_ns:
                        self.forgotten += 1
                r = victim
                # its place in the list of what changed stays the row's
                listed = r.listed
                memset(r, 0, sizeof(remote))
                r.listed = listed
                r.netns_cookie = netns
                r.family = family
                memcpy(r.address, key, 16)
                r.began_ns = time_ns
                self.tags[r - self.rows] = tag
            self.latest = r
        if time_ns > r.began_ns + DAY:
            # a new day, with nothing left but that its address is its own
            r.tries = r.accepted = r.addresses_seen = 0
            r.began_ns = time_ns
            r.places_used = r.opened_used = r.here_used = r.crowded = r.techniques = 0
            r.low = r.high = 0
            memset(r.registers, 0, REGISTERS)
        r.last_ns = max(r.last_ns, time_ns)
        return r

    cdef bint is_hot(self, uint64_t netns, uint32_t port, uint64_t time_ns) noexcept nogil:
        """Whether so many remotes were new at that port within this second; this one is counted."""
        cdef uint64_t key = fold(netns ^ self.seed, port ^ 0x9E3779B97F4A7C15ULL), second = time_ns // SECOND
        cdef hot *slot = &self.hots[key % HOT]
        if slot.key != key or slot.second != second:
            # of two ports that fall together the busier one stays for its second
            if slot.second == second and slot.count >= NEW_A_SECOND:
                return False
            slot.key = key
            slot.second = second
            slot.count = 0
        slot.count += 1
        if slot.count <= NEW_A_SECOND:
            return False
        self.passed += 1
        return True

    cdef void show(self, remote *r) noexcept nogil:
        """It is to be told, if it is worth a look: two places, or a segment that no stack sends."""
        if r.listed or (r.places_used < 2 and not r.techniques & ~<uint8_t>(BY_CONNECT | BY_SYN | BY_ACK | BY_MAIMON)):
            return
        r.listed = 1
        self.changed[self.listed] = <uint32_t>(r - self.rows)
        self.listed += 1

    cdef object failed(self, remote *r):
        """Places that failed. An estimate is no more than segments there were for them, nor than ports there can be."""
        cdef uint64_t most = r.tries
        if not r.crowded:
            return r.places_used
        if r.here_used < ADDRESSES:
            most = min(most, <uint64_t>(r.high - r.low + 1) * r.here_used)
        return max(<int>PLACES + 1, min(round(sketch_count(r.registers, SKETCH_BITS)), most))

    cdef object value(self, remote *r):
        cdef int i
        family = socket.AF_INET6 if r.family == AF_INET6 else socket.AF_INET
        size = 16 if r.family == AF_INET6 else 4
        here = [socket.inet_ntop(family, (<const char *>r.here[i])[:size]) for i in range(r.here_used)]
        name = socket.inet_ntop(family, (<const char *>r.address)[:size])
        return Contact(
            netns=r.netns_inode,
            netns_cookie=r.netns_cookie,
            remote=f"{name}/64" if r.family == AF_INET6 else name,
            first_ns=r.failed_ns,
            last_ns=r.last_ns,
            tries=r.tries,
            failed=self.failed(r),
            exact=not r.crowded,
            places=tuple([
                Target(
                    address=here[r.places[i].address] if r.places[i].address < len(here) else "",
                    port=r.places[i].port,
                    first_s=r.places[i].first_s,
                    again=r.places[i].again,
                )
                for i in range(r.places_used)
            ]),
            low=r.low,
            high=r.high,
            addresses=r.here_used if r.here_used < ADDRESSES else max(<int>ADDRESSES, estimated(__builtin_popcountll(r.addresses_seen))),
            techniques=tuple([TECHNIQUES[i] for i in range(8) if r.techniques >> i & 1]),
            opened=tuple([r.opened[i] for i in range(r.opened_used)]),
            accepted=r.accepted,
            handshake=bool(r.handshake),
        )


cdef int estimated(int bits):
    """How many addresses there were, by the bits of 64 that they set (linear counting)."""
    return <int>(64 * log(64.0 / max(64 - bits, 1)) + 0.5)
