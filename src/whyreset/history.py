"""`whyreset history`: what an agent kept, gathered from its file; also what `watch` and `who` take of it."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any, TypeVar

from msgspec.structs import replace

from whyreset.filter import Filter
from whyreset.model import Alert, Count, Finding, Notice, Reset, Tick, Verdict
from whyreset.outputs.history import Gap, Kept, Row, before_text
from whyreset.outputs.store import merging
from whyreset.outputs.store.files import StoreError
from whyreset.outputs.store.kinds import BY_TYPE
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.values import Run
from whyreset.outputs.store.window import Window
from whyreset.words import describe_exit, program, service

#: Rows that are told apart over all the time.
ROWS_MAX = 8192
#: So far back goes what is said when a watch begins.
OPENING_NS = 600_000_000_000
#: So many ports that nobody listened on are rows of their own.
PORTS_MAX = 8
#: Alerts, findings and texts of notices that are remembered, the latest.
_EVENTS_MAX = 1024
T = TypeVar("T")


def gather(reader: Reader, since_ns: int, until_ns: int, chosen: Filter | None = None) -> Kept:
    """All of that time, like resets merged.

    Args:
        reader: the history.
        since_ns: nanoseconds since the epoch.
        until_ns: the same.
        chosen: which of it.

    Raises StoreError.
    """
    chosen = chosen or Filter()
    kind = BY_TYPE[Reset]
    window = Window(replace(kind, most=ROWS_MAX), 0, 0)
    for reset in reader.read(Reset, since_ns, until_ns):
        if chosen.wants(reset):
            window.add(reset)
    resets = window.piece().values if len(window) else ()
    return Kept(
        path=reader.path,
        since_ns=since_ns,
        until_ns=until_ns,
        begins_ns=reader.begins_ns(Reset),
        agent=reader.writer,
        runs=tuple(_runs(reader, since_ns, until_ns)),
        gaps=tuple(gaps(reader.runs(), since_ns, until_ns, running=bool(reader.writer))),
        rows=tuple(rows(resets)),
        crowded=window.lost,
        alerts=tuple(deque(_wanted(reader, Alert, since_ns, until_ns, chosen), _EVENTS_MAX)),
        findings=_findings(_wanted(reader, Finding, since_ns, until_ns, chosen)),
        notices=_notices(_wanted(reader, Notice, since_ns, until_ns, chosen)),
        account=_account(_wanted(reader, Count, since_ns, until_ns, chosen)),
        unreadable=reader.unreadable,
        only=chosen.words(),
    )


def opening(path: str, now_ns: int, chosen: Filter) -> list[Notice]:
    """What somebody should know who begins to watch: what the agent that runs here saw in the last minutes.

    Args:
        path: its history.
        now_ns: nanoseconds since the epoch.
        chosen: what will be watched.
    """
    try:
        with Reader(path) as reader:
            if not reader.writer:
                return []
            text = before_text(gather(reader, now_ns - OPENING_NS, now_ns, chosen))
    except StoreError:  # whoever may not read it watches all the same
        return []
    return [Notice(time_ns=now_ns, name="history", text=text)]


def ticks(reader: Reader, since_ns: int, until_ns: int, chosen: Filter) -> Iterator[Tick | Run]:
    """The same in the order of time: where agents began to run, and each value as a tick of its own.

    Raises StoreError.
    """
    types: tuple[type[Any], ...] = (Reset, Count, Notice, Finding, Alert, Verdict)
    streams: list[Iterable[tuple[int, int, Any]]] = [
        _timed(place, of, reader.read(of, since_ns, until_ns)) for place, of in enumerate(types)
    ]
    streams.append([(run.start_ns, -1, run) for run in _runs(reader, since_ns, until_ns)])
    for _, _, value in heapq.merge(*streams, key=lambda each: each[:2]):
        yield value if isinstance(value, Run) else chosen.narrow(_tick(value))


def rows(resets: Iterable[Reset]) -> list[Row]:
    """Resets as people look at them, the most first: workers of one service are one, and so is a scan's every port."""
    alike: dict[Hashable, list[Reset]] = {}
    scans: dict[Hashable, set[Hashable]] = {}
    for reset in resets:
        what = reset.facts.direction, reset.cause.name, reset.cause.certainty, reset.sample.netns_cookie
        owner = reset.owner.process if reset.owner else None
        whose = (program(owner), service(owner)) if owner else None
        key = (*what, reset.port, whose, reset.stop is not None)
        alike.setdefault(key, []).append(reset)
        if owner is None and reset.closer is None:
            scans.setdefault(what, set()).add(key)
    found = [_row(those) for key, those in alike.items() if not _is_scan(scans, key)]
    many = [keys for keys in scans.values() if len(keys) > PORTS_MAX]
    found += [Row(reset=merging.crowd(_merged(each for key in keys for each in alike[key]))) for keys in many]
    return sorted(found, key=lambda row: -row.reset.count)


def _is_scan(scans: Mapping[Hashable, Collection[Hashable]], key: Hashable) -> bool:
    assert isinstance(key, tuple)
    keys = scans.get(key[:4], ())
    return key in keys and len(keys) > PORTS_MAX


def _merged(those: Iterable[Reset]) -> Reset:
    return reduce(merging.merge_resets, those)


def _row(those: list[Reset]) -> Row:
    owners = {(each.owner.process.pid, each.owner.process.start_ns) for each in those if each.owner}
    ends = {describe_exit(each.owner.process) for each in those if each.owner}
    ended = ends.pop() if len(ends) == 1 else ""
    return Row(reset=_merged(those), owners=len(owners), ended=ended)


def _timed(place: int, of: type, values: Iterable[Any]) -> Iterator[tuple[int, int, Any]]:
    """Each with the time of its end, and with what comes first of what ends at one time."""
    for value in values:
        yield BY_TYPE[of].span(value)[1], place, value


def _runs(reader: Reader, since_ns: int, until_ns: int) -> list[Run]:
    return [run for run in reader.runs() if run.last_ns >= since_ns and run.start_ns <= until_ns]


def gaps(runs: Iterable[Run], since_ns: int, until_ns: int, *, running: bool) -> Iterator[Gap]:
    """When no agent watched within that time."""
    before: Run | None = None
    for run in sorted(runs, key=lambda each: each.start_ns):
        if before is not None and run.start_ns > before.last_ns:
            yield from _gap(before, run.start_ns, since_ns, until_ns)
        if before is None or run.last_ns >= before.last_ns:
            before = run
    if before is not None and not running:
        yield from _gap(before, until_ns, since_ns, until_ns)


def _gap(before: Run, to_ns: int, since_ns: int, until_ns: int) -> Iterator[Gap]:
    from_ns, to_ns = max(before.last_ns, since_ns), min(to_ns, until_ns)
    if from_ns < to_ns:
        # one that is killed cannot say so
        why = f"the agent had ended ({before.reason})" if before.reason else "the agent had ended without a word"
        yield Gap(from_ns=from_ns, to_ns=to_ns, why=why)


def _tick(value: object) -> Tick:
    """A value alone."""
    match value:
        case Reset():
            return Tick(resets=(value,))
        case Count():
            return Tick(counts=(value,))
        case Notice():
            return Tick(notices=(value,))
        case Finding():
            return Tick(findings=(value,))
        case Alert():
            return Tick(alerts=(value,))
        case Verdict():
            return Tick(verdict=value)
    raise TypeError(value)


def _wanted(reader: Reader, of: type[T], since_ns: int, until_ns: int, chosen: Filter) -> Iterator[T]:
    """Those that were asked for."""
    for value in reader.read(of, since_ns, until_ns):
        tick = chosen.narrow(_tick(value))
        if any((tick.resets, tick.counts, tick.notices, tick.findings, tick.alerts)):
            yield value


def _findings(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each as it was last, in the order of their beginnings."""
    last: dict[str, Finding] = {}
    for finding in found:
        last[finding.id] = finding
    return tuple(sorted(last.values(), key=lambda each: each.since_ns)[-_EVENTS_MAX:])


def _notices(found: Iterable[Notice]) -> tuple[Notice, ...]:
    """One of each text, with how many in all."""
    texts: dict[tuple[str, str], Notice] = {}
    for notice in found:
        key = notice.name, notice.text
        before = texts.pop(key, None)
        texts[key] = replace(notice, count=notice.count + before.count) if before else notice
        if len(texts) > _EVENTS_MAX:
            del texts[next(iter(texts))]
    return tuple(texts.values())


def _account(counts: Iterable[Count]) -> dict[str, int]:
    """What these were about in all: each line says what it adds to the one before."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count.delta)
    return dict(total)
