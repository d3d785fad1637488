"""Resets a second that hosts send on days when nothing is wrong: several kinds of noise, and how each is drawn.

They were written, and committed, before the detector that is measured on them. Sizes follow what real programs were
seen to do: a reload of nginx under load gives 10 to 26 resets, health checks a few every ten seconds, a proxy that
closes with linger zero as many as it has connections.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

DAY = 86_400


def poisson(random: Random, mean: float) -> int:
    """One draw."""
    if mean <= 0:
        return 0
    if mean > 60:  # near enough to normal
        return max(round(random.gauss(mean, math.sqrt(mean))), 0)
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


def overdispersed(random: Random, mean: float, shape: float) -> int:
    """One draw of a negative binomial: a Poisson count whose mean is itself gamma distributed."""
    return poisson(random, random.gammavariate(shape, mean / shape)) if mean > 0 else 0


def geometric(random: Random, mean: float) -> int:
    """One draw, 1 at least."""
    return 1 + int(math.log(1 - random.random()) / math.log(1 - 1 / mean)) if mean > 1 else 1


def silent(random: Random) -> list[int]:
    """A reset now and then."""
    return [poisson(random, 2 / 3600) for _ in range(DAY)]


def clusters(random: Random) -> list[int]:
    """A desktop or a small server: now a single one, now a handful within a second or two."""
    counts = [poisson(random, 0.02) for _ in range(DAY)]
    for second in _arrivals(random, 1 / 60):
        for _ in range(geometric(random, 4)):
            counts[min(second + random.randrange(2), DAY - 1)] += 1
    return counts


def health_checks(random: Random) -> list[int]:
    """A balancer that closes its checks with a reset, every ten seconds, of several backends."""
    backends = random.randrange(3, 12)
    counts = [poisson(random, 0.2) for _ in range(DAY)]
    for begin in range(random.randrange(10), DAY - 1, 10):
        for _ in range(backends):
            counts[begin + (random.random() < 0.3)] += 1
    return counts


def steady(random: Random) -> list[int]:
    """A proxy that closes with linger zero, at the same rate all day."""
    return [poisson(random, 100) for _ in range(DAY)]


def bursty(random: Random) -> list[int]:
    """The same with a load that comes in waves of a minute or so, far more spread than independent events would be."""
    return [overdispersed(random, 60 * math.exp(level), 5) for level in _wander(random, seconds=60, spread=0.2)]


def daily(random: Random) -> list[int]:
    """Few at night, many by day."""
    phase = random.random() * 2 * math.pi
    means = (5 * 16 ** ((1 + math.sin(2 * math.pi * second / DAY + phase)) / 2) for second in range(DAY))
    return [overdispersed(random, mean, 8) for mean in means]


def drifting(random: Random) -> list[int]:
    """A load that wanders within the hour by half of its size and more."""
    return [overdispersed(random, 20 * math.exp(level), 10) for level in _wander(random, seconds=3600, spread=0.5)]


def two_levels(random: Random) -> list[int]:
    """A batch job that runs for some minutes, then rests: from 10/s to 25/s and back."""
    counts: list[int] = []
    busy = False
    while len(counts) < DAY:
        length = round(random.expovariate(1 / 200)) + 30
        counts += [overdispersed(random, 25 if busy else 10, 10) for _ in range(length)]
        busy = not busy
    return counts[:DAY]


def cron(random: Random) -> list[int]:
    """Little, and every five minutes a job that gives up 10 to 25 connections at once."""
    counts = [poisson(random, 0.1) for _ in range(DAY)]
    for begin in range(random.randrange(300), DAY - 2, 300):
        for _ in range(random.randrange(10, 26)):
            counts[begin + random.randrange(2)] += 1
    return counts


def deploys(random: Random) -> list[int]:
    """Little, and some times a day five reloads of a web server, one after the other."""
    counts = clusters(random)
    for begin in _arrivals(random, 6 / DAY):
        for reload in range(5):
            for _ in range(random.randrange(10, 27)):
                counts[min(begin + 8 * reload + random.randrange(3), DAY - 1)] += 1
    return counts


def _arrivals(random: Random, rate: float) -> list[int]:
    """The seconds of a day in which something begins."""
    found, at = [], random.expovariate(rate)
    while at < DAY - 60:
        found.append(int(at))
        at += random.expovariate(rate)
    return found


def _wander(random: Random, *, seconds: float, spread: float) -> list[float]:
    """A level that returns to 0 within so many seconds (Ornstein-Uhlenbeck), with this standard deviation."""
    keep = math.exp(-1 / seconds)
    push = spread * math.sqrt(1 - keep * keep)
    level, found = random.gauss(0, spread), []
    for _ in range(DAY):
        level = keep * level + random.gauss(0, push)
        found.append(level)
    return found


#: Each with whether a host like that is quiet: below a reset a second, most of the time.
KINDS: dict[str, tuple[Callable[[Random], list[int]], bool]] = {
    "silent": (silent, True),
    "clusters": (clusters, True),
    "health checks": (health_checks, True),
    "cron": (cron, True),
    "deploys": (deploys, True),
    "steady": (steady, False),
    "bursty": (bursty, False),
    "daily": (daily, False),
    "drifting": (drifting, False),
    "two levels": (two_levels, False),
}
