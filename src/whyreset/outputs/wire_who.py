"""The answer of `whyreset who` as one line of JSON."""

from __future__ import annotations

from typing import Any

from whyreset.outputs.keys import QueueKey, RemoteKey
from whyreset.outputs.keys_who import ConnectionsKey, FormerKey, ListenerKey, RecentKey, TraceKey
from whyreset.outputs.lines import SCHEMA, MissingSource, WhoLine
from whyreset.outputs.who import sentence
from whyreset.outputs.wire import owner_key, process_key, timestamp
from whyreset.questions import Connections, Former, Found, Recent, Standing


def who_line(found: Found) -> WhoLine:
    """The whole answer."""
    question = found.question
    return WhoLine(
        schema=SCHEMA,
        time=timestamp(found.time_ns),
        text=sentence(found),
        known=found.known,
        sources=list(found.sources),
        port=question.port or None,
        address=question.address,
        pid=question.pid or None,
        watched_since=_time(found.watched_ns),
        kept_since=_time(found.kept_ns),
        listeners=[_listener(each) for each in found.listeners],
        former=[_former(each) for each in found.former],
        processes=[owner_key(each) for each in found.processes],
        connections=[_connections(each) for each in found.connections],
        resets=[_recent(each) for each in found.resets],
        logs=[TraceKey(time=timestamp(each.time_ns), log=each.log, text=each.text) for each in found.traces],
        missing=[MissingSource(source=each.source, why=each.why, lost=each.lost) for each in found.missing],
        left_out=found.left_out,
    )


def _listener(each: Standing) -> ListenerKey:
    return ListenerKey(
        **_place(each),
        address=each.address,
        owner=owner_key(each.owner) if each.owner else None,
        holders=each.holders,
        since=_time(each.since_ns),
        queue=QueueKey(waiting=each.queue[0], limit=each.queue[1]) if each.queue else None,
    )


def _former(each: Former) -> FormerKey:
    return FormerKey(
        **_place(each),
        address=each.address,
        owner=owner_key(each.owner),
        since=_time(each.since_ns),
        until=timestamp(each.until_ns),
        end=each.end,
        last=process_key(each.last) if each.last else None,
    )


def _connections(each: Connections) -> ConnectionsKey:
    return ConnectionsKey(
        **_place(each),
        outgoing=each.outgoing,
        remote_port=each.remote_port or None,
        owner=owner_key(each.owner) if each.owner else None,
        held=each.held,
        count=each.count,
        states=each.states,
        distinct=each.distinct,
        top=[RemoteKey(address=address, count=count) for address, count in each.remotes],
    )


def _recent(each: Recent) -> RecentKey:
    return RecentKey(
        **_place(each),
        direction=each.direction,
        count=each.count,
        first=timestamp(each.first_ns),
        last=timestamp(each.last_ns),
        cause=each.cause,
        family=each.family,
        certainty=each.certainty,
        remote=each.remote,
        evidence=list(each.evidence),
        owner=owner_key(each.owner) if each.owner else None,
        closer=process_key(each.closer) if each.closer else None,
    )


def _place(each: Standing | Former | Connections | Recent) -> dict[str, Any]:
    return {
        "netns": each.netns,
        # kernels that have no cookies have the inode number in their place
        "netns_cookie": each.netns_cookie if each.netns_cookie not in (0, each.netns) else None,
        "netns_name": each.netns_name,
        "port": each.port,
    }


def _time(time_ns: int) -> str:
    return timestamp(time_ns) if time_ns else ""
