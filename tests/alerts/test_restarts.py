"""What alerts remember across restarts, kills and boots, and what is said by who sees one namespace alone."""

from random import Random

from benchmarks.alerts.noise import poisson
from tests.alerts.machine import UPTIME, Machine, quiet
from whyreset.alerts.rules import read_rules

RANDOM = Random(4)


def test_a_restart_keeps_what_is_usual_and_what_is_on() -> None:
    """Nothing is told again, and the end is told."""
    machine = Machine()
    machine.space(1, OutRsts=round(100 * UPTIME))
    for _ in range(900):
        machine.second(sent={1: poisson(RANDOM, 100)})
    assert not machine.alerts
    for _ in range(20):
        machine.second(sent={1: 900})
    assert [each[1] for each in machine.told()] == ["warning"]
    machine.restart()
    for _ in range(20):
        machine.second(sent={1: 900})
    assert not machine.told()
    for _ in range(60):
        machine.second(sent={1: poisson(RANDOM, 100)})
    assert [each[1] for each in machine.told()] == ["clear"]


def test_what_ended_while_nobody_watched_is_told_to_be_over() -> None:
    """After a restart, within a minute."""
    machine = quiet()
    for _ in range(5):
        machine.second(sent={2: 200})
    machine.restart()
    for _ in range(60):
        machine.second()
    assert [each[1:] for each in machine.told()] == [("clear", 2)]


def test_who_waits_to_be_told_is_told_after_a_restart() -> None:
    """Not at the first reading, which belongs to the beginning, but at the second."""
    rule = "alarm: a\non: ip.tcphandshake\nevery: 1s\nwarn: $OutRsts > 5\ndelay: up 20s"
    machine = quiet(rules=read_rules(rule, "x.conf").rules)
    for _ in range(5):
        machine.second(sent={1: 20})
    assert machine.told("a") == []
    machine.restart()
    machine.now += 30
    machine.second(sent={1: 20})
    assert machine.alerts == []
    machine.second(sent={1: 20})
    assert [each[1] for each in machine.told("a")] == ["warning"]


def test_a_rule_knows_its_status_after_a_restart() -> None:
    """What it holds its value against depends on that: a warning that goes on is neither over nor told again."""
    rule = (
        "alarm: base\non: ip.tcphandshake\nevery: 1s\nlookup: average -30s of OutRsts\n"
        "alarm: a\non: ip.tcphandshake\nevery: 1s\nlookup: average -10s unaligned of OutRsts\n"
        # nan, and so undefined, while its sister has too little to look at
        "warn: ($this > (($status >= $WARNING) ? (5) : (50))) + (0 * $base)\n"
    )
    machine = quiet(rules=read_rules(rule, "x.conf").rules)
    for _ in range(40):
        machine.second(sent={1: 60})
    assert [each[1] for each in machine.told("a")] == ["warning"]
    (before,) = (each for each in machine.alerting.firing() if each.rule == "a")
    for _ in range(40):
        machine.second(sent={1: 20})
    machine.restart()
    for _ in range(80):
        machine.second(sent={1: 20})
    (after,) = (each for each in machine.alerting.firing() if each.rule == "a")
    assert (after.id, after.since_ns) == (before.id, before.since_ns)
    assert [each for each in machine.alerts if each.rule == "a"] == []
    for _ in range(40):
        machine.second()
    assert [each[1] for each in machine.told("a")] == ["clear"]


def test_after_a_boot_only_the_hosts_own_namespace_is_the_one_that_it_was() -> None:
    """Others get numbers that had been somebody else's."""
    machine = quiet()
    for _ in range(400):
        machine.second(sent={1: 50, 2: 50})
    state = machine.alerting.state()
    assert {each.cookie for each in state.spaces} == {1, 2}
    machine.restart(boot="another")
    assert {each.cookie for each in machine.alerting.state().spaces} == {1}


def test_alerts_of_namespaces_that_went_meanwhile_are_over() -> None:
    """A container that ended while nobody watched, or with the boot: who was told of its alert is told its end."""
    for boot in ("b", "another"):
        machine = quiet()
        for _ in range(5):
            machine.second(sent={2: 200})
        assert [each[1:] for each in machine.told()] == [("warning", 2)]
        if boot == "b":
            del machine.totals[2]
        machine.restart(boot=boot)
        for _ in range(5):
            machine.second()
        assert [each[1:] for each in machine.told()] == [("clear", 2)]
        assert [each.gone for each in machine.alerts] == [True]
        assert machine.alerting.state().lives.lives == []
        assert {each.cookie for each in machine.alerting.state().spaces} <= {1}


def test_what_is_saved_can_be_loaded_whatever_happened() -> None:
    """Also with the longest delays that a rule may have."""
    found = read_rules(
        "alarm: a\non: ip.tcphandshake\nevery: 1s\nwarn: $OutRsts > 5\ndelay: up 10Y down 10Y multiplier 1000 max 10Y",
        "x.conf",
    )
    assert not found.problems
    machine = quiet(rules=found.rules)
    for _ in range(5):
        machine.second(sent={1: 900})
        machine.second()
    machine.restart()


def counters_only(**totals: int) -> Machine:
    """What somebody without rights sees: one namespace, counts, and no reset."""
    machine = Machine(counters_only=True)
    machine.space(1, **totals)
    for _ in range(60):
        machine.second()
    return machine


def test_a_surge_is_found_by_counters_alone() -> None:
    """Without a reset seen; attempts of this host that fail are told as what they are."""
    machine = counters_only(OutRsts=500, AttemptFails=200)
    for _ in range(5):
        machine.totals[1]["AttemptFails"] += 80
        machine.second(sent={1: 80})
    assert machine.told() == [(61, "warning", 1)]
    assert machine.told("resets_received_surge") == [(61, "warning", 1)]
    assert {each.summary for each in machine.alerts} == {
        "surge of TCP resets sent",
        "surge of failed attempts to connect",
    }


def test_a_host_whose_attempts_always_fail_is_no_surge() -> None:
    """Each counter has its own past."""
    machine = Machine(counters_only=True)
    machine.space(1, AttemptFails=round(80 * UPTIME))
    for _ in range(100):
        machine.totals[1]["AttemptFails"] += poisson(RANDOM, 80)
        machine.second()
    assert not machine.alerts
    machine.second(sent={1: 80})
    assert machine.told() == [(101, "warning", 1)]


def test_who_sees_one_namespace_says_nothing_of_the_others() -> None:
    """What was known of them is kept for who sees them again."""
    machine = quiet()
    for _ in range(5):
        machine.second(sent={2: 200})
    machine.settings["counters_only"] = True
    del machine.totals[2]
    machine.restart()
    for _ in range(60):
        machine.second()
    assert not machine.alerts
    state = machine.alerting.state()
    assert [life.signal.netns_cookie for life in state.lives.lives] == [2]
    assert 2 in {each.cookie for each in state.spaces}
