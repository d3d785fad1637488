"""The lines of JSON that every command writes: one type a line, keys that do not apply left out. DESIGN section 6.

`whyreset schema` prints the JSON Schema made of these types; tests hold it against what is written.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from whyreset.outputs.keys import (
    ConnectionKey,
    KernelKey,
    PacketKey,
    PortsKey,
    ProcessKey,
    QueueKey,
    RemotesKey,
    SegmentKey,
    SharesKey,
    TunnelKey,
)
from whyreset.outputs.keys_findings import StepKey, SubjectKey, VerdictKey
from whyreset.outputs.keys_past import IncidentKey
from whyreset.outputs.keys_who import ConnectionsKey, FormerKey, ListenerKey, RecentKey, TraceKey

#: Version of the line format.
SCHEMA = 1


class Line(Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every line has."""

    schema: int
    #: UTC with nanoseconds.
    time: str


class MissingSource(Struct, kw_only=True):
    """A source that cannot run, why, and what is lost by that."""

    source: str
    why: str
    lost: str


class StartLine(Line, tag="start", kw_only=True):
    """Printed when everything is attached: the next reset will be seen."""

    version: str
    sources: list[str]
    tier: str
    missing: list[MissingSource] = []


class ResetKeys(Struct, kw_only=True, omit_defaults=True):
    """What one reset, or all of a group, have in common."""

    src: str = ""
    sport: int | None = None
    dst: str = ""
    dport: int | None = None
    interface: str = ""
    trigger: SegmentKey | None = None
    connection: ConnectionKey | None = None
    queue: QueueKey | None = None
    #: Of a capture: its file, and the frame's number in it as Wireshark counts.
    file: str = ""
    frame: int | None = None
    packet: PacketKey | None = None
    #: Zeek's letters for the connection up to and with this reset.
    history: str = ""
    #: What the reset says in its payload.
    says: str = ""
    #: The packet's comment in the capture.
    comment: str = ""
    #: From the outside in.
    tunnels: list[TunnelKey] = []


class ResetLine(Line, tag="reset", kw_only=True):
    """One reset, or with `count` above 1 a group of like ones: then `sample` is one of them."""

    id: str
    direction: Literal["sent", "received", "observed"]
    count: int
    cause: str
    family: str
    certainty: Literal["certain", "likely", "unknown"]
    sources: list[str]
    evidence: list[str]
    #: The network namespace; captures do not know it.
    netns: int | None = None
    netns_cookie: int | None = None
    netns_name: str = ""
    candidates: list[str] = []
    #: What would have to be seen to know more.
    missing: str = ""
    src: str = ""
    sport: int | None = None
    dst: str = ""
    dport: int | None = None
    interface: str = ""
    trigger: SegmentKey | None = None
    kernel: KernelKey | None = None
    connection: ConnectionKey | None = None
    queue: QueueKey | None = None
    owner: ProcessKey | None = None
    closer: ProcessKey | None = None
    #: The owner at the other end, when that is on this host too.
    peer: ProcessKey | None = None
    #: The same reset seen at its other end.
    twin: str = ""
    first: str = ""
    last: str = ""
    remotes: RemotesKey | None = None
    file: str = ""
    frame: int | None = None
    packet: PacketKey | None = None
    history: str = ""
    says: str = ""
    comment: str = ""
    tunnels: list[TunnelKey] = []
    #: Of a group in a capture: who sent them, who got them, and which ports name the service.
    senders: RemotesKey | None = None
    receivers: RemotesKey | None = None
    ports: PortsKey | None = None
    sample: ResetKeys | None = None


class FamilyKey(Struct, kw_only=True, omit_defaults=True):
    """A family's part of what was counted, as far as counters tell; "unknown" for what moved none of its own."""

    family: str
    count: int
    certainty: Literal["certain", "likely", "unknown"]
    #: The counters that speak for it, and the causes that they speak of.
    counters: list[str] = []
    causes: list[str] = []
    #: Families that it may be of.
    candidates: list[str] = []


class CountLine(Line, tag="count", kw_only=True):
    """The account of one namespace: counted + uncounted = seen + lost + unseen; seen = explained + unknown."""

    netns: int
    netns_cookie: int
    counted: int
    seen: int
    explained: int
    unknown: int
    lost: int
    unseen: int
    #: Traced but not counted by the kernel.
    uncounted: int
    received: int
    received_lost: int
    #: The same figures for the time since the last line; those that are 0 are left out.
    second: dict[str, int]
    #: Other counters of the kernel that moved meanwhile.
    counters: dict[str, int]
    #: On the tier `counters`: families of what was counted since watching began.
    families: list[FamilyKey] = []
    #: Resets that left the namespace, but that its TCP stack neither traced nor counted: in none of the figures above.
    past_stack: int = 0
    #: Of the seen, those that never left it; only where packets are read there.
    off_wire: int | None = None
    netns_name: str = ""
    #: The namespace is gone; resets after its last reading are not in the account.
    gone: bool = False


class NoticeLine(Line, tag="notice", kw_only=True):
    """Something the user should know: a loss, a limit reached."""

    name: str
    text: str
    count: int = 0


class CaptureLine(Line, tag="capture", kw_only=True):
    """What was read of captures in all, and what was not."""

    files: list[str]
    packets: int
    #: TCP segments.
    segments: int
    bytes: int
    connections: int
    #: Connections whose handshake was seen whole, and those with a reset.
    complete: int
    reset: int
    resets: int
    #: Of the first and the last packet.
    first: str = ""
    last: str = ""
    #: Packets in which no TCP segment could be read though there may have been one, by reason.
    skipped: dict[str, int] = {}
    #: Connections that were forgotten for want of room: still open, and never answered.
    evicted_open: int = 0
    evicted_unanswered: int = 0
    #: Resets that had to be judged before all that followed them was seen.
    hurried: int = 0


class AlertLine(Line, tag="alert", kw_only=True):
    """Something happened to an alert: `changed` its status, somebody is `told` after a delay, or gets a `reminder`."""

    #: One for the time from the first warning to the end.
    id: str
    rule: str
    event: Literal["changed", "told", "reminder"]
    old_status: str
    new_status: str
    state: Literal["pending", "firing", "resolved", "unknown"]
    #: Whether people are told now; if not, perhaps what it is muted by.
    told: bool
    text: str
    #: Of a replayed series: the row's second.
    second: int | None = None
    netns: int | None = None
    netns_cookie: int | None = None
    netns_name: str = ""
    muted_by: str = ""
    to: str = ""
    #: It comes and goes so often that no more is told until it is calm.
    flapping: bool = False
    #: It is over because its namespace is gone.
    gone: bool = False
    since: str = ""
    value: float | None = None
    #: What the value was held against, and what is usual.
    threshold: float | None = None
    usual: float | None = None
    units: str = ""
    #: Seconds that the value is of.
    window: int = 0
    summary: str = ""
    #: What surges: causes, or `all` for all resets together.
    streams: list[str] = []
    shares: SharesKey | None = None
    verdict: VerdictKey | None = None


class FindingLine(Line, tag="finding", kw_only=True):
    """What resets mean together: a finding begins, changes or is over."""

    id: str
    name: str
    state: Literal["open", "update", "closed"]
    subject: SubjectKey
    since: str
    until: str = ""
    count: int
    confidence: Literal["certain", "likely", "suspected"]
    severity: Literal["harmless", "notice", "warning", "critical"]
    #: All of it in a sentence.
    text: str
    #: The strongest first.
    evidence: list[str]
    steps: list[StepKey] = []
    #: Ids of resets that show it.
    resets: list[str] = []


class VerdictLine(Line, tag="verdict", kw_only=True):
    """What the resets of some time mean."""

    verdict: VerdictKey


class SurgeLine(Line, tag="surge", kw_only=True):
    """A surge of resets as other programs stored it; `time` is when it began."""

    until: str
    #: It was not over when what is stored ends.
    ongoing: bool = False
    #: Resets sent in it, and in the mean a second.
    count: int
    rate: float
    #: The most that one step had, a second, and when that began; and what is usual a second.
    peak: float
    peak_time: str
    usual: float
    #: By how much the counters that are stored grew in it; and beyond what was usual before it, where that differs.
    counters: dict[str, int]
    beyond: dict[str, int]
    #: Families of what is beyond the usual.
    families: list[FamilyKey]
    #: What else the counters say.
    hints: list[str] = []
    incidents: list[IncidentKey] = []


class PastLine(Line, tag="past", kw_only=True):
    """What was looked at for surges, and what cannot be known any more."""

    source: str
    #: Its address without credentials, or its file.
    where: str
    host: str = ""
    since: str
    until: str
    #: Seconds between two stored values.
    step: int
    #: Resets sent in that time.
    count: int
    surges: int
    #: Surges that are not told for their number, and their resets.
    more: int = 0
    more_resets: int = 0
    #: Counters that are stored, and others that would tell more.
    counters: list[str]
    lacking: list[str] = []
    notes: list[str] = []
    missing: list[MissingSource]


class EndLine(Line, tag="end", kw_only=True):
    """Totals over all namespaces, where a kernel was watched; and why it ended."""

    reason: str
    counted: int | None = None
    seen: int | None = None
    explained: int | None = None
    unknown: int | None = None
    lost: int | None = None
    unseen: int | None = None
    uncounted: int | None = None
    received: int | None = None
    received_lost: int | None = None
    past_stack: int | None = None
    #: Where packets are read.
    off_wire: int | None = None


class WhoLine(Line, tag="who", kw_only=True):
    """What is known of a port or a process."""

    #: The same in a sentence.
    text: str
    #: Whether anything is known.
    known: bool
    sources: list[str]
    port: int | None = None
    address: str = ""
    pid: int | None = None
    #: Nothing from before is remembered.
    watched_since: str = ""
    #: The agent's history tells of resets since then.
    kept_since: str = ""
    listeners: list[ListenerKey] = []
    former: list[FormerKey] = []
    processes: list[ProcessKey] = []
    connections: list[ConnectionsKey] = []
    resets: list[RecentKey] = []
    logs: list[TraceKey] = []
    missing: list[MissingSource] = []
    #: Entries that were left out of these lists for their number.
    left_out: int = 0


Lines = (
    StartLine
    | ResetLine
    | CountLine
    | CaptureLine
    | NoticeLine
    | FindingLine
    | VerdictLine
    | AlertLine
    | SurgeLine
    | PastLine
    | EndLine
    | WhoLine
)


def schema() -> dict[str, Any]:
    """The JSON Schema of one line."""
    return msgspec.json.schema(Lines)
