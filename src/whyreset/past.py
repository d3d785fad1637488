"""`whyreset past`: joins what others stored of the kernel's counters with what the logs say of that time."""

from __future__ import annotations

import math
import platform
import time
from array import array
from collections.abc import Sequence

from whyreset.alerts.episodes import episodes
from whyreset.causes import fingerprint, stored_hints
from whyreset.model import Missing
from whyreset.owners.incidents import incidents
from whyreset.owners.suspects import suspects
from whyreset.sources.base import SourceError
from whyreset.sources.counters import OwnCounters
from whyreset.sources.netdata import Netdata
from whyreset.sources.prometheus import Prometheus
from whyreset.sources.sysstat import Sysstat
from whyreset.sources.web import is_local
from whyreset.stored import COUNTERS, RESETS, Episode, Incident, Past, Series, Store, StoredSurge

#: Surges that are looked into; those with most resets.
MOST = 12
#: What is usual is learned before the time in question: so many seconds, or steps where these are longer.
_LEARN_SECONDS, _LEARN_STEPS = 3600, 20
#: What is usual of the other counters is their mean of so many seconds (steps, where longer) before a surge.
_USUAL_SECONDS, _USUAL_STEPS = 300, 3
_COARSE_SECONDS = 5
#: A value is there so late that this is no gap at the end.
_LATE_SECONDS, _LATE_STEPS = 5, 2

_ADDRESSES = Missing(
    source="packets",
    why="counters hold no ports and no addresses",
    lost="which ports, which processes and which remote hosts had part in it",
)
_NAMESPACES = Missing(
    source="namespaces",
    why="these programs store the counters of the network namespace that they run in, as a rule the host's",
    lost="resets that containers and other network namespaces sent",
)
_NOT_STACK = Missing(
    source="firewall",
    why="the kernel counts resets of its TCP stack alone",
    lost="resets that a firewall, a raw socket or a box on the way sent",
)


def store_of(netdata: str, prometheus: str, sysstat: Sequence[str], instance: str) -> Store:
    """The store that the user named; exactly one of them.

    Raises:
        SourceError: its address cannot be one.
    """
    if netdata:
        return Netdata(netdata)
    if prometheus:
        return Prometheus(prometheus, instance=instance, here=platform.node())
    return Sysstat(sysstat)


def past(store: Store, since: float | None, until: float, *, default: float, journal: str) -> Past:
    """All that can be told of that time.

    Args:
        store: not opened yet.
        since, until: seconds since the epoch; without `since` what a file holds, else the `default` seconds before.
        journal: a file or folder of journals; "" for this host's own.

    Raises:
        SourceError: the store cannot tell.
    """
    begin, end = math.floor(until - default if since is None else since), math.ceil(until)
    store.open(max(begin - _LEARN_SECONDS, 0), end)
    first, last = store.kept
    if since is None and store.name == "sysstat" and first is not None and last is not None:
        begin, end = math.floor(first), math.ceil(last)
    if first is None or last is None or last <= begin or first >= end:
        there = f"from {moment(first)} to {moment(last)}" if first and last else "nothing"
        raise SourceError(f"nothing of that time is stored in {store.where}; it has {there}")
    learned = max(begin - max(_LEARN_SECONDS, _LEARN_STEPS * store.step), math.floor(first))
    learned = min(learned, begin)
    whole = store.read((RESETS,), learned, end)
    counts = whole.counts.get(RESETS, array("d"))
    found = [each for each in episodes(counts, whole.step) if _at(whole, each.last + 1) > begin]
    kept = sorted(sorted(found, key=lambda each: -_sum(counts, each))[:MOST], key=lambda each: each.first)
    told, unread = _incidents(store, begin, end, journal)
    here = _is_here(store)
    aborts = OwnCounters().aborts_on_overflow() if here else None
    return Past(
        tool=store.name,
        where=store.where,
        host=store.host,
        since=begin,
        until=end,
        step=store.step,
        count=round(sum(counts[max((begin - whole.start) // whole.step, 0) :])),
        surges=tuple(_surge(store, whole, each, told, aborts) for each in kept),
        more=len(found) - len(kept),
        more_resets=round(sum(_sum(counts, each) for each in found) - sum(_sum(counts, each) for each in kept)),
        counters=tuple(each for each in COUNTERS if each in store.counters),
        lacking=tuple(each for each in COUNTERS if each not in store.counters),
        notes=(*store.notes(), *_notes(store, whole, begin, end)),
        unknown=(_ADDRESSES, _NAMESPACES, _NOT_STACK, *_coarse(store), *((unread,) if unread else ())),
    )


def _surge(store: Store, whole: Series, episode: Episode, told: Sequence[Incident], aborts: bool | None) -> StoredSurge:
    step = whole.step
    # counters are read one after the other, and values drawn between readings: a step on both sides belongs to it
    first, last = max(episode.first - 1, 0), episode.last + 1
    begin, end = _at(whole, first), _at(whole, last + 1)
    kept = int((begin - (store.kept[0] or 0)) // step)
    steps_before = max(min(max(_USUAL_SECONDS // step, _USUAL_STEPS), kept), 1)
    around = store.read(COUNTERS, begin - steps_before * step, end)
    counts = whole.counts[RESETS]
    seconds = (last - first + 1) * step
    moved: dict[str, int] = {}
    beyond: dict[str, int] = {}
    usual: dict[str, float] = {}
    for name, values in around.counts.items():
        if name not in store.counters:
            continue
        total = sum(values[steps_before:])
        rate = episode.usual if name == RESETS else sum(values[:steps_before]) / (steps_before * step)
        usual[name] = rate
        moved[name], beyond[name] = round(total), round(total - rate * seconds)
    peak = max(range(episode.first, episode.last + 1), key=lambda index: counts[index])
    count = max(moved.get(RESETS, 0), 0)
    exact = (episode.last - episode.first + 1) * step
    grown = {name: max(value, 0) for name, value in beyond.items()}
    families = fingerprint.shares(grown, abort_on_overflow=aborts, stored=store.counters)
    hints = stored_hints.hints(beyond, usual, seconds, abort_on_overflow=aborts, stored=store.counters)
    at, over = float(_at(whole, episode.first)), float(_at(whole, episode.last + 1))
    return StoredSurge(
        begin=at,
        end=over,
        ongoing=episode.ongoing,
        count=count,
        rate=count / exact,
        peak=counts[peak] / step,
        peak_at=_at(whole, peak),
        usual=episode.usual,
        moved={name: value for name, value in moved.items() if value},
        beyond={name: value for name, value in beyond.items() if value},
        families=families,
        hints=tuple(hints),
        suspects=suspects(told, at, over, step=step),
    )


def _at(series: Series, index: int) -> int:
    return series.start + index * series.step


def _sum(counts: Sequence[float], episode: Episode) -> float:
    return sum(counts[episode.first : episode.last + 1])


def _is_here(store: Store) -> bool:
    """Whether the counters are this host's, as far as names tell."""
    if store.host:
        return store.host.split(".")[0] == platform.node().split(".")[0]
    return store.name != "sysstat" and is_local(store.where)


def _incidents(store: Store, begin: int, end: int, journal: str) -> tuple[list[Incident], Missing | None]:
    if not journal and not _is_here(store):
        return [], Missing(
            source="journal",
            why=f"the counters are of {store.host or 'another host'}, and the journal here is of {platform.node()}: "
            "run this there, or name its journal with --journal",
            lost="which services crashed, were killed, stopped or restarted then",
        )
    boot_ns = time.time_ns() - time.monotonic_ns()
    return incidents(max(begin - 300 - store.step, 0), end, journal=journal, boot_ns=boot_ns)


def _notes(store: Store, whole: Series, begin: int, end: int) -> list[str]:
    notes = []
    gaps = [(max(first, begin), min(last, end)) for first, last in whole.gaps if last > begin]
    if gaps and gaps[0][0] <= begin:
        _, since = gaps.pop(0)
        if since > begin + _LATE_STEPS * store.step:
            notes.append(f"nothing is stored from before {moment(since)}")
    if gaps and gaps[-1][1] >= end:
        if gaps[-1][0] < end - _LATE_STEPS * store.step - _LATE_SECONDS:
            notes.append(f"nothing is stored from after {moment(gaps[-1][0])}")
        gaps.pop()
    if gaps:
        seconds = sum(last - first for first, last in gaps)
        longest = max(gaps, key=lambda gap: gap[1] - gap[0])
        notes.append(
            f"for {seconds:,.0f} s of that time nothing was stored, or only what it came to in all; the longest gap is "
            f"from {moment(longest[0])} to {moment(longest[1])}"
        )
    booted = "the host was booted then, or another's counters were stored"
    return [*notes, *(f"the counters began anew at {moment(at)}: {booted}" for at in whole.restarts[:3])]


def _coarse(store: Store) -> tuple[Missing, ...]:
    if store.step < _COARSE_SECONDS:
        return ()
    return (
        Missing(
            source=store.name,
            why=f"it stored a value every {store.step} s",
            lost=f"bursts and pauses shorter than that: times are good to {store.step} s, and a short burst looks like "
            "a low rate, or is not found at all",
        ),
    )


def moment(at: float) -> str:
    """A date and time of day here."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
