"""One network namespace: its charts with Netdata's rules, its streams with our detector. What it says are signals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from whyreset.alerts.charts import CHARTS, LATE, LONGEST_LOOK, MEMORY, ChartKind, Charts
from whyreset.alerts.evaluate import Change, Evaluator
from whyreset.alerts.expression import variables
from whyreset.alerts.life import Signal, Telling
from whyreset.alerts.rule import Rule
from whyreset.alerts.shares import Recent
from whyreset.alerts.status import CLEAR, CRITICAL, WARNING
from whyreset.alerts.streams import Streams, Surging

SENT_SURGE, RECEIVED_SURGE = "resets_sent_surge", "resets_received_surge"
_SUMMARIES = {SENT_SURGE: "surge of TCP resets sent", RECEIVED_SURGE: "surge of TCP resets received"}
#: Where no reset is seen, this counter stands for those received. It also counts handshakes that timed out.
ATTEMPTS = "AttemptFails"
_ATTEMPTS_SUMMARY = "surge of failed attempts to connect"
#: Ours are told at once, and again each hour.
OURS = Telling(repeat_warning=3600, repeat_critical=3600, counts_expected=False)
#: Seconds that one reading may stand for.
LONGEST_STEP = 120
COUNTED = "OutRsts"
#: Charts that are kept whatever the rules are.
_ALWAYS = ("ip.tcphandshake", "netdata.uptime", "system.uptime")


class Looks(Struct, frozen=True):
    """Rules, and what they look at."""

    rules: tuple[Rule, ...]
    kinds: tuple[ChartKind, ...]
    #: Seconds of history.
    memory: int


def looks(rules: Iterable[Rule]) -> Looks:
    """What rules look at: only that is kept."""
    rules = tuple(rule for rule in rules if not too_far(rule))
    return Looks(rules, _kinds(rules), max([MEMORY, *(_back(rule) + LATE for rule in rules)]))


def too_far(rule: Rule) -> bool:
    """It looks back further than anything is kept: it is never evaluated."""
    return _back(rule) > LONGEST_LOOK


def _back(rule: Rule) -> int:
    """Seconds of history that a rule needs."""
    return abs(rule.lookup.after) - rule.lookup.before if rule.lookup else 0


def _kinds(rules: tuple[Rule, ...]) -> tuple[ChartKind, ...]:
    charts, names = set(_ALWAYS), set[str]()
    for rule in rules:
        charts.add(rule.on)
        for expression in (rule.calc, rule.warn, rule.crit):
            if expression is not None:
                names |= variables(expression.node)
    charts |= {name.rpartition(".")[0] for name in names}
    return tuple(
        kind
        for kind in CHARTS
        if charts & set(kind.names) or any(names & {each.id, each.name} for each in kind.dimensions)
    )


def telling(rule: Rule) -> Telling:
    """How a rule of Netdata's kind tells."""
    return Telling(
        delay=rule.delay,
        no_clear="no-clear-notification" in rule.options,
        repeat_warning=rule.repeat_warning,
        repeat_critical=rule.repeat_critical,
        to=rule.to,
    )


def rule_signal(change: Change, cookie: int, netns: int) -> Signal | None:
    """A rule's change as a signal; None for rules that only others look at."""
    rule = change.rule
    if not (rule.warn or rule.crit):
        return None
    return Signal(
        rule=rule.name,
        netns_cookie=cookie,
        netns=netns,
        status=change.status,
        value=_known(change.value),
        threshold=_known(change.limit),
        units=rule.units,
        window=abs(rule.lookup.after) if rule.lookup else 0,
        summary=rule.summary or rule.info,
        telling=telling(rule),
    )


def surge_signal(rule: str, surging: Surging, cookie: int, netns: int, *, counters_only: bool = False) -> Signal:
    """What our detector found as a signal.

    Args:
        rule: which of ours.
        surging: what it found.
        cookie: the namespace's.
        netns: its inode number.
        counters_only: no reset was seen.
    """
    surge, attempts = surging.surge, counters_only and rule == RECEIVED_SURGE
    return Signal(
        rule=rule,
        netns_cookie=cookie,
        netns=netns,
        status=CRITICAL if surging.grown else WARNING if surging.streams else CLEAR,
        value=surge.rate,
        threshold=surge.threshold,
        usual=surge.usual,
        units="attempts/s" if attempts else "resets/s",
        window=surge.window,
        summary=_ATTEMPTS_SUMMARY if attempts else _SUMMARIES[rule],
        streams=surging.streams,
        telling=OURS,
        first=CLEAR,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


class _Unexpected:
    """What of a counter was not expected.

    What is seen lags behind what is counted, by a reading at most. So the counter is held back by one reading, and what
    was expected beyond it is remembered for another: a lag looks like nothing, never like a surge.
    """

    def __init__(self) -> None:
        self._counted = self._held = 0
        self._expected = self._lately = 0
        self._top = 0
        self._used = False

    def step(self, counted: int, expected: int) -> int:
        self._used = self._used or expected > 0
        if not self._used:
            return counted
        self._counted, self._held = self._counted + self._held, counted
        self._expected += expected
        level = self._counted - self._expected
        self._top = min(self._top, level + expected + self._lately)
        self._lately = expected
        grown = max(level - self._top, 0)
        self._top = max(self._top, level)
        return grown


class Space:
    """A namespace in which something has moved.

    Args:
        cookie: the namespace's cookie.
        netns: its inode number.
        rules: what its charts are held against, the charts that these look at, and the seconds that are kept of them.
        sent: the detectors of what it sends.
        received: and of what it receives.
        time: when its counters were read, in seconds since the epoch.
        totals: what they were.
        statuses: what rules had come to before a restart.
        counters_only: no resets are seen, only counted.
    """

    def __init__(
        self,
        cookie: int,
        netns: int,
        *,
        rules: Looks,
        sent: Streams,
        received: Streams,
        time: float,
        totals: Mapping[str, float],
        statuses: Mapping[str, int],
        counters_only: bool = False,
    ) -> None:
        self.cookie, self.netns = cookie, netns
        self._counters_only = counters_only
        self.sent, self.received = sent, received
        self.recent = Recent(rules.memory)
        self._looks = rules
        self._unexpected = _Unexpected()
        #: since the last reading: by cause what was not expected, how many were, and what was received
        self.causes: Counter[str] = Counter()
        self.expected = 0
        self.got: Counter[str] = Counter()
        self._begin(time, totals, statuses)

    def begin(self, time: float, totals: Mapping[str, float]) -> None:
        """Begins its history anew, since somebody set the clock."""
        self._begin(time, totals, self._evaluator.statuses())

    def _begin(self, time: float, totals: Mapping[str, float], statuses: Mapping[str, int]) -> None:
        self.charts = Charts(self._looks.memory, self._looks.kinds)
        self.charts.read(time, totals)
        self._evaluator = Evaluator(self._looks.rules, self.charts, statuses=statuses)
        self._counted, self._attempts = int(totals.get(COUNTED, 0)), int(totals.get(ATTEMPTS, 0))
        self._evaluated = int(time)
        self._read_at = time

    @property
    def busy(self) -> bool:
        """Something was seen since the last reading, or a surge is on."""
        return bool(self.causes or self.got or self.expected or self.sent.on or self.received.on)

    def rest(self, time: float, totals: Mapping[str, float]) -> None:
        """Nothing has moved until now, and nothing was read of it."""
        seconds = round(time - self._read_at)
        if seconds > 0:
            self.charts.read(time, totals)
            self.sent.skip(seconds)
            self.received.skip(seconds)
            self._read_at, self._evaluated = time, int(time)

    def read(self, time: float, totals: Mapping[str, float]) -> list[Signal]:
        """A reading of its counters.

        Args:
            time: seconds since the epoch.
            totals: counters and gauges by the kernel's names.
        """
        seconds, self._read_at = time - self._read_at, time
        self.charts.read(time, totals)
        signals = self._rules(int(time))
        counted = int(totals.get(COUNTED, self._counted))
        grown, self._counted = max(counted - self._counted, 0), counted
        grown = self._unexpected.step(grown, self.expected)
        signals += self._surges(SENT_SURGE, self.sent, grown, self.causes, seconds)
        attempts = int(totals.get(ATTEMPTS, self._attempts))
        failed, self._attempts = max(attempts - self._attempts, 0), attempts
        received = failed if self._counters_only else self.got.total()
        signals += self._surges(RECEIVED_SURGE, self.received, received, self.got, seconds)
        self.causes, self.expected, self.got = Counter(), 0, Counter()
        return signals

    def _rules(self, now: int) -> list[Signal]:
        first = max(self._evaluated + 1, now - LONGEST_STEP)
        changes = [change for second in range(first, now + 1) for change in self._evaluator.step(second)]
        self._evaluated = now
        signals = (rule_signal(change, self.cookie, self.netns) for change in changes)
        return [signal for signal in signals if signal is not None]

    def _surges(
        self, rule: str, streams: Streams, total: int, causes: Mapping[str, int], seconds: float
    ) -> list[Signal]:
        out = []
        # what came late is spread over the seconds that it took
        steps = min(max(round(seconds), 1), LONGEST_STEP)
        for step in range(steps):
            part = {name: _part(count, step, steps) for name, count in causes.items()}
            surging = streams.step(_part(total, step, steps), part)
            if surging is not None:
                only = self._counters_only
                out.append(surge_signal(rule, surging, self.cookie, self.netns, counters_only=only))
        return out


def _part(count: int, step: int, steps: int) -> int:
    return count * (step + 1) // steps - count * step // steps
