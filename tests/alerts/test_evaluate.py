import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.alerts.netdata import STOCK
from whyreset.alerts.charts import Charts
from whyreset.alerts.evaluate import Change, Evaluator
from whyreset.alerts.rule import Rule
from whyreset.alerts.rules import read_rules
from whyreset.alerts.status import NAMES as STATUS_NAMES

RECORDED = Path(__file__).with_name("recorded")
SHIPPED = Path(__file__).resolve().parents[2] / "src/whyreset/alerts/stock"
SERIES = sorted(RECORDED.glob("*.csv"))
#: What is told of: not what Netdata's log holds of a rule before its first evaluation.
STATUSES = {"undefined", "clear", "warning", "critical"}


def rules_of(text: str) -> list[Rule]:
    """The rules of a text in which nothing is wrong."""
    found = read_rules(text, "x.conf")
    assert not found.problems
    return list(found.rules)


def shipped() -> list[Rule]:
    """Our own rules."""
    return [rule for path in sorted(SHIPPED.glob("*.conf")) for rule in rules_of(path.read_text())]


def play(rules: list[Rule], path: Path) -> Iterator[Change]:
    """A recorded series, second by second, at the phase of the Netdata that recorded it."""
    answers = json.loads(path.with_suffix(".json").read_text())
    at, uptime = answers["uptime"]
    charts = Charts()
    evaluator = Evaluator(rules, charts, answers["due"])
    with path.open() as file:
        for row in csv.DictReader(file):
            second = int(row.pop("second"))
            values = {name: float(value) for name, value in row.items()}
            charts.add(second, {**values, "agent_uptime": uptime + second - at})
            yield from evaluator.step(second + 1)


def answered(path: Path) -> list[tuple[int, str, str, str, float | None]]:
    """Netdata's answers: when, which rule, old and new status, and the value."""
    last = int(path.read_text().splitlines()[-1].partition(",")[0])
    return [
        (each["when"], each["name"], each["old_status"].lower(), each["status"].lower(), each["value"])
        for each in json.loads(path.with_suffix(".json").read_text())["changes"]
        if each["status"].lower() in STATUSES and each["when"] <= last + 1
    ]


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
@pytest.mark.parametrize("whose", ["stock", "shipped"])
def test_every_change_of_a_status_is_netdatas(path: Path, whose: str) -> None:
    """On what Netdata stored, Debian's rules and ours change their status when Netdata did, with its values."""
    if whose == "shipped":
        rules = shipped()
    elif (STOCK / "tcp_resets.conf").exists():
        rules = rules_of((STOCK / "tcp_resets.conf").read_text())
    else:
        pytest.skip("the package netdata-core is not installed")
    changes = list(play(rules, path))
    expected = answered(path)
    assert [(c.time, c.rule.name, STATUS_NAMES[c.old_status], STATUS_NAMES[c.status]) for c in changes] == [
        each[:4] for each in expected
    ]
    for change, (*_, value) in zip(changes, expected, strict=True):
        assert change.value == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_the_recorded_series_hold_what_netdata_misses() -> None:
    """They are worth comparing: some surges are found there, and some are not."""
    warned = {path.stem for path in SERIES if any(each[3] == "warning" for each in answered(path))}
    assert {"surge-of-200_s", "surge-of-2000_s", "surge-over-IPv6"} <= warned
    assert not {"ramp-of-_1_s-to-240_s", "_1100_s-on-100_s", "surge-in-the-first-minute"} & warned


class Bench:
    """Charts fed by hand, and rules over them."""

    def __init__(self, text: str) -> None:
        self.charts = Charts()
        self.evaluator = Evaluator(rules_of(text), self.charts)
        self.second = 1000

    def feed(self, *counts: float, name: str = "OutRsts") -> list[Change]:
        """A count for each second, and all changes that came of them."""
        changes = []
        for count in counts:
            self.second += 1
            self.charts.add(self.second, {name: count})
            changes += self.evaluator.step(self.second + 1)
        return changes

    def statuses(self, count: float, seconds: int = 12) -> list[str]:
        """The statuses that some seconds with this count led to."""
        return [STATUS_NAMES[change.status] for change in self.feed(*[count] * seconds)]


AVERAGE = "alarm: a\non: ip.tcphandshake\nlookup: average -2s unaligned of OutRsts\nevery: 2s\n"


def test_warning_critical_and_back() -> None:
    """The graver of both expressions decides; each may look at the status that was."""
    bench = Bench(AVERAGE + "warn: $this > 5\ncrit: $this > (($status == $CRITICAL) ? (8) : (20))")
    assert bench.statuses(0) == ["clear"]
    assert bench.statuses(10) == ["warning"]
    assert bench.statuses(30) == ["critical"]
    assert bench.statuses(9) == []
    assert bench.statuses(7) == ["warning"]
    assert bench.statuses(0) == ["clear"]


def test_a_rule_without_limits_has_a_value_and_no_status() -> None:
    """It is there for others to look at, and its status stays undefined."""
    bench = Bench(AVERAGE)
    assert bench.statuses(3, 30) == ["undefined"]
    assert bench.evaluator.values() == {"a": 3}


def test_an_expression_that_fails_leaves_the_status_undefined() -> None:
    """Neither clear nor warning can be told."""
    bench = Bench(AVERAGE + "warn: 1 / ($this - 3)")
    assert bench.statuses(5) == ["warning"]
    assert bench.statuses(3) == ["undefined"]


def test_an_expression_looks_at_other_rules_and_charts() -> None:
    """Nearest first: its own chart, its family, then what is named in full."""
    bench = Bench(
        AVERAGE
        + "alarm: b\non: ip.tcphandshake\nevery: 1s\ncalc: $a * 100 + $OutRsts * 10 + $limit\n"
        + "alarm: c\non: ipv4.tcphandshake\nevery: 1s\ncalc: ${ip.tcp_accept_queue.overflows} + $drops\n"
        + "alarm: d\non: ip.tcp_accept_queue\nevery: 1s\ncalc: $OutRsts + $nobody\n"
        + "alarm: e\non: ip.tcphandshake\nevery: 1s\ncalc: $now - $last_collected_t + $update_every\n"
        + "alarm: f\non: ip.tcphandshake\nevery: 1s\nlookup: sum -2s unaligned of OutRsts\ncalc: $before - $after + 1\n"
    )
    bench.charts.variables["limit"] = 0.5
    for _ in range(30):
        bench.feed(2)
        bench.charts.add(bench.second, {"ListenOverflows": 7, "ListenDrops": 1})
    values = bench.evaluator.values()
    assert (values["b"], values["c"], values["e"], values["f"]) == (220.5, 8, 2, 2)
    assert math.isnan(values["d"])


def test_old_and_new_names_are_one_chart() -> None:
    """Rules for ipv4.tcphandshake and for ip.tcphandshake look at the same."""
    text = AVERAGE + "warn: $this > 5\n"
    bench = Bench(text + text.replace("alarm: a", "alarm: b").replace("ip.", "ipv4."))
    assert bench.statuses(0) + bench.statuses(9) == ["clear", "clear", "warning", "warning"]


def test_templates_choose_by_family() -> None:
    """A template is for the charts of its context, in the families that it names."""
    template = "template: t\non: ip.tcphandshake\nevery: 1s\ncalc: 1\nfamilies: {}\n"
    for families, there in (("*", True), ("tcp", True), ("!tcp *", False), ("disk*", False)):
        bench = Bench(template.format(families))
        bench.feed(1, 1, 1, 1)
        assert ("t" in bench.evaluator.values()) is there


def test_a_look_up_waits_until_there_is_enough_history() -> None:
    """Its rule has no status before."""
    bench = Bench("alarm: a\non: ip.tcphandshake\nlookup: average -1m at -10s unaligned\nevery: 5s\nwarn: $this > 5")
    assert bench.statuses(9, 66) == []
    assert bench.statuses(9, 10) == ["warning"]


def test_rules_wake_one_another() -> None:
    """What could not run is tried again when another rule is due: so rules of one age share a phase, as in Netdata."""
    bench = Bench(
        "alarm: a\non: ip.tcphandshake\nlookup: average -10s unaligned\nevery: 10s\nwarn: $this > 5\n"
        "alarm: b\non: ip.tcphandshake\nlookup: average -1m unaligned\nevery: 10s\nwarn: $this > 5\n"
    )
    first, second = bench.feed(*[9] * 100)
    assert (second.time - first.time) % 10 == 0


def test_a_change_knows_how_long_it_was() -> None:
    """And which chart it is about."""
    bench = Bench(AVERAGE + "warn: $this > 5")
    bench.feed(*[0] * 12)
    warned, cleared = bench.feed(*[9] * 12, *[0] * 12)
    assert (warned.chart, cleared.lasted) == ("ipv4.tcphandshake", cleared.time - warned.time)
