"""Rules held against a namespace's charts, as Netdata does it: when, with what, and what status comes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from whyreset.alerts.charts import Chart, Charts
from whyreset.alerts.expression import evaluate, limit
from whyreset.alerts.lookup import apply, window
from whyreset.alerts.patterns import accepts
from whyreset.alerts.rule import Expression, Rule
from whyreset.alerts.status import CLEAR, CONSTANTS, CRITICAL, UNDEFINED, UNINITIALIZED, WARNING

#: Names that stand for something of the rule itself, or of its chart.
OWN_VARIABLES = ("this", "status", "now", "after", "before", "green", "red", "update_every", "last_collected_t")
#: Rules are looked after at least so often, seconds.
_AT_LEAST_EVERY = 10


class Change(Struct, frozen=True, kw_only=True):
    """A rule's status became another."""

    rule: Rule
    chart: str
    #: Seconds since the epoch.
    time: int
    old_status: int
    status: int
    value: float
    #: What the value was held against; nan where the expression compares nothing.
    limit: float
    #: Seconds since the change before.
    lasted: int


class _Alarm(Struct):
    """A rule at a chart."""

    rule: Rule
    chart: Chart
    value: float = math.nan
    status: int = UNINITIALIZED
    due: int = 0
    changed: int = 0
    runs: bool = False


class Evaluator:
    """The rules of one namespace.

    Args:
        rules: in the order in which they are evaluated.
        charts: the namespace's history.
        due: when rules are evaluated first, by name; the others as soon as there is enough history.
        statuses: what rules had come to before a restart, by name; it holds until they come to something again.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        charts: Charts,
        due: Mapping[str, int] | None = None,
        statuses: Mapping[str, int] | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._charts = charts
        self._due = dict(due or {})
        self._before = dict(statuses or {})
        self._alarms: list[_Alarm] = []
        self._linked = 0
        self._wake = 0

    def step(self, now: int) -> list[Change]:
        """Evaluates what is due in this second, given that all seconds before it were read.

        Args:
            now: seconds since the epoch; never less than at the last call.
        """
        if now < self._wake:
            return []
        if self._linked != len(self._charts.all):
            self._link()
        self._wake = now + _AT_LEAST_EVERY
        for alarm in self._alarms:
            alarm.runs = self._can_run(alarm, now)
            if alarm.runs:
                self._look_up(alarm, now)
            elif alarm.due > now:
                self._wake = min(self._wake, alarm.due)
        changes = []
        for alarm in self._alarms:
            if alarm.runs:
                status = self._status(alarm, now)
                if status > UNDEFINED:
                    self._before.pop(alarm.rule.name, None)
                if status != alarm.status and alarm.rule.name not in self._before:
                    changes.append(
                        Change(
                            rule=alarm.rule,
                            chart=alarm.chart.kind.names[0],
                            time=now,
                            old_status=alarm.status,
                            status=status,
                            value=alarm.value,
                            limit=self._limit(alarm, status, now),
                            lasted=now - alarm.changed if alarm.changed else 0,
                        )
                    )
                    alarm.status, alarm.changed = status, now
                alarm.due = now + alarm.rule.every
                self._wake = min(self._wake, alarm.due)
        return changes

    def values(self) -> dict[str, float]:
        """Each rule's value as of its last evaluation."""
        return {alarm.rule.name: alarm.value for alarm in self._alarms}

    def statuses(self) -> dict[str, int]:
        """Each rule's status."""
        return {alarm.rule.name: alarm.status for alarm in self._alarms}

    def _link(self) -> None:
        """Joins rules with charts that have appeared, in the order of the rules."""
        self._linked = len(self._charts.all)
        there = {(alarm.rule.name, alarm.chart.kind.names): alarm for alarm in self._alarms}
        self._alarms = []
        for rule in self._rules:
            chart = self._charts.find(rule.on)
            if chart is not None and (not rule.template or accepts(rule.families, chart.kind.family)):
                alarm = there.get((rule.name, chart.kind.names))
                if alarm is None:
                    status = self._before.get(rule.name, UNINITIALIZED)
                    alarm = _Alarm(rule, chart, status=status, due=self._due.get(rule.name, 0))
                self._alarms.append(alarm)

    def _can_run(self, alarm: _Alarm, now: int) -> bool:
        chart, lookup = alarm.chart, alarm.rule.lookup
        if alarm.due > now or len(chart) < 2:
            return False
        needed = now + lookup.before + lookup.after if lookup else now
        return lookup is None or chart.begun - 1 <= needed <= chart.last + 1

    def _look_up(self, alarm: _Alarm, now: int) -> None:
        if alarm.rule.lookup:
            seconds = window(alarm.rule.lookup, now)
            alarm.value = apply(alarm.rule.lookup, alarm.chart.names, alarm.chart.rows(*seconds))
        if alarm.rule.calc:
            alarm.value = self._evaluate(alarm, alarm.rule.calc, now)

    def _status(self, alarm: _Alarm, now: int) -> int:
        status = UNDEFINED
        if alarm.rule.warn:
            warn = self._evaluate(alarm, alarm.rule.warn, now)
            status = UNDEFINED if math.isnan(warn) else WARNING if warn else CLEAR
        if alarm.rule.crit:
            crit = self._evaluate(alarm, alarm.rule.crit, now)
            if not math.isnan(crit):
                status = CRITICAL if crit else CLEAR if status == UNDEFINED else status
        return status

    def _limit(self, alarm: _Alarm, status: int, now: int) -> float:
        """What decided; asked before the status changes, since limits depend on it."""
        expression = alarm.rule.crit if CRITICAL in (status, alarm.status) and alarm.rule.crit else alarm.rule.warn
        against = limit(expression.node) if expression else None
        return math.nan if against is None else evaluate(against, lambda name: self._variable(alarm, name, now))

    def _evaluate(self, alarm: _Alarm, expression: Expression, now: int) -> float:
        return evaluate(expression.node, lambda name: self._variable(alarm, name, now))

    def _variable(self, alarm: _Alarm, name: str, now: int) -> float | None:
        match name:
            case "this":
                return alarm.value
            case "status":
                return alarm.status
            case "now":
                return now
            case "after" | "before" if alarm.rule.lookup:
                return window(alarm.rule.lookup, now)[name == "before"]
            case "green":
                return alarm.rule.green
            case "red":
                return alarm.rule.red
            case "update_every":
                return 1
            case "last_collected_t":
                return alarm.chart.last
        if name in CONSTANTS:
            return CONSTANTS[name]
        return self._known(alarm, name)

    def _known(self, alarm: _Alarm, name: str) -> float | None:
        """Nearest first: of the same chart, of charts of its family, of the host."""
        if (own := self._of_chart(alarm.chart, name)) is not None:
            return own
        family = alarm.chart.kind.family
        for chart in self._charts.all:
            if chart.kind.family == family and (found := self._of_chart(chart, name)) is not None:
                return found
        if name in self._charts.variables:
            return self._charts.variables[name]
        chart_name, _, rest = name.rpartition(".")
        named = self._charts.find(chart_name)
        return self._of_chart(named, rest) if named is not None else None

    def _of_chart(self, chart: Chart, name: str) -> float | None:
        if (value := chart.latest(name)) is not None:
            return value
        return next((each.value for each in self._alarms if each.chart is chart and each.rule.name == name), None)
