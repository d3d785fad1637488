# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Resets on the wire, joined with what the kernel told of them: one reset is one, wherever it is seen.

On the wire a reset shows several times: on each interface that it passes, at both ends of loopback, and behind address
translation with another address. Those with the same ends and numbers are one; where only the receiver and the numbers
are the same, one may be the other's translation (and each has one at the most, since a scanner's probes may all have
the same numbers).

Which of those is whose translation is told by connection tracking, where it still knows; else by the numbers.

What is seen waits a while before it is judged, so that all that bears on it has come: then a reset that left this host
without having come in, of which no kernel told, and which is nobody's translation, went past the stack. Where anything
was lost meanwhile, nothing is concluded.
"""

import socket

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from whyreset.core.connections cimport ACK, FIN, SYN, segment
from whyreset.core.events cimport HAS_TRIGGER, RESET_SENT, reset_event
from whyreset.core.spots cimport Spots, hash_words, identity, spot
from whyreset.core.table cimport PAST_STACK, Table, group_key
from whyreset.core.values cimport Values

cdef enum:
    LOOK = 64           # so many that are alike are looked at
    ASKS = 64           # for so many in a judgement connection tracking is asked
    GROUPS = 128
    OF_ONE_KIND = 96
    # spot.claimed
    IS_ORIGINAL = 1     # another one is this one, translated
    IS_TRANSLATION = 2

cdef uint8_t INET = socket.AF_INET
cdef uint8_t INET6 = socket.AF_INET6

#: how long before one is judged: what bears on it comes within milliseconds, counters are read each second
cdef uint64_t SETTLED = 1200000000
#: before that the other side may still be in its ring
cdef uint64_t YOUNG = 100000000
#: translations of one reset are within it
cdef int64_t NEAR = 1000000000
#: a packet may wait so long in a queue before it leaves
cdef uint64_t KEPT = 10000000000


cdef class Merge:
    """See merge.pyi."""

    def __cinit__(self, uint32_t most=1 << 16):
        self.spots = Spots(most)
        self.judged = 1
        self.namers, self.translators = [], []
        self.table = Table(GROUPS, OF_ONE_KIND, GROUPS, 1, GROUPS)
        self.values = Values((), (), 100)

    def ring(self, uint64_t cookie, uint32_t inode, names, translations=None):
        """A namespace whose packets are read; see merge.pyi."""
        cdef uint8_t number = len(self.namers)
        if len(self.namers) >= MOST_RINGS:
            raise ValueError("limits out of range")
        self.cookies[number] = cookie
        self.inodes[number] = inode
        self.namers.append(names)
        self.translators.append(translations)
        return number

    def begin(self, uint64_t now_ns):
        """A visit begins."""
        self.now_ns = now_ns
        memset(self.names, 0, sizeof(self.names))
        while self.spots.tail != self.judged and self.spots.at(self.spots.tail).seen_ns + KEPT < now_ns:
            self.spots.tail += 1

    def judge(self, uint64_t now_ns, uint64_t epoch_ns, bint doubtful, bint everything=False):
        """Judges what has waited enough; see merge.pyi."""
        cdef uint32_t end = self.judged, place
        cdef uint64_t wait = YOUNG if everything else SETTLED
        self.asks = ASKS
        while end != self.spots.following and self.spots.at(end).seen_ns + wait <= now_ns:
            end += 1
        # what left first: it may be the translation of one that a kernel told of
        for place in range(self.judged, end):
            self.judge_shown(self.spots.at(place), epoch_ns, doubtful)
        for place in range(self.judged, end):
            self.judge_told(self.spots.at(place), doubtful)
        self.judged = end

    def take(self):
        """The groups that were judged since the last call."""
        cdef list out = [self.values.group_value(self.table, i) for i in range(self.table.used)]
        self.table.clear()
        return out

    def off_wire_of(self, uint64_t cookie):
        """How many resets the kernel told of in that namespace that never left it; None where its packets are not read."""
        cookies = [self.cookies[i] for i in range(len(self.namers))]
        return self.off_wire[cookies.index(cookie)] if cookie in cookies else None

    @property
    def remembered(self):
        """Resets that are in memory now."""
        return self.spots.following - self.spots.tail

    cdef void sight(self, uint8_t ring, const segment *s, uint32_t ifindex, bint outgoing, uint64_t time_ns) noexcept nogil:
        """A reset on the wire."""
        cdef identity who
        cdef spot *x
        cdef spot *alike
        cdef uint32_t told = 0
        cdef uint64_t cookie = 0
        memset(&who, 0, sizeof(who))
        memcpy(who.src, &s.ends[2 * s.side], 16)
        memcpy(who.dst, &s.ends[2 * (1 - s.side)], 16)
        who.sport = <uint16_t>(s.ports >> 16 if s.side == 0 else s.ports)
        who.dport = <uint16_t>(s.ports if s.side == 0 else s.ports >> 16)
        who.family = INET6 if s.family == 6 else INET
        who.seq = s.seq
        if s.flags & ACK:
            who.acks = 1
            who.ack = s.ack
        x = self.spots.find_same(&who)
        if x == NULL:
            # the kernel may have told of it with numbers that are not quite the packet's; what follows has these
            alike = self.find_ends(&who, False)
            if alike != NULL:
                told, cookie = alike.told, alike.cookie
                alike.time_ns = time_ns
                alike.left = 0xFFFF
            x = self.open(&who)     # which may move them all
            if x == NULL:
                return
            x.told, x.cookie = told, cookie
        # the first place is where it left, though another namespace's ring, where it came in, was read before
        if not x.time_ns or (x.came_in and outgoing and not x.came >> ring & 1):
            x.time_ns = time_ns
            x.ring = ring
            x.ifindex = ifindex
            x.came_in = not outgoing
            x.shown = 0
            x.ttl = s.ttl
        if x.ring == ring and x.ifindex == ifindex and x.came_in == (not outgoing):
            x.shown += 1
        if outgoing:
            x.left |= 1 << ring
        elif not x.left >> ring & 1:
            x.came |= 1 << ring

    cdef bint told(self, const reset_event *e, char *interface) noexcept nogil:
        """The kernel told of a reset that was sent; whether it was on the wire by now. `interface` is by which it left
        first, where that is known better than from the kernel; else empty."""
        cdef identity who
        cdef spot *x
        memset(&who, 0, sizeof(who))
        memcpy(who.src, e.local, 16)
        memcpy(who.dst, e.remote, 16)
        who.sport = e.local_port
        who.dport = e.remote_port
        who.family = e.family
        if e.flags & HAS_TRIGGER:
            # RFC 9293 section 3.5.2, as tcp_v4_send_reset() does it
            if e.trigger_flags & ACK:
                who.seq = e.trigger_ack
            else:
                who.acks = 1
                who.ack = e.trigger_seq + e.trigger_length + (e.trigger_flags & SYN != 0) + (e.trigger_flags & FIN != 0)
        else:
            who.acks = 1
            who.seq = e.snd_nxt
            who.ack = e.rcv_nxt
        x = self.spots.find_same(&who)
        if x == NULL:
            x = self.find_ends(&who, True)
        if x == NULL:
            x = self.open(&who)
            if x == NULL:
                return False
        x.told += 1
        x.cookie = e.netns_cookie
        if not x.time_ns:
            return False
        interface[0] = 0
        if self.cookies[x.ring] == e.netns_cookie or not e.interface[0]:
            self.name(x.ring, x.ifindex, interface)
        return True

    cdef spot *find_ends(self, const identity *who, bint shown) noexcept nogil:
        """A reset between the same ends that only the wire has shown, or that only the kernel has told of."""
        cdef spot *x = self.spots.first_between(who)
        cdef int i
        for i in range(LOOK):
            if x == NULL:
                return NULL
            if (x.time_ns != 0) == shown and (x.told != 0) != shown and <int64_t>(self.now_ns - x.seen_ns) < NEAR:
                return x
            x = self.spots.next_between(x, who)
        return NULL

    cdef spot *open(self, const identity *who) noexcept nogil:
        cdef spot *x
        if not self.spots.has_room():
            # the one remembered longest goes; where it was not judged by then, nothing is concluded
            if self.spots.tail == self.judged:
                self.judge_shown(self.spots.at(self.judged), 0, True)
                self.judge_told(self.spots.at(self.judged), True)
                self.judged += 1
            self.spots.tail += 1
        x = self.spots.add(who, self.now_ns)
        if x == NULL:
            self.judged = 1
        return x

    cdef void judge_told(self, spot *x, bint doubtful) noexcept nogil:
        """Whether one that a kernel told of has left its namespace, as it was or translated there."""
        cdef int i
        if not x.told or x.claimed & IS_ORIGINAL:
            return
        for i in range(MOST_RINGS):
            if self.cookies[i] == x.cookie and self.cookies[i] and not x.left >> i & 1:
                if doubtful:
                    self.undecided += x.told
                elif not self.has_translation(x, i):
                    self.off_wire[i] += x.told

    cdef bint has_translation(self, spot *x, int ring) noexcept nogil:
        """Whether one that left is this one, translated, though that is yet to be judged."""
        cdef spot *z = self.spots.first_numbered(&x.who)
        cdef int i
        for i in range(LOOK):
            if z == NULL:
                return False
            if (
                z != x and z.ring == ring and not z.told and not z.came_in and not z.claimed & IS_TRANSLATION
                and is_alike(x, z) and is_source(x, z)
            ):
                x.claimed |= IS_ORIGINAL
                z.claimed |= IS_TRANSLATION
                return True
            z = self.spots.at(z.next_numbers)
        return False

    cdef void judge_shown(self, spot *x, uint64_t epoch_ns, bint doubtful) noexcept nogil:
        """What one was of which no kernel told, now that all that bears on it has come."""
        cdef int original
        if x.told or not x.time_ns or x.came_in:
            return
        if x.claimed & IS_TRANSLATION:
            self.related += 1
            return
        original = 1 if not doubtful and self.is_tracked(x) else self.original_of(x)
        if original > 0:
            self.related += 1
        elif original < 0 or doubtful:
            self.undecided += x.shown
        else:
            self.past_stack += x.shown
            self.group(x, epoch_ns)

    cdef bint is_tracked(self, const spot *x) noexcept nogil:
        """Whether connection tracking knows it as the translation of one that came in, or that a kernel made."""
        cdef identity who
        cdef spot *y
        cdef bint known
        cdef int i
        if self.asks == 0:
            return False
        self.asks -= 1
        with gil:
            known = self.ask(x, &who)
        if not known:
            return False
        y = self.spots.first_between(&who)
        for i in range(LOOK):
            if y == NULL:
                return False
            if is_source(y, x):
                y.claimed |= IS_ORIGINAL
                return True
            y = self.spots.next_between(y, &who)
        return False

    cdef bint ask(self, const spot *x, identity *into) noexcept:
        """The ends that it had before its translation; False where there was none, or none is known."""
        cdef bytes ends = (<const char *>&x.who)[:36]
        cdef object ask = self.translators[x.ring]
        cdef object found = ask(x.who.family == INET6, ends) if ask is not None else None
        if not isinstance(found, bytes) or len(found) != 36 or found == ends:
            return False
        into[0] = x.who
        memcpy(into, <const char *>found, 36)
        return True

    cdef int original_of(self, spot *x) noexcept nogil:
        """Whether this is another reset, translated: 1, or 0; -1 where too many have its numbers to tell."""
        cdef spot *y = self.spots.first_numbered(&x.who)
        cdef int i
        for i in range(LOOK):
            if y == NULL:
                return 0
            if (
                y != x and not y.claimed & IS_ORIGINAL and is_alike(y, x) and is_source(y, x)
                and (is_forwarded(y, x) or not self.fits_better(x, y))
            ):
                y.claimed |= IS_ORIGINAL
                x.claimed |= IS_TRANSLATION
                return 1
            y = self.spots.at(y.next_numbers)
        return -1

    cdef bint fits_better(self, const spot *x, const spot *y) noexcept nogil:
        """Whether another one is more likely than x to be y's translation: a router counts the TTL down by one.

        A scanner's probes have the same numbers, and so have their resets: one may be a firewall's here.
        """
        cdef const spot *z = self.spots.first_numbered(&x.who)
        cdef int i
        for i in range(LOOK):
            if z == NULL:
                return False
            if (
                z != x and z != y and z.ring == x.ring and not z.told and not z.came_in and not z.claimed & IS_TRANSLATION
                and is_alike(z, x) and is_source(y, z) and is_forwarded(y, z)
            ):
                return True
            z = self.spots.at(z.next_numbers)
        return False

    cdef void group(self, const spot *x, uint64_t epoch_ns) noexcept nogil:
        """It is counted with those like it, in the form of a record of the kernel."""
        cdef reset_event e
        cdef group_key key
        cdef int index
        cdef uint32_t i
        memset(&e, 0, sizeof(e))
        memset(&key, 0, sizeof(key))
        e.time_ns = x.time_ns - epoch_ns if x.time_ns > epoch_ns else 0
        e.netns_cookie = self.cookies[x.ring]
        e.netns_inode = self.inodes[x.ring]
        memcpy(e.local, x.who.src, 16)
        memcpy(e.remote, x.who.dst, 16)
        e.local_port = x.who.sport
        e.remote_port = x.who.dport
        e.family = x.who.family
        e.direction = RESET_SENT
        self.name(x.ring, x.ifindex, e.interface)
        key.facts.flags = PAST_STACK
        key.facts.direction = RESET_SENT
        key.netns_inode = e.netns_inode
        key.netns_cookie = e.netns_cookie
        key.port = e.local_port
        # who is named as its sender is told apart as well: only our own addresses are ours
        key.owner_start_ns = hash_words(x.who.src, 2, self.spots.seeds[0])
        for i in range(x.shown):
            self.number += 1
            index = self.table.place(&key, self.number)
            self.table.count(index, &e, self.number)
            self.table.keep(index, &e, self.number, 0xFFFFFFFF)

    cdef void name(self, uint8_t ring, uint32_t ifindex, char *into) noexcept nogil:
        """An interface's name, asked for once in a visit."""
        cdef interface_name *known = &self.names[(ifindex ^ <uint32_t>ring << 4) & 255]
        if known.ifindex != ifindex or known.ring != ring or not known.name[0]:
            with gil:
                self.learn(known, ring, ifindex)
        memcpy(into, known.name, 16)

    cdef int learn(self, interface_name *into, uint8_t ring, uint32_t ifindex) except -1:
        cdef bytes name = self.namers[ring](ifindex).encode("utf-8", "surrogateescape")[:15]
        memset(into, 0, sizeof(interface_name))
        into.ifindex = ifindex
        into.ring = ring
        memcpy(into.name, <const char *>name, len(name))


cdef inline bint is_alike(const spot *y, const spot *x) noexcept nogil:
    """The same numbers, to the same receiver."""
    return (
        y.who.seq == x.who.seq and y.who.ack == x.who.ack and y.who.acks == x.who.acks and y.who.family == x.who.family
        and y.who.dport == x.who.dport and memcmp(y.who.dst, x.who.dst, 16) == 0
    )


cdef inline bint is_source(const spot *y, const spot *x) noexcept nogil:
    """y came in where x left, or a kernel made it, at about that time; and it did not leave there as it was."""
    cdef int64_t apart = <int64_t>(x.seen_ns - y.seen_ns)
    return (
        -NEAR < apart and apart < NEAR and not y.left >> x.ring & 1 and (y.told != 0 or y.came >> x.ring & 1 != 0)
    )


cdef inline bint is_forwarded(const spot *y, const spot *x) noexcept nogil:
    """x has the TTL that y has after a router; also where that of y is not known."""
    return y.ttl == 0 or x.ttl == y.ttl - 1
