"""Which incidents are near to a surge. Nearness in time is no proof, and is said to be none."""

from __future__ import annotations

from collections.abc import Iterable

from whyreset.stored import Incident, Suspect

#: Seconds: a service's end is felt at once, or when its clients try again.
_BEFORE, _AROUND = 120.0, 30.0
#: Suspects of one surge.
MOST = 8
#: What may bring resets about, and what may end them.
_ENDINGS = frozenset({"boot", "crash", "out-of-memory", "failed", "stopped"})


def suspects(incidents: Iterable[Incident], begin: float, end: float, *, step: int) -> tuple[Suspect, ...]:
    """The incidents near to a surge, in the order of their time; of many those that say most.

    Args:
        begin, end: seconds since the epoch.
        step: how exact these are, seconds.
    """
    near = [each for each in incidents if begin - _BEFORE - step <= each.time_ns / 1e9 <= end + _AROUND + step]
    # units start all the time: one that only started explains nothing
    troubled = {each.unit for each in near if each.kind != "started"}
    found = [_suspect(each, begin, end, step) for each in near if each.kind != "started" or each.unit in troubled]
    found.sort(key=lambda each: (each.incident.kind not in _ENDINGS, each.near == "middle", abs(each.offset)))
    return tuple(sorted(found[:MOST], key=lambda each: each.incident.time_ns))


def _suspect(incident: Incident, begin: float, end: float, step: int) -> Suspect:
    at = incident.time_ns / 1e9
    if incident.kind in ("started", "reloaded") and abs(at - end) <= min(_AROUND + step, abs(at - begin)):
        return Suspect(incident=incident, near="end", offset=at - end)
    if at <= begin + _AROUND + step:
        return Suspect(incident=incident, near="begin", offset=at - begin)
    return Suspect(incident=incident, near="middle", offset=at - begin)
