"""Surges among noise: what is detected, how fast, and how often nothing was there.

Thirty simulated host-days, three of each kind of noise, each with incidents of every kind that suits it; the same days
through each subject. Seeds are fresh unless WHYRESET_SEED is set; the one that was used is printed.
"""

from __future__ import annotations

import os
import secrets
import statistics
from collections.abc import Callable, Iterator, Sequence
from random import Random

from msgspec import Struct

from benchmarks.alerts import ours, peers
from benchmarks.alerts.incidents import Incident, inject
from benchmarks.alerts.noise import KINDS
from benchmarks.alerts.peers import Interval

DAYS_OF_EACH = 3
#: An alarm this long after an incident's end is still its own, seconds: the slowest rule looks back a minute.
AFTERWARDS = 75


class Day(Struct, frozen=True):
    """A host's day."""

    kind: str
    quiet: bool
    noise: Sequence[int]
    #: What incidents added.
    extra: Sequence[int]
    incidents: tuple[Incident, ...]

    @property
    def counts(self) -> list[int]:
        """What the kernel counts."""
        return [noise + extra for noise, extra in zip(self.noise, self.extra, strict=True)]


class Outcome(Struct):
    """What a subject made of the days."""

    days: int = 0
    incidents: int = 0
    detected: int = 0
    latencies: list[float] = []
    #: Of surges on a quiet host.
    quiet_latencies: list[float] = []
    false_alarms: int = 0
    #: Incidents during which the alarm was cleared although they went on.
    cleared: int = 0
    missed: dict[str, int] = {}
    alarmed: dict[str, int] = {}


#: From a day to its alarms.
Subject = Callable[[Day], list[Interval]]


def days(seed: int) -> Iterator[Day]:
    """All simulated days, one after the other."""
    for kind, (noise, quiet) in KINDS.items():
        for number in range(DAYS_OF_EACH):
            random = Random(f"{seed} {kind} {number}")
            counts = noise(random)
            extra, incidents = inject(random, counts, quiet=quiet)
            yield Day(kind, quiet, counts, extra, tuple(incidents))


def judge(day: Day, alarms: Sequence[Interval], outcome: Outcome) -> None:
    """Books a day's alarms."""
    outcome.days += 1
    claimed: set[Interval] = set()
    for incident in day.incidents:
        outcome.incidents += 1
        # what fires all day long detects nothing
        mine = [alarm for alarm in alarms if incident.start <= alarm[0] < incident.end + AFTERWARDS]
        claimed |= set(mine)
        if not mine:
            outcome.missed[incident.kind.name] = outcome.missed.get(incident.kind.name, 0) + 1
            continue
        outcome.detected += 1
        latency = max(min(alarm[0] for alarm in mine) - incident.counts_from, 0.0)
        outcome.latencies.append(latency)
        if day.quiet and not incident.kind.name.startswith("45"):
            outcome.quiet_latencies.append(latency)
        outcome.cleared += any(alarm[1] < incident.end for alarm in mine)
    false = [alarm for alarm in alarms if alarm not in claimed]
    outcome.false_alarms += len(false)
    if false:
        outcome.alarmed[day.kind] = outcome.alarmed.get(day.kind, 0) + len(false)


def run(subjects: dict[str, Subject], seed: int) -> dict[str, Outcome]:
    """Every day through every subject."""
    outcomes = {name: Outcome() for name in subjects}
    for day in days(seed):
        for name, subject in subjects.items():
            judge(day, subject(day), outcomes[name])
    return outcomes


SUBJECTS: dict[str, Subject] = {
    "Netdata's rule, every 10 s": lambda day: peers.netdata(day.counts),
    "Prometheus, rate > 50 at 15 s": lambda day: peers.prometheus(day.counts),
    "whyreset, counters alone": lambda day: ours.surges(day.counts),
    # usual resets and those of the incident have different causes
    "whyreset, by cause too": lambda day: ours.merged(
        ours.surges(day.counts), ours.surges(day.noise), ours.surges(day.extra)
    ),
}


def measure() -> Iterator[str]:
    """One line for each subject."""
    seed = int(os.environ.get("WHYRESET_SEED") or secrets.randbits(32))
    yield f"seed {seed}"
    for name, outcome in run(SUBJECTS, seed).items():
        yield describe(name, outcome)
        if outcome.missed:
            yield "  missed: " + ", ".join(f"{count} x {kind}" for kind, count in outcome.missed.items())
        if outcome.alarmed:
            yield "  false alarms: " + ", ".join(f"{count} on {kind}" for kind, count in outcome.alarmed.items())


def describe(name: str, outcome: Outcome) -> str:
    """«name: 200 of 321 detected after 6.2 s (median; slowest 40 s), 0.5 false alarms a host-day»."""
    latencies = outcome.latencies or [float("nan")]
    quiet = outcome.quiet_latencies or [float("nan")]
    return (
        f"{name}: {outcome.detected} of {outcome.incidents} detected, after {statistics.median(latencies):.1f} s"
        f" (slowest {max(latencies):.1f} s; quiet hosts {statistics.median(quiet):.1f}, {max(quiet):.1f} s);"
        f" {outcome.false_alarms / outcome.days:.2f} false alarms a host-day;"
        f" cleared {outcome.cleared} times while it went on"
    )
