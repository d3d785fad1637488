"""What goes wrong on simulated days: each kind of surge that some monitor was seen to miss, put into the noise.

On a quiet host sizes are absolute, on a busy one they are multiples of what is usual there.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec import Struct

from benchmarks.alerts.noise import DAY, poisson

#: Seconds between the beginnings of two incidents.
APART = 2700


class Kind(Struct, frozen=True):
    """A surge's shape."""

    name: str
    seconds: int
    #: Resets a second in its n-th second: (second, what is usual) -> rate, on top of what is usual.
    rate: Callable[[float, float], float]
    quiet: bool = True
    busy: bool = True
    #: When it comes to 50/s (on a busy host: to four times what is usual): what latency is counted from.
    counts_from: float = 0.0


def _at_least(rate: float, times: float) -> Callable[[float, float], float]:
    return lambda _second, usual: max(rate, times * usual) if usual >= 5 else rate


KINDS = (
    Kind("50/s for 30 s", 30, _at_least(50, 0), busy=False),
    Kind("60/s for 30 s", 30, _at_least(60, 0), busy=False),
    Kind("80/s for 30 s", 30, _at_least(80, 0), busy=False),
    Kind("45/s for a minute", 60, _at_least(45, 0), busy=False),
    Kind("200/s for a minute", 60, _at_least(200, 5), busy=False),
    Kind("2000/s for 20 s", 20, _at_least(2000, 20)),
    Kind("spike of 3 s", 3, _at_least(200, 8)),
    Kind("ramp of +1/s to 240/s", 240, lambda second, _: second, busy=False, counts_from=50),
    Kind("ramp to six times", 240, lambda second, usual: 5 * usual * second / 240, quiet=False, counts_from=144),
    Kind("five times as many", 30, lambda _, usual: 4 * usual, quiet=False),
    Kind("twelve times as many", 30, lambda _, usual: 11 * usual, quiet=False),
    Kind("ten minutes of it", 600, _at_least(200, 5)),
)
#: Begins within the first minute after start; the day's first incident.
EARLY = Kind("within the first minute", 30, _at_least(200, 5))


class Incident(Struct, frozen=True):
    """One surge on one day."""

    kind: Kind
    #: Seconds since the day's begin; between two readings.
    start: float

    @property
    def end(self) -> float:
        return self.start + self.kind.seconds

    @property
    def counts_from(self) -> float:
        return self.start + self.kind.counts_from


def inject(random: Random, noise: list[int], *, quiet: bool) -> tuple[list[int], list[Incident]]:
    """What incidents add to a day of noise, by second, and which they are."""
    extra = [0] * len(noise)
    begin = 20 + 25 * random.random()
    incidents = [Incident(EARLY, begin)]
    kinds = [kind for kind in KINDS if (kind.quiet if quiet else kind.busy)]
    random.shuffle(kinds)
    room = (DAY - 2 * APART) // len(kinds)
    for number, kind in enumerate(kinds):
        incidents.append(Incident(kind, APART + number * room + random.random() * (room - APART)))
    for incident in incidents:
        _add(random, extra, noise, incident)
    return extra, incidents


def _add(random: Random, extra: list[int], noise: list[int], incident: Incident) -> None:
    first = int(incident.start)
    before = noise[max(first - 60, 0) : first]
    usual = sum(before) / len(before)
    for second in range(first, min(int(incident.end) + 1, len(extra))):
        begin, end = max(incident.start, second), min(incident.end, second + 1)
        if end > begin:
            extra[second] += poisson(
                random, incident.kind.rate((begin + end) / 2 - incident.start, usual) * (end - begin)
            )
