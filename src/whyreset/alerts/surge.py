"""A surge of resets, found within a second or two, on a host that is quiet and on one that is busy.

The detector is a window-limited generalised likelihood ratio test (T. L. Lai, «Sequential changepoint detection in
quality control and dynamical systems», J. R. Statist. Soc. B 57 (1995) 613-658) on counts a second:

* Null. Counts are negative binomial: more spread than independent events, since they come in clusters and loads wander.
  Their mean is up to one and a half times what was learned plus two a second (two and a half times in the first hours),
  and the ratio of variance to mean is what was learned.
* Test. At each second, over the last 1, 2, 4 ... 64 seconds: how unlikely is a sum this large? The exponent of its
  Chernoff bound is the generalised likelihood ratio; a surge is found where it passes 18.
* Bound. Under the null each look errs with probability e^-18 at most; seven windows and 86,400 seconds make 0.0093
  false alarms a day and stream at most, one in a hundred days.
* Baseline. The mean of the last ten minutes or so and the variance of the last three hours, learned a minute late, and
  not at all while a surge is on: it never becomes what is usual by going on. With little learned, more is let pass.
* End. The mean of the last 30 seconds is down at what is usual (half as much again, or two a second).

The floor is there on purpose: a handful of connections given up at once is no surge. On a quiet host 35 resets within
a second are one, or 100 within 16 s, or 240 within a minute.

What others stored is often coarser than a second. Then a step is so many seconds long, and windows are of 1, 2, 4 ...
64 steps; means stay those of a second, and the ratio of variance to mean is the same for sums of independent seconds.
"""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from whyreset.alerts.bounds import Amount, Seconds, Square

#: Seconds over which sums are looked at.
WINDOWS = (1, 2, 4, 8, 16, 32, 64)
#: Exponent at which a sum is too unlikely.
UNLIKELY = 18.0
#: What the null allows: so many times what is usual, and so many resets a second more.
TIMES, FLOOR = 1.5, 2.0
#: And so many times more at first, until hours of the load's ups and downs were seen.
YOUNG = 1.0
#: Variance is at least so many times the mean.
LEAST_SPREAD = 2.0
#: How long the past counts, in seconds: for the mean, and for the variance.
MEAN_SECONDS, SPREAD_SECONDS = 600.0, 10_800.0
#: What is learned is so old at least, seconds; in the first two minutes half of the time that there was.
LATE = 60
#: Nothing is found before so many seconds were seen, unless something was known before.
LEAST_SECONDS = 5
#: What the least spread weighs, in resets.
_PRIOR_RESETS = 500.0
#: A surge is over when the mean of so many seconds is down at so many times what is usual.
_CALM_SECONDS, _CALM_TIMES = 30, 1.5
_BATCH = 10
_RING = 128
#: However long a step is, so many of them are remembered at least.
_LEAST_STEPS = 20


class Baseline(Struct, kw_only=True):
    """What is usual in one stream; a value that is saved and loaded."""

    #: Resets a second of the last ten minutes or so, and how many seconds stand behind that.
    mean: Amount = 0.0
    seconds: Seconds = 0.0
    #: The same over the last hours, with the variance about the mean of then.
    long_mean: Amount = 0.0
    variance: Square = 0.0
    spread_seconds: Seconds = 0.0

    @classmethod
    def from_before(cls, total: float, *, seconds: float) -> Baseline:
        """What a counter tells that was there before watching began: its mean, as if of the last half minute.

        How spread it was is not known: the busier, the more.

        Args:
            total: what it had come to.
            seconds: how long it had counted.
        """
        mean = total / max(seconds, 1.0)
        return cls(mean=mean, seconds=30.0, long_mean=mean, variance=mean + mean * mean / 5, spread_seconds=30.0)

    def learn(self, seconds: int, total: float, squares: float, *, step: int = 1) -> None:
        """Takes in some seconds: how many, the sum of their counts, and that of their squares.

        Args:
            step: how many seconds each count is of.
        """
        mean = total / seconds
        # about the mean as it was: a load that moves is spread too
        before = self.mean if self.seconds else mean
        deviation = max(squares - 2 * before * step * total + seconds * step * before * before, 0.0) / seconds
        self.seconds = min(self.seconds + seconds, max(MEAN_SECONDS, _LEAST_STEPS * step))
        self.mean += (mean - self.mean) * seconds / self.seconds
        self.spread_seconds = min(self.spread_seconds + seconds, max(SPREAD_SECONDS, 2 * _LEAST_STEPS * step))
        share = seconds / self.spread_seconds
        self.long_mean += (mean - self.long_mean) * share
        self.variance += (deviation - self.variance) * share

    @property
    def allowed(self) -> float:
        """The mean that the null allows; more while little was learned."""
        times = (
            TIMES + YOUNG * max(1 - self.spread_seconds / SPREAD_SECONDS, 0.0) + 6 / math.sqrt(max(self.seconds, 1.0))
        )
        return FLOOR + times * self.mean

    @property
    def spread(self) -> float:
        """The variance that the null allows, as multiples of the mean."""
        resets = self.long_mean * self.spread_seconds
        learned = (self.variance * self.spread_seconds + LEAST_SPREAD * _PRIOR_RESETS) / (resets + _PRIOR_RESETS)
        unsure = 1 + 10 / max(self.spread_seconds, 1.0)
        return max(learned * unsure, LEAST_SPREAD)


def limit(mean: float, spread: float) -> float:
    """The sum whose exponent is UNLIKELY, for a negative binomial of this mean and ratio of variance to mean."""
    shape = mean / (spread - 1)
    # the exponent is convex in the sum: from above Newton's steps do not overshoot
    total = mean + math.sqrt(2 * UNLIKELY * spread * mean) + 2 * UNLIKELY * spread
    for _ in range(50):
        # in this form figures keep their digits however large the spread
        slope = math.log1p(shape / mean) - math.log1p(shape / total)
        excess = total * slope - shape * math.log((total + shape) / (mean + shape)) - UNLIKELY
        step = excess / slope
        total -= step
        if step < 0.01:
            break
    return total


class Surge(Struct, frozen=True, kw_only=True):
    """What was found: so many within so many seconds, where at most so many would do."""

    #: Resets a second over the window, the most that would have been no surge, and what is usual.
    rate: float
    threshold: float
    usual: float
    #: Seconds.
    window: int


class Detector:
    """Watches one stream of counts a second.

    Args:
        baseline: what was learned before; it is changed in place.
        quiet_below: of a surge that was on when this was saved, `quiet_below` of then.
        step: how many seconds each count is of.
    """

    __slots__ = (
        "_at",
        "_batch",
        "_batch_steps",
        "_born",
        "_calm_steps",
        "_late",
        "_late_steps",
        "_least_steps",
        "_limits",
        "_null",
        "_ring",
        "_step",
        "_total",
        "baseline",
        "quiet_below",
        "since",
    )

    def __init__(self, baseline: Baseline | None = None, *, quiet_below: float | None = None, step: int = 1) -> None:
        self.baseline = baseline or Baseline()
        self._step = step
        self._batch_steps = max(_BATCH // step, 1)
        self._calm_steps = max(_CALM_SECONDS // step, 1)
        self._late_steps = max(LATE // step, 1)
        self._least_steps = max(LEAST_SECONDS // step, 2)
        self._at = 0
        self._total = 0
        self._ring = [0] * _RING
        #: steps, sum and sum of squares of what comes now; and what is too young to be learned, with its step
        self._batch = (0, 0, 0)
        self._late: deque[tuple[int, int, int, int]] = deque()
        self._born = 0 if self.baseline.seconds == 0 else -self._late_steps * 2
        #: The step in which the surge was found that is on; None without one.
        self.since: int | None = None if quiet_below is None else 0
        #: Below this mean it is over.
        self.quiet_below = quiet_below or 0.0
        #: the limits, and the mean and spread that they were made for
        self._limits: tuple[tuple[int, float], ...] = ()
        self._null = (0.0, 0.0)
        self._set_limits()

    def step(self, count: int) -> Surge | None:
        """The next step's count; a surge that it shows, unless one is on already."""
        self._at = at = self._at + 1
        self._total = total = self._total + count
        ring = self._ring
        ring[at & 127] = total
        if self.since is not None:
            self._calm(at, total)
            return None
        found = None
        if count and at - self._born > self._least_steps:
            for steps, most in self._limits:
                if total - ring[(at - steps) & 127] >= most:
                    found = self._found(at, total, steps, most)
                    break
        if found is None:
            steps, added, squares = self._batch
            steps += 1
            if steps < self._batch_steps and at - self._born > 2 * self._late_steps:
                self._batch = (steps, added + count, squares + count * count)
            else:
                self._learn(at, (steps, added + count, squares + count * count))
        return found

    def skip(self, steps: int) -> None:
        """So many steps without a reset; cheap however many."""
        for _ in range(min(steps, 2 * LATE)):
            self.step(0)
        if (rest := steps - 2 * LATE) > 0:
            self._at += rest
            self._ring = [self._total] * _RING
            self.baseline.learn(min(rest * self._step, int(SPREAD_SECONDS)), 0, 0, step=self._step)
            self._set_limits()

    def rate(self, steps: int) -> float:
        """Resets a second over the last so many steps, at most 64."""
        return (self._total - self._ring[(self._at - steps) & 127]) / (steps * self._step)

    def _found(self, at: int, total: int, steps: int, most: float) -> Surge:
        self.since = at
        self.quiet_below = max(FLOOR, _CALM_TIMES * self.baseline.mean)
        self._late.clear()
        self._batch = (0, 0, 0)
        seconds = steps * self._step
        rate = (total - self._ring[(at - steps) & 127]) / seconds
        return Surge(rate=rate, threshold=most / seconds, usual=self.baseline.mean, window=seconds)

    def _calm(self, at: int, total: int) -> None:
        """Ends a surge when it is over."""
        assert self.since is not None
        steps = self._calm_steps
        if at - self.since >= steps:
            mean = (total - self._ring[(at - steps) & 127]) / (steps * self._step)
            if mean <= self.quiet_below:
                self.since = None
                # no window looks back into what is over
                self._ring = [total] * _RING

    def _learn(self, at: int, batch: tuple[int, int, int]) -> None:
        self._batch = (0, 0, 0)
        self._late.append((at, *batch))
        age = min((at - self._born) // 2, self._late_steps)
        learned = False
        while self._late and at - self._late[0][0] >= age:
            _, steps, total, squares = self._late.popleft()
            self.baseline.learn(steps * self._step, total, squares, step=self._step)
            learned = True
        if learned:
            self._set_limits()

    def _set_limits(self) -> None:
        allowed, spread = self.baseline.allowed, self.baseline.spread
        before_allowed, before_spread = self._null
        if abs(allowed - before_allowed) <= 0.01 * allowed and abs(spread - before_spread) <= 0.01 * spread:
            return
        self._null = (allowed, spread)
        self._limits = tuple((steps, limit(steps * self._step * allowed, spread)) for steps in WINDOWS)
