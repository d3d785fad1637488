"""Resets of captures as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence

from whyreset.observation import Conversations, Observation, SeenSegment, Tally
from whyreset.observed import ObservedReset, Recorded
from whyreset.outputs.keys import (
    ConnectionKey,
    KernelKey,
    PacketKey,
    PortKey,
    PortsKey,
    RemoteKey,
    RemotesKey,
    SegmentKey,
    TunnelKey,
)
from whyreset.outputs.lines import SCHEMA, CaptureLine, EndLine, NoticeLine, ResetKeys, ResetLine
from whyreset.outputs.wire import identifier, owner_key, process_key, timestamp


def reset_line(reset: ObservedReset) -> ResetLine:
    """A reset of a capture as a line; a group keeps only what all its members share."""
    seen, group = reset.seen, reset.count > 1
    keys = _keys(reset)
    line = ResetLine(
        schema=SCHEMA,
        time=timestamp(reset.time_ns),
        id=identifier(seen.number),
        direction=reset.direction,
        count=reset.count,
        cause=reset.cause.name,
        family=reset.cause.family,
        certainty=reset.cause.certainty,
        sources=["recorder", "wire"] if reset.recorded else ["wire"],
        candidates=list(reset.cause.candidates),
        evidence=list(reset.evidence),
        missing=reset.cause.missing,
    )
    if reset.recorded is not None:
        _recall(line, reset.recorded)
    if not group:
        for key in ResetKeys.__struct_fields__:
            setattr(line, key, getattr(keys, key))
        return line
    line.first, line.last = timestamp(reset.time_ns), timestamp(reset.last_ns)
    line.senders, line.receivers = _addresses(reset.senders), _addresses(reset.receivers)
    line.ports = _ports(reset.ports)
    line.sample = keys
    line.src, line.dst = _only(reset.senders), _only(reset.receivers)
    if reset.port is not None:  # the service is at the end that did not send the SYN
        if reset.port == seen.sport:
            line.sport = reset.port
        else:
            line.dport = reset.port
    return line


def capture_line(time_ns: int, files: Sequence[str], read: Conversations) -> CaptureLine:
    """What was read, as a line."""
    return CaptureLine(
        schema=SCHEMA,
        time=timestamp(time_ns),
        files=list(files),
        packets=read.packets,
        segments=read.segments,
        bytes=read.bytes,
        connections=read.connections,
        complete=read.complete,
        reset=read.reset,
        resets=read.resets,
        first=timestamp(read.first_ns) if read.first_ns is not None else "",
        last=timestamp(read.last_ns) if read.last_ns is not None else "",
        skipped=dict(read.skipped),
        evicted_open=read.evicted_open,
        evicted_unanswered=read.evicted_unanswered,
        hurried=read.hurried,
    )


def problem_line(time_ns: int, text: str) -> NoticeLine:
    """Where and why a file could not be read to its end."""
    return NoticeLine(schema=SCHEMA, time=timestamp(time_ns), name="capture-problem", text=text)


def overlap_line(time_ns: int, first: str, second: str) -> NoticeLine:
    """Two captures of the same time."""
    text = f"{second} begins before {first} ends: what both hold is counted twice"
    return NoticeLine(schema=SCHEMA, time=timestamp(time_ns), name="captures-overlap", text=text)


def end_line(time_ns: int, reason: str) -> EndLine:
    """The last line."""
    return EndLine(schema=SCHEMA, time=timestamp(time_ns), reason=reason)


def _recall(line: ResetLine, told: Recorded) -> None:
    line.netns_name = told.netns_name
    line.kernel = KernelKey(reason=told.reason, state=told.state) if told.reason or told.state else None
    line.owner = owner_key(told.owner) if told.owner else None
    line.closer = process_key(told.closer) if told.closer else None
    line.peer = owner_key(told.peer) if told.peer else None


def _keys(reset: ObservedReset) -> ResetKeys:
    seen = reset.seen
    trigger = seen.trigger
    return ResetKeys(
        src=seen.src,
        sport=seen.sport,
        dst=seen.dst,
        dport=seen.dport,
        interface=seen.interface,
        trigger=_trigger(trigger) if trigger else None,
        connection=_connection(seen),
        file=reset.file,
        frame=seen.frame,
        packet=PacketKey(
            flags=seen.flags,
            seq=seen.seq,
            ack=seen.ack,
            window=seen.window,
            ttl=seen.ttl,
            ip_id=seen.ip_id,
            length=seen.length,
        ),
        history=seen.history,
        says=reset.says,
        comment=seen.comment,
        tunnels=[TunnelKey(kind=each.kind, src=each.src, dst=each.dst, id=each.id) for each in seen.tunnels],
    )


def _trigger(segment: SeenSegment) -> SegmentKey:
    return SegmentKey(flags=segment.flags, seq=segment.seq, ack=segment.ack, length=segment.length, frame=segment.frame)


def _connection(seen: Observation) -> ConnectionKey:
    return ConnectionKey(
        age_ms=max(0, seen.time_ns - seen.began_ns) // 1_000_000,
        bytes_in=seen.receiver.bytes,
        bytes_out=seen.sender.bytes,
        number=seen.connection,
        began_frame=seen.began_frame,
        handshake=seen.handshake,
        opener={"sender": "src", "receiver": "dst", None: ""}[seen.opener],  # type: ignore[arg-type]
    )


def _only(tally: Tally) -> str:
    return tally.top[0][0] if tally.exact and tally.distinct == 1 else ""


def _addresses(tally: Tally) -> RemotesKey:
    top = [RemoteKey(address=address, count=count) for address, count in tally.top]
    return RemotesKey(distinct=tally.distinct, exact=tally.exact, top=top)


def _ports(tally: Tally) -> PortsKey:
    top = [PortKey(port=int(port), count=count) for port, count in tally.top]
    return PortsKey(distinct=tally.distinct, exact=tally.exact, top=top)
