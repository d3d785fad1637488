"""What an author is told of a rule that can be read and never comes about."""

import pytest

from whyreset.alerts.charts import HOST_VARIABLES
from whyreset.alerts.doubts import doubts
from whyreset.alerts.rules import read_rules
from whyreset.rulefiles import shipped
from whyreset.sources.limits import LimitSource


def said(text: str) -> list[str]:
    """Of the last rule of a text, on the host «web1»."""
    found = read_rules(text, "x.conf")
    assert not found.problems
    return list(doubts(found.rules[-1], found.rules, "web1"))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("on: disk.space\ncalc: 1", "never evaluated: there is no chart disk.space here"),
        ("on: ip.tcpsock\nhosts: db*\ncalc: 1", "never evaluated: it is not for this host, web1"),
        ("on: ip.tcpsock\nlookup: sum -3h", "never evaluated: it looks further back than 7200 s"),
        ("on: ip.tcpsock\nlookup: sum -1h at -61m", "never evaluated: it looks further back than 7200 s"),
        (
            "on: ip.tcp_accept_queue\nlookup: sum -1m of Overflows, Drops",
            "never has a value: none of Overflows, Drops is in ip.tcp_accept_queue,"
            " there are ListenOverflows, overflows, ListenDrops, drops",
        ),
        (
            "on: ip.tcpsock\ncrit: $this > 5 ? 1 : 0",
            "newer Netdata reads crit as ((${this} > 5) ? 1 : 0): parentheses make it clear",
        ),
        (
            "on: ip.tcpsock\nwarn: 1 AND $this > 5 * 2",
            "newer Netdata reads warn as (1 && (${this} > (5 * 2))): parentheses make it clear",
        ),
        ("on: ip.tcpsock\nwarn: $nosuch + $after > $this", "nobody knows $after, $nosuch: its value is nan"),
        ("on: ip.tcpsock\nwarn: ${ip.tcpopens.alloc} > 1", "nobody knows $ip.tcpopens.alloc: its value is nan"),
    ],
)
def test_what_never_comes_about(lines: str, expected: str) -> None:
    """Each with what to do about it."""
    assert said(f"alarm: a\nevery: 1s\n{lines}") == [expected]


def test_names_that_are_known() -> None:
    """Of the rule, its chart, charts of its family, any chart in full, other rules, and the host."""
    names = (
        "this status now green red update_every last_collected_t WARNING CRITICAL connections active alloc first"
        " netdata.uptime.uptime ip.tcpopens.passive ipv4.tcpopens.PassiveOpens ip.tcpopens.first tcp_mem_high"
    )
    warn = " + ".join(f"${{{name}}}" for name in names.split())
    first = "alarm: first\non: ip.tcpopens\nevery: 1s\ncalc: 1\n"
    assert said(f"{first}alarm: a\non: ip.tcpsock\nevery: 1s\nwarn: {warn}") == []


def test_nothing_is_doubted_of_rules_that_ship() -> None:
    """They look at what there is."""
    rules = [rule for each in shipped() for rule in each.rules]
    assert [list(doubts(rule, rules, "web1")) for rule in rules] == [[]] * len(rules)


def test_what_the_host_tells_are_the_names_that_are_known() -> None:
    """Neither more nor fewer."""
    assert sorted(LimitSource().read(0.0).limits) == sorted(HOST_VARIABLES)
