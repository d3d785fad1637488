"""Values of the model as lines of JSON."""

from __future__ import annotations

import datetime

from whyreset.model import Count, FamilyShare, Missing, Notice, Owner, Process, Record, Remotes, Reset, Segment
from whyreset.outputs.keys import ConnectionKey, KernelKey, ProcessKey, QueueKey, RemoteKey, RemotesKey, SegmentKey
from whyreset.outputs.lines import (
    SCHEMA,
    CountLine,
    EndLine,
    FamilyKey,
    MissingSource,
    NoticeLine,
    ResetKeys,
    ResetLine,
    StartLine,
)
from whyreset.words import describe_exit


def timestamp(time_ns: int) -> str:
    """Nanoseconds since the epoch as «2026-11-22T05:43:15.123456789Z»."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def identifier(number: int) -> str:
    """A reset's id: unique while one program runs. Those that only the wire showed have negative numbers."""
    return f"r{number}" if number >= 0 else f"w{-number}"


def start_line(
    time_ns: int, *, version: str, sources: tuple[str, ...], tier: str, missing: tuple[Missing, ...]
) -> StartLine:
    """The first line."""
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
        sources=_sources(reset),
        candidates=list(reset.cause.candidates),
        evidence=list(reset.evidence),
        missing=reset.cause.missing,
        trigger=shared.trigger,
        kernel=_kernel(reset),
        connection=shared.connection,
        queue=shared.queue,
        owner=owner_key(reset.owner) if reset.owner else None,
        closer=process_key(reset.closer) if reset.closer else None,
        peer=owner_key(reset.peer) if reset.peer else None,
        twin=identifier(reset.twin) if reset.twin else "",
        first=timestamp(reset.time_ns) if group else "",
        last=timestamp(reset.last_ns) if group else "",
        remotes=_remotes(reset.remotes) if group and reset.remotes else None,
        sample=keys if group and sample.local else None,
    )


def _sources(reset: Reset) -> list[str]:
    """Who spoke of it."""
    if reset.facts.past_stack or reset.facts.traits is not None:
        return ["wire"]
    return ["kernel", "wire"] if reset.on_wire else ["kernel"]


def count_line(count: Count) -> CountLine:
    """The account of one namespace as a line."""
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
        past_stack=count.past_stack,
        off_wire=count.off_wire,
        second={name: value for name, value in count.delta.items() if value},
        counters=count.moved,
        families=[family_key(each) for each in count.families],
        gone=count.gone,
    )


def family_key(share: FamilyShare) -> FamilyKey:
    """A family's part of what was counted."""
    return FamilyKey(
        family=share.family,
        count=share.count,
        certainty=share.certainty,
        counters=list(share.counters),
        causes=list(share.causes),
        candidates=list(share.candidates),
    )


def notice_line(notice: Notice) -> NoticeLine:
    """A notice as a line."""
    return NoticeLine(
        schema=SCHEMA, time=timestamp(notice.time_ns), name=notice.name, text=notice.text, count=notice.count
    )


def end_line(time_ns: int, *, reason: str, totals: dict[str, int]) -> EndLine:
    """The last line."""
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
        flags=segment.flags,
        seq=segment.seq,
        ack=segment.ack,
        length=segment.length,
        window=segment.window,
        ttl=segment.ttl,
    )


def _remotes(remotes: Remotes) -> RemotesKey:
    return RemotesKey(
        distinct=remotes.distinct,
        exact=remotes.exact,
        top=[RemoteKey(address=address, count=count) for address, count in remotes.top],
    )


def process_key(process: Process) -> ProcessKey:
    """A process."""
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
        exit=describe_exit(process),
    )


def owner_key(owner: Owner) -> ProcessKey:
    """A process as an owner: whether it lives, and how it is known."""
    key = process_key(owner.process)
    key.alive, key.via = owner.alive, owner.via
    return key
