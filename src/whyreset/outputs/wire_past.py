"""What others stored, as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator

from whyreset.model import Missing
from whyreset.outputs.keys_past import IncidentKey
from whyreset.outputs.lines import SCHEMA, EndLine, Line, MissingSource, PastLine, SurgeLine
from whyreset.outputs.wire import family_key, start_line, timestamp
from whyreset.stored import Past, StoredSurge, Suspect

_LIVE = Missing(source="kernel", why="it is over", lost="why each reset was sent, and who sent it")


def lines(past: Past, now_ns: int, *, version: str) -> Iterator[Line]:
    """Everything in order: start, a line for each surge, what was looked at, end."""
    yield start_line(now_ns, version=version, sources=(past.tool,), tier="counters", missing=(_LIVE,))
    for surge in past.surges:
        yield _surge(surge)
    yield PastLine(
        schema=SCHEMA,
        time=timestamp(now_ns),
        source=past.tool,
        where=past.where,
        host=past.host,
        since=_time(past.since),
        until=_time(past.until),
        step=past.step,
        count=past.count,
        surges=len(past.surges) + past.more,
        more=past.more,
        more_resets=past.more_resets,
        counters=list(past.counters),
        lacking=list(past.lacking),
        notes=list(past.notes),
        missing=[MissingSource(source=each.source, why=each.why, lost=each.lost) for each in past.unknown],
    )
    yield EndLine(schema=SCHEMA, time=timestamp(now_ns), reason="done")


def _surge(surge: StoredSurge) -> SurgeLine:
    return SurgeLine(
        schema=SCHEMA,
        time=_time(surge.begin),
        until=_time(surge.end),
        ongoing=surge.ongoing,
        count=surge.count,
        rate=round(surge.rate, 3),
        peak=round(surge.peak, 3),
        peak_time=_time(surge.peak_at),
        usual=round(surge.usual, 3),
        counters=surge.moved,
        beyond=surge.beyond,
        families=[family_key(each) for each in surge.families],
        hints=list(surge.hints),
        incidents=[_incident(each) for each in surge.suspects],
    )


def _incident(suspect: Suspect) -> IncidentKey:
    incident = suspect.incident
    return IncidentKey(
        time=timestamp(incident.time_ns),
        log=incident.log,
        kind=incident.kind,
        unit=incident.unit,
        text=incident.text,
        near=suspect.near,
        offset=round(suspect.offset, 3),
    )


def _time(seconds: float) -> str:
    return timestamp(round(seconds * 1e9))
