# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Sightings as values for Python."""

from bisect import bisect_left
from socket import AF_INET, AF_INET6, inet_ntop

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from whyreset.core.alike cimport RECEIVER, SENDER, Alike, alike, crowd, service_port
from whyreset.core.connections cimport *
from whyreset.core.dissect cimport NO_ID, tunnel
from whyreset.core.distinct cimport PORT_BYTES, REGISTERS, addresses_noted, ports_noted
from whyreset.core.formats cimport Names
from whyreset.core.groups cimport frequent
from whyreset.core.waiting cimport NO_REASON, sighting, traits

from whyreset.observation import EarlierReset, Later, Observation, Observations, SeenSegment, Side, Step, Tally, Traits, Tunnel

cdef enum:
    MOST_TRAITS = 4096

cdef str LETTERS = "FSRPAUEC"
cdef bytes HISTORY_LETTERS = b"SHADFRIQTW"
cdef tuple TUNNELS = ("GRE", "ERSPAN", "IPIP", "6in4", "4in6", "6in6", "VXLAN", "Geneve", "GTP-U", "Teredo", "L2TP", "EtherIP", "LISP", "TZSP")

#: the words of each trait that has several
cdef tuple HANDSHAKE = ("none", "syn", "syn-ack", "complete")
cdef tuple BEFORE = ("", "open", "half-closed", "orderly", "reset")
cdef tuple ROLES = ("", "sender", "receiver")
cdef tuple SEQ = ("unknown", "zero", "exact", "below", "above", "far")
cdef tuple ACK_PLACE = ("none", "unknown", "all", "less", "more")
cdef tuple FITS = ("", "seq", "ack")
cdef tuple DELAY = ("unknown", "too-early", "prompt", "late")
cdef tuple IDLE = ("none", "short", "long")
cdef tuple FIN_STATE = ("", "sent", "acknowledged")
cdef tuple TTL = ("unknown", "same", "near", "different")
cdef tuple IP_ID = ("unknown", "zero", "fits", "jumps")
cdef tuple COUNT = ("none", "one", "more")
cdef tuple EARLIER = ("", "same", "other")
cdef tuple MPTCP = ("", "fastclose", "tcprst", "other")
cdef tuple NEXT_RESET = ("", "same", "ahead", "other")

#: the letters of each combination of flags
cdef list FLAGS = ["".join(letter for i, letter in enumerate(LETTERS) if flags >> i & 1) for flags in range(256)]


cdef str address_of(uint8_t family, const uint8_t *address):
    return inet_ntop(AF_INET6, address[:16]) if family == 6 else inet_ntop(AF_INET, address[:4])


cdef object traits_value(const traits *t):
    return Traits(
        flags=FLAGS[t.flags],
        handshake=HANDSHAKE[t.handshake],
        opener=ROLES[t.opener],
        alone=bool(t.alone),
        state_lost=bool(t.state_lost),
        before=BEFORE[t.before],
        seq=SEQ[t.seq],
        ack=ACK_PLACE[t.ack],
        trigger=None if t.trigger_none else FLAGS[t.trigger],
        trigger_payload=bool(t.trigger_payload),
        trigger_fits=FITS[t.trigger_fits],
        trigger_new_data=bool(t.trigger_new_data),
        trigger_again=bool(t.trigger_again),
        trigger_completes=bool(t.trigger_completes),
        trigger_options=bool(t.trigger_options),
        mptcp=MPTCP[t.mptcp],
        delay=DELAY[t.delay],
        idle=IDLE[t.idle],
        sender_fin=FIN_STATE[t.sender_fin],
        receiver_fin=FIN_STATE[t.receiver_fin],
        sender_sent_data=bool(t.sender_sent_data),
        receiver_sent_data=bool(t.receiver_sent_data),
        sender_outstanding=bool(t.sender_outstanding),
        receiver_outstanding=bool(t.receiver_outstanding),
        sender_unanswered=bool(t.sender_unanswered),
        receiver_unanswered=bool(t.receiver_unanswered),
        sender_keepalives=bool(t.sender_keepalives),
        receiver_keepalives=bool(t.receiver_keepalives),
        sender_window_zero=bool(t.sender_window_zero),
        ttl=TTL[t.ttl],
        ip_id=IP_ID[t.ip_id],
        payload=bool(t.payload),
        sender_resets=COUNT[t.sender_resets],
        receiver_resets=COUNT[t.receiver_resets],
        earlier=EARLIER[t.earlier],
        sender_went_on=bool(t.sender_went_on),
        receiver_went_on=bool(t.receiver_went_on),
        next_reset=NEXT_RESET[t.next_reset],
    )


cdef object addresses_of(const frequent *r, const uint8_t *registers):
    cdef list top = [(address_of(r.families[i], r.addresses[i]), r.counts[i]) for i in range(<int>r.used)]
    top.sort(key=lambda each: -each[1])
    if not r.overflowed:
        return Tally(distinct=r.used, exact=True, top=tuple(top))
    # one more than is listed was seen for certain
    return Tally(distinct=max(round(addresses_noted(registers)), <int>r.used + 1), exact=False, top=tuple(top), sketch=registers[:REGISTERS])


cdef object ports_of(const frequent *r, const uint8_t *ports):
    cdef list top = []
    cdef uint16_t port
    cdef uint32_t i
    for i in range(r.used):
        memcpy(&port, r.addresses[i], 2)
        top.append((str(port), r.counts[i]))
    top.sort(key=lambda each: -each[1])
    if not r.overflowed:
        return Tally(distinct=r.used, exact=True, top=tuple(top))
    return Tally(distinct=ports_noted(ports), exact=False, top=tuple(top), sketch=ports[:PORT_BYTES])


cdef object tally_of_one(str value, uint64_t count):
    return Tally(distinct=1, exact=True, top=((value, count),))


cdef class Builder:
    """Makes values.

    Args:
        names: of the interfaces.
        bases: for each file, how many frames came before it.
        extras: by the number of a reset what few have: (payload, comment, tunnels, note).
    """

    def __cinit__(self, Names names, list bases, dict extras):
        self.names = names
        self.bases = bases
        self.extras = extras
        self.traits_known = {}

    cdef object traits_of(self, const traits *t):
        cdef bytes key = (<const char *>t)[:sizeof(traits)]
        found = self.traits_known.get(key)
        if found is None:
            found = traits_value(t)
            if len(self.traits_known) < MOST_TRAITS:
                self.traits_known[key] = found
        return found

    cdef tuple file_and_frame(self, uint32_t frame):
        """A frame, counted over all files, as (file, its number there)."""
        cdef Py_ssize_t file = bisect_left(self.bases, frame) - 1
        return (0, frame) if file < 0 else (file, frame - self.bases[file])

    cdef object segment_of(self, const seen *s):
        if not s.valid:
            return None
        file, frame = self.file_and_frame(s.frame)
        return SeenSegment(file=file, frame=frame, time_ns=s.time_ns, flags=FLAGS[s.flags & 0xFF], seq=s.seq, ack=s.ack, length=s.length)

    cdef object step_of(self, const segment *s):
        """A segment of the connection that is followed."""
        cdef const uint8_t *src = <const uint8_t *>&s.ends[2 * s.side]
        file, frame = self.file_and_frame(s.frame)
        return Step(
            segment=SeenSegment(file=file, frame=frame, time_ns=s.time_ns, flags=FLAGS[s.flags & 0xFF], seq=s.seq, ack=s.ack, length=s.length),
            src=address_of(s.family, src),
            sport=s.ports >> 16 if s.side == 0 else s.ports & 0xFFFF,
            window=s.window,
            ttl=s.ttl,
        )

    cdef object side_of(self, const connection *c, int which, uint8_t fin, bint outstanding):
        cdef const side *me = &c.sides[which]
        cdef const side *peer = &c.sides[1 - which]
        cdef uint8_t known = me.known
        if not me.packets and not me.resets:
            return NO_SIDE
        return Side(
            packets=me.packets,
            bytes=me.bytes,
            isn=me.isn if known & ISN else None,
            next_seq=me.next if known & NEXT else None,
            acked=me.acked if known & ACKED else None,
            outstanding=(me.next - (peer.acked if peer.known & ACKED else me.isn + 1)) & 0xFFFFFFFF if outstanding else 0,
            fin=FIN_STATE[fin],
            unanswered=me.unanswered,
            keepalives=me.keepalives,
            window=(<uint64_t>me.window << (me.scale if known & peer.known & SCALE else 0)) if me.packets else None,
            ttl_min=me.ttl_min if me.packets else None,
            ttl_max=me.ttl_max if me.packets else None,
            ip_id=me.ip_id if me.packets and c.family == 4 else None,
            ip_id_before=me.ip_id_before if me.packets > 1 and c.family == 4 else None,
            fastest_answer_ns=me.fastest_ns if me.fastest_ns != MOST_NS else None,
            last=self.segment_of(&me.last),
            resets=me.resets,
            timestamps=known & TIMESTAMPS != 0,
        )

    cdef str history_of(self, const sighting *x):
        cdef const connection *c = &x.connection
        cdef uint8_t upper = c.first if c.opener == NOBODY else c.opener
        cdef list letters = []
        cdef int i
        cdef str letter
        if c.first != upper and (c.history_used or x.side != upper):
            letters.append("^")
        for i in range(c.history_used):
            letter = chr(HISTORY_LETTERS[c.history[i] >> 1])
            letters.append(letter if c.history[i] & 1 == upper else letter.lower())
        return "".join(letters) + self.last_letter(x, upper)

    cdef str last_letter(self, const sighting *x, uint8_t upper):
        """The reset's own, which the connection did not know yet."""
        cdef const connection *c = &x.connection
        cdef int place = 5 if not x.flags & (SYN | FIN) else (6 if not x.flags & SYN else 7)
        cdef str letter = chr(HISTORY_LETTERS[place])
        if c.sides[x.side].letters >> place & 1 and not (place == 5 and c.reset_by == x.side and c.reset_seq != x.seq):
            return ""
        return letter if x.side == upper else letter.lower()

    cdef object earlier_of(self, const sighting *x):
        cdef const connection *c = &x.connection
        if c.reset_by == NOBODY:
            return None
        file, frame = self.file_and_frame(c.reset_frame)
        return EarlierReset(
            by="sender" if c.reset_by == x.side else "receiver",
            file=file,
            frame=frame,
            time_ns=c.reset_ns,
            seq=c.reset_seq,
            ack=c.reset_ack,
            flags=FLAGS[c.reset_flags & 0xFF],
            ttl=c.reset_ttl,
            ip_id=c.reset_ip_id if c.family == 4 else None,
            interface=self.names[c.reset_name],
        )

    cdef object observe(self, const sighting *x):
        cdef const connection *c = &x.connection
        cdef int me = x.side
        cdef const uint8_t *src = <const uint8_t *>&c.ends[2 * me]
        cdef const uint8_t *dst = <const uint8_t *>&c.ends[2 * (1 - me)]
        cdef const traits *t = &x.traits
        payload, comment, tunnels, note = self.extras.pop(x.number, NO_EXTRAS) if x.has_extras else NO_EXTRAS
        file, frame = self.file_and_frame(x.frame)
        began_file, began_frame = self.file_and_frame(c.began_frame)
        return Observation(
            number=x.number,
            file=file,
            frame=frame,
            time_ns=x.time_ns,
            interface=self.names[x.name],
            family=c.family,
            src=address_of(c.family, src),
            sport=c.ports >> 16 if me == 0 else c.ports & 0xFFFF,
            dst=address_of(c.family, dst),
            dport=c.ports & 0xFFFF if me == 0 else c.ports >> 16,
            flags=FLAGS[x.flags & 0xFF],
            seq=x.seq,
            ack=x.ack,
            window=x.window,
            ttl=x.ttl,
            ip_id=x.ip_id if c.family == 4 else None,
            timestamps=bool(x.timestamps),
            length=x.length,
            payload=payload,
            mptcp_reason=None if x.mptcp_reason == NO_REASON else x.mptcp_reason,
            comment=comment,
            note=note,
            tunnels=tunnels,
            connection=c.number,
            began_ns=c.began_ns,
            began_file=began_file,
            began_frame=began_frame,
            opener=None if c.opener == NOBODY else ("sender" if c.opener == me else "receiver"),
            handshake=HANDSHAKE[c.shaken],
            history=self.history_of(x),
            sender=self.side_of(c, me, t.sender_fin, t.sender_outstanding),
            receiver=self.side_of(c, 1 - me, t.receiver_fin, t.receiver_outstanding),
            trigger=self.segment_of(&x.trigger),
            earlier=self.earlier_of(x),
            later=Later(
                complete=bool(x.complete),
                sender_went_on=x.sender_went_on,
                receiver_went_on=x.receiver_went_on,
                sender_resets=x.sender_resets,
                next_seq=x.next_seq if x.has_next else None,
                next_after_ns=x.next_after_ns if x.has_next else None,
                receiver_resets=x.receiver_resets,
            ),
            traits=self.traits_of(t),
        )

    cdef object single(self, const sighting *x):
        """One reset by itself."""
        cdef object sample = self.observe(x)
        return Observations(
            sample=sample,
            count=1,
            first_ns=x.time_ns,
            last_ns=x.time_ns,
            senders=tally_of_one(sample.src, 1),
            receivers=tally_of_one(sample.dst, 1),
            ports=tally_of_one(str(service_port(x)), 1),
        )

    cdef object group(self, Alike groups, int number):
        """A group of like ones."""
        cdef alike *group = &groups.groups[number]
        cdef crowd *many
        cdef object sample = self.observe(&group.sample)
        if group.crowd < 0:
            senders = tally_of_one(sample.src, group.count)
            receivers = tally_of_one(sample.dst, group.count)
            ports = tally_of_one(str(group.key.port), group.count)
        else:
            many = &groups.crowds[group.crowd]
            if group.key.told & SENDER:
                senders = tally_of_one(sample.src, group.count)
            else:
                senders = addresses_of(&many.senders, many.noted.senders)
            if group.key.told & RECEIVER:
                receivers = tally_of_one(sample.dst, group.count)
            else:
                receivers = addresses_of(&many.receivers, many.noted.receivers)
            ports = ports_of(&many.ports, many.noted.ports)
        return Observations(
            sample=sample, count=group.count, first_ns=group.first_ns, last_ns=group.last_ns, senders=senders, receivers=receivers, ports=ports
        )


cdef object NO_SIDE = Side()
cdef tuple NO_EXTRAS = (b"", "", (), b"")


cdef tuple tunnels_value(const tunnel *tunnels, int used):
    """What a packet was wrapped in."""
    cdef list out = []
    cdef int i
    for i in range(used):
        out.append(
            Tunnel(
                kind=TUNNELS[tunnels[i].kind],
                src=address_of(tunnels[i].family, tunnels[i].src),
                dst=address_of(tunnels[i].family, tunnels[i].dst),
                id=None if tunnels[i].id == NO_ID else tunnels[i].id,
            )
        )
    return tuple(out)
