"""A simulated host for tests of alerts: namespaces with counters, and a clock."""

from typing import Any

import msgspec

from tests.outputs.values import reset
from whyreset.alerts.alerting import Alerting, AlertState
from whyreset.model import Alert, Cause, Counters, Host
from whyreset.rulefiles import joined, shipped

RULES = joined(shipped())
NOW = 1_795_326_195.0
UPTIME = 400_000.0


class Machine:
    """Namespaces with counters, and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.settings = {"rules": RULES.rules, "boot": "b", **settings}
        self.alerting = Alerting(**self.settings)
        self.now = NOW
        self.totals: dict[int, dict[str, int]] = {}
        self.alerts: list[Alert] = []

    def space(self, cookie: int, **totals: int) -> None:
        """A namespace, with what it has counted already."""
        self.totals[cookie] = {"OutRsts": 0, "AttemptFails": 0, "ListenOverflows": 0, **totals}

    def second(
        self, *, sent: dict[int, int] | None = None, seen: dict[str, int] | None = None, seconds: float = 1
    ) -> None:
        """One reading: resets counted by namespace, and seen in the first by cause."""
        self.now += seconds
        for cookie, count in (sent or {}).items():
            self.totals[cookie]["OutRsts"] += count
        self.alerting.see(self.made(cause, count) for cause, count in (seen or {}).items() if count)
        counters = [
            Counters(netns=100 + cookie, netns_cookie=cookie, values=dict(values))
            for cookie, values in self.totals.items()
        ]
        host = Host(netns=101, uptime=UPTIME + self.now - NOW)
        self.alerts += self.alerting.read(self.now, counters, host)

    def made(self, cause: str, count: int, cookie: int = 1, **fields: Any) -> Any:
        """Resets of one cause."""
        return reset(
            cause=Cause(name=cause, family="x", certainty="certain"),
            count=count,
            last_ns=round(self.now * 1e9),
            sample={"netns_cookie": cookie, "netns": 100 + cookie},
            **fields,
        )

    def restart(self, boot: str = "b") -> None:
        """The state is written and read, by a new program."""
        state = msgspec.json.decode(msgspec.json.encode(self.alerting.state()), type=AlertState)
        self.alerting = Alerting(**{**self.settings, "state": state, "boot": boot})
        self.alerts.clear()

    def told(self, rule: str = "resets_sent_surge") -> list[tuple[int, str, int]]:
        """What was told of a rule: seconds since the beginning, status, namespace."""
        return [
            (round(each.time_ns / 1e9 - NOW), each.new_status, each.netns_cookie)
            for each in self.alerts
            if each.rule == rule and each.told
        ]


def quiet(seconds: int = 60, **settings: Any) -> Machine:
    """A machine of two namespaces where little has happened."""
    machine = Machine(**settings)
    machine.space(1, OutRsts=500)
    machine.space(2)
    for _ in range(seconds):
        machine.second()
    assert not machine.alerts
    return machine
