"""The lines of JSON that every command writes: one type a line, keys that do not apply left out. DESIGN section 6.

`whyreset schema` prints the JSON Schema made of these types; tests hold it against what is written.
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from whyreset.model import Count, Missing, Notice, Owner, Process, Record, Remotes, Reset, Segment
from whyreset.words import describe_exit

#: Version of the line format.
SCHEMA = 1


class Line(Struct, kw_only=True, omit_defaults=True, tag_field="type"):
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


class SegmentKey(Struct, kw_only=True):
    """The segment that provoked a reset; flags are letters of FSRPAU."""

    flags: str
    seq: int
    ack: int
    #: Payload bytes.
    length: int
    window: int
    ttl: int


class KernelKey(Struct, kw_only=True, omit_defaults=True):
    """The kernel's own words."""

    reason: str = ""
    #: The state that the connection was in.
    state: str = ""


class ConnectionKey(Struct, kw_only=True, omit_defaults=True):
    """What the socket knew at that moment."""

    age_ms: int | None = None
    idle_ms: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    unread: int | None = None
    snd_nxt: int | None = None
    rcv_nxt: int | None = None
    #: A remembered connection ended so long before.
    ended_ms: int | None = None


class QueueKey(Struct, kw_only=True):
    """A listener's accept queue."""

    waiting: int
    limit: int


class ProcessKey(Struct, kw_only=True, omit_defaults=True):
    """A process; with `via` it is the owner, and `via` says how that is known."""

    pid: int
    comm: str = ""
    exe: str = ""
    command: list[str] = []
    user: str = ""
    uid: int | None = None
    unit: str = ""
    container: str = ""
    container_name: str = ""
    pod: str = ""
    alive: bool | None = None
    #: How it ended: "killed by SIGSEGV".
    exit: str = ""
    via: str = ""


class RemoteKey(Struct, kw_only=True):
    address: str
    count: int


class RemotesKey(Struct, kw_only=True):
    """The remote addresses of a group: how many, and those seen most."""

    distinct: int
    #: False: `distinct` is an estimate, and counts are upper bounds.
    exact: bool
    top: list[RemoteKey]


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


class ResetLine(Line, tag="reset", kw_only=True):
    """One reset, or with `count` above 1 a group of like ones: then `sample` is one of them."""

    id: str
    direction: Literal["sent", "received", "observed"]
    count: int
    netns: int
    cause: str
    family: str
    certainty: Literal["certain", "likely", "unknown"]
    sources: list[str]
    evidence: list[str]
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
    #: The same reset seen at its other end.
    twin: str = ""
    first: str = ""
    last: str = ""
    remotes: RemotesKey | None = None
    sample: ResetKeys | None = None


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
    netns_name: str = ""
    #: The namespace is gone; resets after its last reading are not in the account.
    gone: bool = False


class NoticeLine(Line, tag="notice", kw_only=True):
    """Something the user should know: a loss, a limit reached."""

    name: str
    text: str
    count: int = 0


class EndLine(Line, tag="end", kw_only=True):
    """Totals over all namespaces, and why watching ended."""

    reason: str
    counted: int
    seen: int
    explained: int
    unknown: int
    lost: int
    unseen: int
    uncounted: int
    received: int
    received_lost: int


Lines = StartLine | ResetLine | CountLine | NoticeLine | EndLine


def schema() -> dict[str, Any]:
    """The JSON Schema of one line."""
    return msgspec.json.schema(Lines)


def timestamp(time_ns: int) -> str:
    """Nanoseconds since the epoch as «2026-11-22T05:43:15.123456789Z»."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def identifier(number: int) -> str:
    return f"r{number}"


def start_line(time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]) -> StartLine:
    return StartLine(
        schema=SCHEMA,
        time=timestamp(time_ns),
        version=version,
        sources=list(sources),
        tier=tier,
        missing=[MissingSource(source=each.source, why=each.why, lost=each.lost) for each in missing],
    )


def reset_line(reset: Reset) -> ResetLine:
    """A reset as a line; a group keeps only what all its members share."""
    sample, group = reset.sample, reset.count > 1
    keys = _keys(sample, with_connection=bool(sample.local))
    if group:
        shared = _shared(reset)
    else:
        shared = keys
    return ResetLine(
        schema=SCHEMA,
        time=timestamp(reset.time_ns),
        id=identifier(reset.number),
        direction=reset.facts.direction,
        count=reset.count,
        src=shared.src,
        sport=shared.sport,
        dst=shared.dst,
        dport=shared.dport,
        netns=sample.netns,
        netns_cookie=sample.netns_cookie,
        netns_name=reset.netns_name,
        interface=shared.interface,
        cause=reset.cause.name,
        family=reset.cause.family,
        certainty=reset.cause.certainty,
        sources=["kernel"],
        candidates=list(reset.cause.candidates),
        evidence=list(reset.evidence),
        missing=reset.cause.missing,
        trigger=shared.trigger,
        kernel=_kernel(reset),
        connection=shared.connection,
        queue=shared.queue,
        owner=_owner(reset.owner) if reset.owner else None,
        closer=_process(reset.closer) if reset.closer else None,
        twin=identifier(reset.twin) if reset.twin else "",
        first=timestamp(reset.time_ns) if group else "",
        last=timestamp(reset.last_ns) if group else "",
        remotes=_remotes(reset.remotes) if group and reset.remotes else None,
        sample=keys if group and sample.local else None,
    )


def count_line(count: Count) -> CountLine:
    return CountLine(
        schema=SCHEMA,
        time=timestamp(count.time_ns),
        netns=count.netns,
        netns_cookie=count.netns_cookie,
        netns_name=count.netns_name,
        counted=count.counted,
        seen=count.seen,
        explained=count.explained,
        unknown=count.unknown,
        lost=count.lost,
        unseen=count.unseen,
        uncounted=count.uncounted,
        received=count.received,
        received_lost=count.received_lost,
        second={name: value for name, value in count.delta.items() if value},
        counters=count.moved,
        gone=count.gone,
    )


def notice_line(notice: Notice) -> NoticeLine:
    return NoticeLine(schema=SCHEMA, time=timestamp(notice.time_ns), name=notice.name, text=notice.text, count=notice.count)


def end_line(time_ns: int, *, reason: str, totals: dict[str, int]) -> EndLine:
    return EndLine(schema=SCHEMA, time=timestamp(time_ns), reason=reason, **totals)


def _kernel(reset: Reset) -> KernelKey | None:
    state = reset.facts.state_before if reset.facts.state in ("CLOSE", "TIME_WAIT") else reset.facts.state
    return KernelKey(reason=reset.facts.reason, state=state) if reset.facts.reason or state else None


def _shared(reset: Reset) -> ResetKeys:
    """Of a group: the service's port, and the remote where there is but one."""
    sample, keys = reset.sample, ResetKeys()
    only = reset.remotes.top[0][0] if reset.remotes and reset.remotes.exact and reset.remotes.distinct == 1 else ""
    local_port = reset.port if reset.port is not None and not reset.facts.active_open else None
    remote_port = reset.port if reset.port is not None and reset.facts.active_open else None
    if sample.direction == "sent":
        keys.sport, keys.dport, keys.dst = local_port, remote_port, only
    else:
        keys.sport, keys.dport, keys.src = remote_port, local_port, only
    return keys


def _keys(record: Record, *, with_connection: bool) -> ResetKeys:
    if not with_connection:
        return ResetKeys()
    sent = record.direction == "sent"
    here, there = (record.local, record.local_port), (record.remote, record.remote_port)
    (src, sport), (dst, dport) = (here, there) if sent else (there, here)
    return ResetKeys(
        src=src,
        sport=sport,
        dst=dst,
        dport=dport,
        interface=record.interface,
        trigger=_segment(record.trigger) if record.trigger else None,
        connection=_connection(record),
        queue=QueueKey(waiting=record.queue[0], limit=record.queue[1]) if record.queue else None,
    )


def _connection(record: Record) -> ConnectionKey | None:
    # neither a listener nor a mini socket holds a connection's figures: only the memory may
    has_figures = record.socket_cookie and record.state not in ("LISTEN", "TIME_WAIT", "NEW_SYN_RECV")
    if not has_figures and record.ended_ms is None:
        return None
    return ConnectionKey(
        age_ms=(record.time_ns - record.opened_ns) // 1_000_000 if record.opened_ns else None,
        idle_ms=record.idle_ms,
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        unread=record.unread,
        snd_nxt=record.snd_nxt,
        rcv_nxt=record.rcv_nxt,
        ended_ms=record.ended_ms,
    )


def _segment(segment: Segment) -> SegmentKey:
    return SegmentKey(
        flags=segment.flags, seq=segment.seq, ack=segment.ack, length=segment.length, window=segment.window, ttl=segment.ttl
    )


def _remotes(remotes: Remotes) -> RemotesKey:
    return RemotesKey(
        distinct=remotes.distinct, exact=remotes.exact, top=[RemoteKey(address=address, count=count) for address, count in remotes.top]
    )


def _process(process: Process) -> ProcessKey:
    return ProcessKey(
        pid=process.pid,
        comm=process.comm,
        exe=process.exe,
        command=list(process.command),
        user=process.user,
        uid=process.uid,
        unit=process.unit,
        container=process.container,
        container_name=process.container_name,
        pod=process.pod,
        exit=describe_exit(process) if process.exit_code is not None else "",
    )


def _owner(owner: Owner) -> ProcessKey:
    key = _process(owner.process)
    key.alive, key.via = owner.alive, owner.via
    return key
