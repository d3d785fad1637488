"""The detectors of one namespace and direction: one for all resets together, and one for each cause.

Together they are one alert: it is raised when the first of them finds a surge, and over when none is left. A cause of
its own is seen where the sum hides it: fifty refused connections a second among hundreds that a proxy closes on
purpose.

What comes on top of a surge is held against the surge: once that has lasted some seconds, a surge of its own makes the
alert graver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from whyreset.alerts.bounds import Amount
from whyreset.alerts.surge import MEAN_SECONDS, Baseline, Detector, Surge

#: The stream of all resets.
ALL = "all"
#: Causes that have a stream of their own; the others are in the sum.
MOST_CAUSES = 48
#: Resets a second below which nothing of a cause is worth keeping.
_RARE = 0.01


class Stream(Struct, kw_only=True):
    """One stream as a value."""

    name: str
    baseline: Baseline
    #: Of a surge that is on: below which mean it is over.
    quiet_below: Amount | None = None


class Surging(Struct, frozen=True, kw_only=True):
    """Which streams surge now; none when it is over."""

    streams: tuple[str, ...]
    surge: Surge
    #: A surge came on top of the surge.
    grown: bool = False


class Streams:
    """Watches.

    Args:
        baseline: what is usual of all resets; None where nothing is known.
        saved: what `state` gave before a restart; goes before the baseline.
    """

    def __init__(self, baseline: Baseline | None = None, saved: Iterable[Stream] = ()) -> None:
        self._prior = replace(baseline) if baseline is not None else None
        self._age = 0
        self._last = Surge(rate=0.0, threshold=0.0, usual=0.0, window=1)
        self._detectors = {each.name: Detector(each.baseline, quiet_below=each.quiet_below) for each in saved}
        if ALL not in self._detectors:
            self._detectors[ALL] = Detector(self._prior and replace(self._prior))
        self._on = tuple(name for name, detector in self._detectors.items() if detector.since is not None)
        #: while a surge is on, what holds all resets against it
        self._on_top = Detector()
        self._grown = False

    @property
    def on(self) -> tuple[str, ...]:
        """The streams that surge."""
        return self._on

    def state(self) -> list[Stream]:
        """What survives a restart: a cause that is not there any more need not."""
        return [
            Stream(
                name=name,
                baseline=detector.baseline,
                quiet_below=detector.quiet_below if detector.since is not None else None,
            )
            for name, detector in self._detectors.items()
            if name == ALL or detector.since is not None or detector.baseline.mean >= _RARE
        ]

    def step(self, total: int, causes: Mapping[str, int]) -> Surging | None:
        """The next second: how many in all, and how many of each cause. What changed by it, if anything."""
        self._age += 1
        for name in causes:
            if name not in self._detectors and len(self._detectors) <= MOST_CAUSES:
                self._detectors[name] = Detector(self._fresh())
        for name, detector in self._detectors.items():
            found = detector.step(total if name == ALL else causes.get(name, 0))
            # what was found first is what the alert says; the sum says more than its parts
            if found is not None and (not self._on or name == ALL):
                self._last = found
        on = tuple(name for name, detector in self._detectors.items() if detector.since is not None)
        grown = self._grows(total, still=ALL in on and ALL in self._on)
        if (on, grown) == (self._on, self._grown):
            return None
        self._on, self._grown = on, grown
        if not on:
            rate = self._detectors[ALL].rate(10)
            self._last = Surge(rate=rate, threshold=self._last.threshold, usual=self._last.usual, window=10)
        return Surging(streams=on, surge=self._last, grown=grown)

    def _grows(self, total: int, *, still: bool) -> bool:
        if not still:
            self._on_top = Detector()
            return False
        found = self._on_top.step(total)
        if found is not None:
            self._last = found
        return self._on_top.since is not None

    def skip(self, seconds: int) -> None:
        """So many seconds without any; only while no surge is on."""
        self._age += seconds
        for detector in self._detectors.values():
            detector.skip(seconds)

    def _fresh(self) -> Baseline | None:
        """What is known of a cause that comes for the first time: there was none so far.

        At the beginning it may be what all resets were, before anybody watched.
        """
        if self._prior is not None and self._age < self._prior.seconds:
            return replace(self._prior)
        seconds = float(min(self._age, int(MEAN_SECONDS)))
        return Baseline(seconds=seconds, spread_seconds=seconds) if seconds > 1 else None
