"""What packets alone tell about resets: the values that the segments' core gives out.

A reset's *sender* is whom it names as its source, its *receiver* the other end. Numbers are None where they were never
seen: a capture may begin late, be cut short, or lose packets. Text from packets is untrusted and is escaped where it is
shown.

`Traits` are what causes decide by: small, discrete, hashable, so that like resets are explained once. The rest of an
`Observation` is for sentences, for people and for JSON. The core groups resets that are alike in traits, ports and
ends; what is in no trait must not change a cause.

No value here is looked at by Python's collector of cycles: frozen, and made of nothing but such values, they have none.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["sender", "receiver"]
#: How far the handshake was seen before the reset.
Handshake = Literal["none", "syn", "syn-ack", "complete"]
#: A side's FIN: not seen, seen, or seen and acknowledged by the other side.
Fin = Literal["", "sent", "acknowledged"]


class SeenSegment(Struct, frozen=True, kw_only=True, gc=False):
    """One TCP segment as it was captured."""

    #: Index of its file, and its number there (see `Observation`).
    file: int
    frame: int
    time_ns: int
    #: Letters of FSRPAUEC, "" for none set.
    flags: str
    seq: int
    ack: int
    #: Payload bytes by the headers, also where the snap length cut them off.
    length: int


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """One segment of a connection that is followed."""

    segment: SeenSegment
    #: Who sent it.
    src: str
    sport: int
    window: int
    ttl: int


class Side(Struct, frozen=True, kw_only=True, gc=False):
    """One side of a connection, as it was before the reset."""

    #: Segments (its resets left out) and payload bytes, those sent again included.
    packets: int = 0
    bytes: int = 0
    #: Sequence number of its SYN.
    isn: int | None = None
    #: One beyond the highest sequence number that it sent (SND.NXT as far as was seen).
    next_seq: int | None = None
    #: The highest acknowledgement number that it sent.
    acked: int | None = None
    #: Of the data that it sent, how much the other side had not acknowledged, a FIN counting one; 0 where unknown.
    outstanding: int = 0
    fin: Fin = ""
    #: Segments that it sent again, in a row, without an answer since.
    unanswered: int = 0
    #: Keepalive probes (one byte or none below `next_seq`), in a row, without an answer since.
    keepalives: int = 0
    #: The last window that it offered, in bytes where the scale was seen, else as in the header.
    window: int | None = None
    #: Smallest and greatest TTL (hop limit) of its segments, its resets left out.
    ttl_min: int | None = None
    ttl_max: int | None = None
    #: IP identification of its last two segments, resets left out; None for IPv6.
    ip_id: int | None = None
    ip_id_before: int | None = None
    #: The shortest time in which it answered as seen from the place of the capture: from the other side's segment to
    #: the first of its own that acknowledges it. No genuine answer is much faster.
    fastest_answer_ns: int | None = None
    #: Its last segment that was no reset.
    last: SeenSegment | None = None
    #: Resets that it had sent before.
    resets: int = 0
    #: It uses TCP timestamps (its SYN or last segment carried them).
    timestamps: bool = False


class EarlierReset(Struct, frozen=True, kw_only=True, gc=False):
    """The last reset before this one on the same connection."""

    by: Role
    file: int
    frame: int
    time_ns: int
    seq: int
    ack: int
    flags: str
    ttl: int
    ip_id: int | None
    interface: str


class Later(Struct, frozen=True, kw_only=True, gc=False):
    """What followed the reset on its connection within two seconds."""

    #: False where the capture, or the room for waiting resets, ended before that: more may have followed.
    complete: bool
    #: Segments of the sender that carried data beyond all it had sent, or acknowledged more than before the reset.
    sender_went_on: int = 0
    #: Segments of the receiver, resets left out.
    receiver_went_on: int = 0
    #: Further resets of the same sender; the sequence number of the next, and after how long it came.
    sender_resets: int = 0
    next_seq: int | None = None
    next_after_ns: int | None = None
    #: Resets of the other side.
    receiver_resets: int = 0


class Tunnel(Struct, frozen=True, kw_only=True, gc=False):
    """What a packet was wrapped in, from the outside in."""

    #: "GRE", "ERSPAN", "IPIP", "6in4", "VXLAN", "Geneve", "GTP-U", "Teredo", ...
    kind: str
    src: str
    dst: str
    #: VNI, key, TEID or session; None where the kind has none.
    id: int | None = None


class Traits(Struct, frozen=True, kw_only=True, gc=False):
    """The discrete features of a reset seen on the wire: all that its cause may follow from."""

    #: Of the reset: letters of FSRPAUEC.
    flags: str
    handshake: Handshake
    #: Who sent the SYN; "" where that was not seen.
    opener: Literal["", "sender", "receiver"]
    #: The reset is the first segment of its connection that was seen.
    alone: bool = False
    #: An open connection was forgotten for want of room, and this may be it.
    state_lost: bool = False
    #: State of the connection of the same four-tuple that this one replaced.
    before: Literal["", "open", "half-closed", "orderly", "reset"] = ""
    #: The reset's sequence number: "zero" where it is 0 and acknowledges; else against the sender's `next_seq`.
    seq: Literal["unknown", "zero", "exact", "below", "above", "far"] = "unknown"
    #: Its acknowledgement number against what the receiver had sent: "all" of it, "less", "more" than was seen.
    ack: Literal["none", "unknown", "all", "less", "more"] = "none"
    #: Flags of the segment that provoked it; None where none fits.
    trigger: str | None = None
    trigger_payload: bool = False
    #: How it fits: the reset takes its sequence number from the trigger's ACK, or acknowledges the trigger's end (RFC
    #: 9293 section 3.5.2 and 3.10.7.1).
    trigger_fits: Literal["", "seq", "ack"] = ""
    #: The trigger carried data that the sender had not acknowledged, or was a FIN right after such data.
    trigger_new_data: bool = False
    #: The trigger brought nothing new: no data, SYN or FIN beyond what the receiver had sent, no higher ACK.
    trigger_again: bool = False
    #: The trigger was the first segment of the receiver after the sender's SYN-ACK.
    trigger_completes: bool = False
    #: The trigger carried TCP options; hand-made segments rarely do, stacks with timestamps always do.
    trigger_options: bool = False
    #: Time since the trigger (or else since the last segment of the receiver): within what no answer of this sender
    #: was seen to manage; within a second; later.
    delay: Literal["unknown", "too-early", "prompt", "late"] = "unknown"
    #: Silence on the connection before the reset: below 1 s, below 60 s, longer.
    idle: Literal["none", "short", "long"] = "none"
    sender_fin: Fin = ""
    receiver_fin: Fin = ""
    sender_sent_data: bool = False
    receiver_sent_data: bool = False
    #: Data or FIN in flight, not acknowledged by the other side.
    sender_outstanding: bool = False
    receiver_outstanding: bool = False
    #: The side had sent again or probed three times or more without an answer.
    sender_unanswered: bool = False
    receiver_unanswered: bool = False
    #: Keepalive probes of the sender (or of the receiver) were without an answer.
    sender_keepalives: bool = False
    receiver_keepalives: bool = False
    #: The sender's last window was 0: its application was not reading.
    sender_window_zero: bool = False
    #: The reset's TTL against the sender's own segments.
    ttl: Literal["unknown", "same", "near", "different"] = "unknown"
    #: Its IP identification against the sender's own: 0, within 256 of the last, elsewhere. "unknown" for IPv6, and
    #: where the sender's own do not count up.
    ip_id: Literal["unknown", "zero", "fits", "jumps"] = "unknown"
    payload: bool = False
    #: What Multipath TCP says in an option of the reset (RFC 8684): MP_FASTCLOSE, MP_TCPRST, or any other.
    mptcp: Literal["", "fastclose", "tcprst", "other"] = ""
    #: Earlier resets on this connection: none, one, more.
    sender_resets: Literal["none", "one", "more"] = "none"
    receiver_resets: Literal["none", "one", "more"] = "none"
    #: The earlier reset of the same sender had the same numbers (a copy, or an answer to a like segment), or others.
    earlier: Literal["", "same", "other"] = ""
    #: The sender went on as if it had sent no reset (see `Later`).
    sender_went_on: bool = False
    receiver_went_on: bool = False
    #: The next reset of the same sender within 2 s: same numbers, the sequence number moved on by more than 2 (and
    #: beyond all that the receiver had acknowledged), or otherwise.
    next_reset: Literal["", "same", "ahead", "other"] = ""


class Observation(Struct, frozen=True, kw_only=True, gc=False):
    """All that is known about one reset from packets."""

    #: From 1, over all files.
    number: int
    #: Index of its file, in the order in which files were given to the core.
    file: int
    #: As Wireshark counts frames, from 1 in each file.
    frame: int
    #: Since the epoch.
    time_ns: int
    #: Name or number of the interface that captured it, where the file tells.
    interface: str = ""
    family: Literal[4, 6]
    src: str
    sport: int
    dst: str
    dport: int
    #: Letters of FSRPAUEC.
    flags: str
    seq: int
    ack: int
    window: int
    ttl: int
    ip_id: int | None = None
    #: The reset carried TCP timestamps.
    timestamps: bool = False
    #: Payload bytes by the headers; some stacks say there why they reset.
    length: int = 0
    #: Its first bytes, at most 128, as far as they were captured.
    payload: bytes = b""
    #: The reason code of MP_TCPRST (RFC 8684 section 3.6).
    mptcp_reason: int | None = None
    #: The packet's comment in a pcapng, at most 4096 bytes.
    comment: str = ""
    #: What this program wrote beside the packet when it recorded it, as the file has it: a claim of the file's.
    note: bytes = b""
    tunnels: tuple[Tunnel, ...] = ()
    #: From 1, over all files; several resets may share one.
    connection: int
    #: Its first segment that was seen.
    began_ns: int
    began_file: int
    began_frame: int
    #: Which side sent the SYN; None where that was not seen.
    opener: Role | None = None
    handshake: Handshake = "none"
    #: Zeek's letters up to and with this reset; upper case for the opener (else for who was seen first), which begins
    #: with "^" where the first segment came from the other side.
    history: str = ""
    sender: Side = Side()
    receiver: Side = Side()
    trigger: SeenSegment | None = None
    earlier: EarlierReset | None = None
    later: Later
    traits: Traits


class Tally(Struct, frozen=True, kw_only=True, gc=False):
    """A bounded account of values: how many different ones, and the most frequent."""

    #: Of ports it is exact, of addresses an estimate (good to 1.6 %) when `exact` is false.
    distinct: int
    #: All values are listed.
    exact: bool
    #: With counts that are exact only while `exact` is true (upper bounds otherwise).
    top: tuple[tuple[str, int], ...]
    #: Where not all are listed: what tells how many different ones two of them have together (core.distinct).
    sketch: bytes = b""


class Observations(Struct, frozen=True, kw_only=True, gc=False):
    """Resets alike in traits; also in both ends and the service's port unless there were too many of those."""

    sample: Observation
    count: int
    first_ns: int
    last_ns: int
    #: Addresses of those that sent the resets and of those that got them; the ports that name the service.
    senders: Tally
    receivers: Tally
    ports: Tally


class Conversations(Struct, frozen=True, kw_only=True, gc=False):
    """What was read so far."""

    #: Packets of all kinds, and of those the TCP segments.
    packets: int
    segments: int
    #: Bytes of the capture, decompressed.
    bytes: int
    first_ns: int | None
    last_ns: int | None
    #: Distinct connections; those whose handshake was seen whole; those with a reset of either side.
    connections: int
    complete: int
    reset: int
    resets: int
    #: Connections forgotten for want of room: still open (their later segments look like new ones); never answered;
    evicted_open: int
    evicted_unanswered: int
    #: Over, but not long enough that late segments of them (which look like strays then) could not come.
    evicted_ended: int
    #: Resets whose `later` was cut short for want of room.
    hurried: int
    #: Packets in which no TCP segment could be read though there may have been one, by reason (see
    #: `core.segments.SKIPPED`). Packets of other protocols are in none of them.
    skipped: dict[str, int]


class Problem(Struct, frozen=True, kw_only=True, gc=False):
    """Where and why a capture could not be read to its end."""

    #: Offset in the (decompressed) capture.
    byte: int
    #: One sentence.
    text: str
