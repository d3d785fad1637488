"""Side by side: Debian's Netdata and whyreset hold the same stock rules against the same resets.

Each scenario has a network namespace and a Netdata of its own; whyreset reads the counters of all of them through its
own source. Netdata's phase (which second each rule is evaluated in) is read from its API, since a rule that looks every
ten seconds says different things at different phases.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.alerts.netdata import STOCK, STOCK_FILES, Netdata
from benchmarks.alerts.traffic import follow, steps
from tests.hosts.hosts import Host
from whyreset.alerts.charts import Charts
from whyreset.alerts.evaluate import Evaluator
from whyreset.alerts.rule import Rule
from whyreset.alerts.rules import read_rules
from whyreset.alerts.status import NAMES as STATUS_NAMES
from whyreset.sources.counters import CounterSource
from whyreset.sources.program import Program

CHART = "ipv4.tcphandshake"
#: Identifiers and names of its dimensions.
DIMENSIONS = (
    ("EstabResets", "EstabResets"),
    ("OutRsts", "OutRsts"),
    ("AttemptFails", "AttemptFails"),
    ("TCPSynRetrans", "SynRetrans"),
)
#: Before this, rules with a look-up of the last minute have nothing to look at.
WARM = 85.0
#: A change: when, which rule, and the two statuses.
Change = tuple[int, str, str, str]


@dataclass
class Scenario:
    """Resets in a namespace of its own."""

    name: str
    #: Resets a second by the second of the scenario.
    rate: Callable[[float], float]
    seconds: float
    address: str = "127.0.0.1"


SCENARIOS = (
    *(
        Scenario(f"surge of {size}/s", steps((WARM, size), (WARM + 40, 0)), WARM + 90)
        for size in (50, 60, 80, 200, 2000)
    ),
    Scenario(
        "spikes of 3 s at 400/s",
        steps((WARM, 400), (WARM + 3, 0), (WARM + 40, 400), (WARM + 43, 0)),
        WARM + 100,
    ),
    Scenario(
        "ramp of +1/s to 240/s",
        lambda second: min(max(second - WARM, 0), 240) if second < WARM + 260 else 0,
        WARM + 300,
    ),
    # it falls a little: at an exactly constant rate Netdata compares two means that differ by jitter alone
    Scenario(
        "about 200/s for minutes",
        lambda second: 205 - 0.1 * (second - WARM) if WARM <= second < WARM + 150 else 0,
        WARM + 180,
    ),
    Scenario("+1100/s on 100/s", steps((5, 100), (WARM + 20, 1200), (WARM + 50, 100)), WARM + 100),
    Scenario("surge in the first minute", steps((25, 300), (55, 0)), WARM + 40),
    Scenario("surge over IPv6", steps((WARM, 200), (WARM + 40, 0)), WARM + 90, "::1"),
)


@dataclass
class Run:
    """What came of a scenario."""

    scenario: Scenario
    #: Netdata's chart by second, and what its own uptime was in one second.
    rows: dict[int, list[float]] = field(default_factory=dict)
    uptime: tuple[int, float] = (0, 0)
    #: The seconds in which each rule was evaluated.
    seconds: dict[str, set[int]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    #: What whyreset read: (seconds since the epoch, totals).
    readings: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    @property
    def due(self) -> dict[str, int]:
        """When Netdata evaluated each rule first."""
        return {name: min(found) for name, found in self.seconds.items()}

    @property
    def drifted(self) -> bool:
        """A busy machine delayed Netdata, so that its phase moved."""
        return any(len({second % 10 for second in found}) > 1 for found in self.seconds.values())


def stock_rules() -> list[Rule]:
    """Debian's rules, read from the installed package."""
    return [rule for name in STOCK_FILES for rule in read_rules((STOCK / name).read_text(), name).rules]


def run(scenarios: Iterable[Scenario]) -> list[Run]:
    """Plays scenarios, all at once; it takes as long as the longest."""
    runs = [Run(each) for each in scenarios]
    hosts = [Host(each.scenario.name) for each in runs]
    stop = threading.Event()
    reader = threading.Thread(target=_read, args=({h.cookie: r for h, r in zip(hosts, runs, strict=True)}, stop))
    players = [threading.Thread(target=_play, args=(h, r)) for h, r in zip(hosts, runs, strict=True)]
    try:
        for thread in (reader, *players):
            thread.start()
        for thread in players:
            thread.join()
    finally:
        stop.set()
        reader.join()
        for host in hosts:
            host.close()
    return runs


def _play(host: Host, into: Run) -> None:
    with Netdata(host) as netdata:
        over = threading.Event()

        def poll() -> None:
            while not over.wait(3):
                for name, alarm in netdata.alarms().items():
                    if alarm["last_updated"]:
                        into.seconds.setdefault(name, set()).add(alarm["last_updated"])

        poller = threading.Thread(target=poll)
        poller.start()
        try:
            follow(host, into.scenario.rate, into.scenario.seconds, into.scenario.address)
        finally:
            over.set()
            poller.join()
        names = [name for _, name in DIMENSIONS]
        into.rows = netdata.history(CHART, round(into.scenario.seconds) + 20, names)
        second, (uptime,) = next(iter(netdata.history("netdata.uptime", 5, ["uptime"]).items()))
        into.uptime = (second, uptime)
        into.changes = netdata.changes()


def _read(runs: dict[int, Run], stop: threading.Event) -> None:
    """whyreset's own source, once a second, somewhere within the second."""
    program = Program()
    program.load()
    source = CounterSource(program)
    try:
        source.start()
        while not stop.wait(1.0):
            now = time.time()
            for counters in source.read(time.monotonic_ns()):
                if counters.netns_cookie in runs:
                    runs[counters.netns_cookie].readings.append((now, counters.values))
    finally:
        source.close()
        program.close()


#: What a rule may come to once it runs; Netdata logs more.
_STATUSES = frozenset(STATUS_NAMES.values()) - {"removed", "uninitialized"}


def netdata_changes(done: Run) -> list[Change]:
    """Netdata's changes of status of the rules on resets."""
    told = [(int(c["when"]), c["name"], c["old_status"], c["status"]) for c in done.changes if c["chart"] == CHART]
    return [(when, name, old.lower(), new.lower()) for when, name, old, new in told if new.lower() in _STATUSES]


def whyreset_changes(done: Run) -> list[Change]:
    """whyreset's, from its own readings, at Netdata's phase."""
    charts = Charts()
    evaluator = Evaluator((rule for rule in stock_rules() if rule.on == CHART), charts, done.due)
    second, uptime = done.uptime
    changes: list[Change] = []
    following = int(done.readings[0][0])
    for moment, totals in done.readings:
        charts.read(moment, {**totals, "agent_uptime": uptime + moment - second})
        for now in range(following, int(moment) + 1):
            found = evaluator.step(now)
            changes += [(c.time, c.rule.name, STATUS_NAMES[c.old_status], STATUS_NAMES[c.status]) for c in found]
        following = int(moment) + 1
    return changes


def on_their_seconds(done: Run) -> tuple[list[Change], list[Change]]:
    """Netdata's changes, and whyreset's on the very seconds that Netdata stored.

    Both read the same counters, each at its own moment within the second; of a surge whose mean is just the limit, as
    50/s is, that decides.
    """
    charts = Charts()
    evaluator = Evaluator((rule for rule in stock_rules() if rule.on == CHART), charts, done.due)
    second, uptime = done.uptime
    ours: list[Change] = []
    for now, row in sorted(done.rows.items()):
        values = dict(zip((identifier for identifier, _ in DIMENSIONS), row, strict=True))
        charts.add(now, {**values, "agent_uptime": uptime + now - second})
        found = evaluator.step(now + 1)
        ours += [(c.time, c.rule.name, STATUS_NAMES[c.old_status], STATUS_NAMES[c.status]) for c in found]
    last = max(done.rows) + 1
    return [change for change in netdata_changes(done) if change[0] <= last], ours


#: Changes from these are of interest; before them comes a rule's first evaluation.
_TOLD = ("clear", "warning", "critical")


def measure(scenarios: Iterable[Scenario] = SCENARIOS) -> Iterator[str]:
    """Both sequences of changes for each scenario, seconds since its first evaluation."""
    agreed = nearly = 0
    runs = run(scenarios)
    for done in runs:
        start = min(done.rows)
        theirs, ours = netdata_changes(done), whyreset_changes(done)
        same = theirs == ours
        agreed += same
        verdict = "equal" if same else "DIFFERENT"
        if not same:
            again, mine = on_their_seconds(done)
            if again == mine:
                nearly += 1
                verdict = "equal on the same seconds; here each had its own"
        yield f"{done.scenario.name}: {verdict}{', the phase moved' if done.drifted else ''}"
        for who, changes in (("netdata ", theirs), ("whyreset", ours)):
            told = [f"{second - start} s {name} {new}" for second, name, old, new in changes if old in _TOLD]
            yield f"  {who}: {', '.join(told) or 'nothing'}"
    yield f"{agreed} of {len(runs)} sequences are equal" + (f", {nearly} more on the same seconds" if nearly else "")
