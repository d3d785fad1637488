"""The rules that people use today, as alarms over a day of counts: intervals (raised, cleared), in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from itertools import accumulate

from whyreset.alerts.charts import Charts
from whyreset.alerts.evaluate import Evaluator
from whyreset.alerts.rules import read_rules
from whyreset.alerts.status import WARNING

#: When an alarm was raised and when it was cleared; the end of the day where it was not.
Interval = tuple[float, float]

_RULE = "10s_ipv4_tcp_resets_sent"


def netdata(counts: Sequence[int]) -> list[Interval]:
    """Netdata's stock rule on OutRsts, evaluated every ten seconds."""
    text = resources.files("whyreset.alerts").joinpath("stock/resets.conf").read_text()
    rules = [rule for rule in read_rules(text, "resets.conf").rules if rule.name.endswith("sent")]
    charts = Charts()
    evaluator = Evaluator(rules, charts)
    found: list[Interval] = []
    raised: int | None = None
    for second, count in enumerate(counts, 1):
        charts.add(second, {"OutRsts": count, "agent_uptime": second})
        for change in evaluator.step(second + 1):
            if change.rule.name != _RULE:
                continue
            if change.status == WARNING:
                raised = second
            elif raised is not None:
                found.append((raised, second))
                raised = None
    return found + ([(raised, len(counts))] if raised is not None else [])


def prometheus(counts: Sequence[int], *, every: int = 15, window: int = 60, limit: float = 50.0) -> list[Interval]:
    """`rate(node_netstat_Tcp_OutRsts[1m]) > 50`, scraped and evaluated every 15 s, without a «for»."""
    totals = [0, *accumulate(counts)]
    found: list[Interval] = []
    raised: int | None = None
    for second in range(window, len(totals), every):
        # a window holds one scrape less than it is long, and the rate is that between its first and last
        span = window - every
        firing = (totals[second] - totals[second - span]) / span > limit
        if firing and raised is None:
            raised = second
        elif not firing and raised is not None:
            found.append((raised, second))
            raised = None
    return found + ([(raised, len(counts))] if raised is not None else [])
