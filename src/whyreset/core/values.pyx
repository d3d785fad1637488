# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Groups and records as values of the model: numbers become the kernel's names, flags become facts."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from whyreset.core.events cimport *
from whyreset.core.groups cimport remotes_distinct
from whyreset.core.table cimport *

import socket

from whyreset.model import Facts, Group, Record, Remotes, Segment

cdef int AF_INET6 = socket.AF_INET6
cdef int AF_INET = socket.AF_INET

cdef enum:
    LISTEN = 10
    FACTS_KEPT = 4096

ENDED = ("", "orderly", "half-closed", "reset-sent", "reset-received", "abandoned", "silent")
SEGMENTS = ("", "old", "last-ack", "new", "fits")
VIA = ("", "connect", "listener", "listener", "open file", "reader", "closer", "accept")
LETTERS = "FSRPAU"


cdef class Values:
    """Makes values.

    Args:
        reasons: the kernel's names of reasons by number.
        states: the kernel's names of socket states by number.
        hz: jiffies a second.
    """

    def __cinit__(self, reasons, states, uint32_t hz):
        if hz == 0:
            raise ValueError("limits out of range")
        self.reasons = tuple(reasons)
        self.states = tuple(states)
        self.hz = hz
        self.facts = {}

    cdef object group_value(self, Table table, int index):
        """One group, with the records kept of it."""
        cdef group *g = &table.groups[index]
        cdef int32_t i = g.first_sample
        cdef list samples = []
        cdef int k
        while i >= 0:
            samples.append(self.record(&table.samples[i]))
            i = table.samples[i].next
        top = sorted([(self.address(g.remotes.top.families[k], g.remotes.top.addresses[k]), g.remotes.top.counts[k]) for k in range(<int>g.remotes.top.used)],
                     key=lambda item: -item[1])
        return Group(
            facts=self.facts_value(&g.key.facts),
            count=g.count,
            first_ns=g.first_ns,
            last_ns=g.last_ns,
            netns=g.key.netns_inode,
            netns_cookie=g.key.netns_cookie,
            port=None if g.key.facts.flags & CROWDED else g.key.port,
            # an estimate may be more than there were at all
            remotes=Remotes(distinct=min(int(round(remotes_distinct(&g.remotes))), g.count), exact=not g.remotes.top.overflowed, top=tuple(top)),
            samples=tuple(samples),
            twin=g.twin or None,
            number=g.number,
            last_number=g.last_number,
            on_wire=g.wired,
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
        if direction != RESET_SENT or not self.reasons:
            return ""
        return self.reasons[number] if number < len(self.reasons) and self.reasons[number] else f"REASON_{number}"

    cdef str letters(self, int flags):
        return "".join([LETTERS[i] for i in range(6) if flags >> i & 1])

    cdef object facts_value(self, facts_key *f):
        cdef bytes raw = (<char *>f)[:sizeof(facts_key)]
        facts = self.facts.get(raw)
        if facts is None:
            if len(self.facts) >= FACTS_KEPT:
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
                soon=bool(f.flags & SOON),
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
                keepalive=bool(f.flags & KEEPALIVE),
                kernel_socket=bool(f.flags & KERNEL_SOCKET),
                accept_queue_full=bool(f.flags & ACCEPT_QUEUE_FULL),
                abort_on_overflow=bool(f.flags & ABORT_ON_OVERFLOW),
                cookies_recent=bool(f.flags & COOKIES_RECENT),
                embryos=bool(f.flags & EMBRYOS),
                memory_exhausted=bool(f.flags & MEMORY_EXHAUSTED),
                crowded=bool(f.flags & CROWDED),
                past_stack=bool(f.flags & PAST_STACK),
            )
        return facts

    cdef object record(self, const sample *s):
        cdef const reset_event *e = &s.event
        cdef bint has_connection = (e.flags & HAS_SOCKET and e.state != LISTEN) or s.ended_ms != NOT_REMEMBERED
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
            queue=(e.snd_nxt, e.rcv_nxt) if e.flags & HAS_SOCKET and e.state == LISTEN and s.ended_ms == NOT_REMEMBERED else None,
            ended_ms=s.ended_ms if s.ended_ms != NOT_REMEMBERED else None,
            exit_code=e.exit_code,
            owner=(e.owner_pid, e.owner_start_ns) if e.owner_pid else None,
            owner_via=VIA[e.owner_via] if e.owner_via < len(VIA) else "",
            closer=(e.closer_pid, e.closer_start_ns) if e.closer_pid else None,
            listener_cookie=0 if e.owner_pid else e.owner_start_ns,
            twin=s.twin or None,
        )
