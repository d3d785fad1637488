"""The alerts of a whole host: namespaces, causes, what is expected, restarts; told in readings, one a second."""

from random import Random

import pytest
from msgspec.structs import replace

from benchmarks.alerts.noise import poisson
from tests.alerts.machine import UPTIME, Machine, quiet
from tests.outputs.values import owner
from whyreset.alerts import alerting as module
from whyreset.alerts.rules import read_rules
from whyreset.model import Cause, Counters, Facts, Host

RANDOM = Random(4)
HAPROXY = read_rules("expect: haproxy\ncause: linger-zero\nowner: haproxy\nport: 443", "x").expected


@pytest.mark.parametrize("cookie", [1, 2])
def test_a_surge_in_any_namespace(cookie: int) -> None:
    """The host's own is one among others; each alert says which it is."""
    machine = quiet()
    for _ in range(5):
        machine.second(sent={cookie: 60})
    assert machine.told() == [(61, "warning", cookie)]
    assert machine.alerts[0].netns == 100 + cookie


def test_a_surge_in_a_namespace_that_is_new() -> None:
    """A container that begins with it: its counter began at nothing."""
    machine = quiet()
    machine.space(3)
    machine.second(sent={3: 200})
    assert machine.told() == [(61, "warning", 3)]


def test_a_surge_that_is_on_when_watching_begins() -> None:
    """The counter's mean since boot says that it is none of the usual."""
    machine = Machine()
    machine.space(1, OutRsts=500)
    machine.second()
    machine.second(sent={1: 200})
    assert machine.told() == [(2, "warning", 1)]


def test_a_surge_on_top_of_a_surge_makes_it_graver() -> None:
    """What is on does not hide what comes."""
    machine = quiet()
    for rate in [100] * 30 + [1000] * 30 + [100] * 60:
        machine.second(sent={1: rate})
    assert [each[1] for each in machine.told()] == ["warning", "critical", "warning"]
    assert 90 <= machine.told()[1][0] <= 92
    assert machine.alerting.firing()


def test_a_busy_host_is_no_surge_when_watching_begins() -> None:
    """It has been busy since boot."""
    machine = Machine()
    machine.space(1, OutRsts=round(100 * UPTIME))
    machine.space(2, OutRsts=1_000_000)  # since when is not known
    for _ in range(120):
        machine.second(sent={1: poisson(RANDOM, 100), 2: poisson(RANDOM, 100)})
    assert not machine.told()


def test_a_surge_of_one_cause_among_many_resets() -> None:
    """Fifty refused connections among hundreds that a proxy closes: the sum hides them, their cause does not."""
    machine = Machine()
    machine.space(1, OutRsts=round(500 * UPTIME))
    machine.second()
    for second in range(400):
        usual, more = poisson(RANDOM, 500), 60 if second >= 390 else 0
        machine.second(sent={1: usual + more}, seen={"linger-zero": usual, "closed-port": more})
    ((second, status, _),) = machine.told()
    assert (second, status) in {(392, "warning"), (393, "warning")}
    assert machine.alerts[-1].streams == ("closed-port",)


def test_an_alert_carries_whose_the_resets_are() -> None:
    """By cause, owner and remote."""
    machine = quiet()
    machine.second(sent={1: 100}, seen={"closed-port": 90, "half-open": 10})
    shares = machine.alerts[0].shares
    assert shares is not None
    assert (shares.resets, shares.causes) == (100, (("closed-port", 90), ("half-open", 10)))
    assert shares.remotes[0][0] == "192.0.2.1"


def test_expected_resets_do_not_alarm() -> None:
    """«HAProxy's linger-zero on 443 is intended», also when it begins, ends, and is read a little late."""
    machine = quiet(expected=HAPROXY)
    late = 0
    for second in range(200):
        count = poisson(RANDOM, 400) if 20 <= second < 180 else 0
        seen, late = late + count * 2 // 3, count - count * 2 // 3
        machine.alerting.see([machine.made("linger-zero", seen, port=443, owner=owner(comm="haproxy"))] if seen else [])
        machine.second(sent={1: count})
    assert not machine.told()
    # Netdata's rule looks at the kernel's counter, but nobody is told
    netdatas = [each for each in machine.alerts if each.rule == "10s_ipv4_tcp_resets_sent"]
    assert netdatas
    assert not any(each.told for each in netdatas)
    assert any(each.muted_by == "expected" for each in machine.alerting.firing()) or netdatas[-1].new_status == "clear"


def test_other_resets_alarm_among_expected_ones() -> None:
    """What is meant to be hides nothing."""
    machine = quiet(expected=HAPROXY)
    for second in range(100):
        more = 80 if second >= 90 else 0
        expected = machine.made("linger-zero", 400, port=443, owner=owner(comm="haproxy"))
        machine.alerting.see([expected])
        machine.second(sent={1: 400 + more}, seen={"closed-port": more})
    ((second, status, _),) = machine.told()
    assert (second, status) in {(151, "warning"), (152, "warning")}


def test_resets_received_from_this_host_are_told_where_they_were_sent() -> None:
    """One surge is one alert."""
    machine = quiet()
    twin = Cause(name="closed-port", family="closed-port", certainty="certain")
    for own in (True, False):
        facts = Facts(direction="received", twin_cause=twin if own else None)
        for _ in range(3):
            received = replace(machine.made("closed-port", 100), facts=facts)
            machine.alerting.see([received])
            machine.second()
        assert bool(machine.told("resets_received_surge")) is not own


def test_netdatas_rules_look_at_every_namespace() -> None:
    """Also at the queues of listeners there."""
    machine = quiet(100)
    for _ in range(70):
        machine.totals[2]["ListenOverflows"] += 10
        machine.second()
    assert machine.told("1m_tcp_accept_queue_overflows")[0][1:] == ("warning", 2)
    assert machine.told("1m_tcp_accept_queue_overflows")[-1][1:] == ("critical", 2)


def test_gauges_of_the_host_are_held_against_their_limits() -> None:
    """Orphans and memory belong to no namespace but are told in our own."""
    machine = Machine()
    machine.space(1, OutRsts=1)
    machine.space(2)
    for second in range(60):
        machine.totals[1]["OutRsts"] += 1
        machine.totals[2]["OutRsts"] += 1
        machine.now += 1
        counters = [Counters(netns=100 + c, netns_cookie=c, values=dict(v)) for c, v in machine.totals.items()]
        gauges = {"orphan": 30.0 if second > 20 else 0.0, "mem": 1.0}
        host = Host(netns=101, uptime=UPTIME, gauges=gauges, limits={"tcp_max_orphans": 100.0})
        machine.alerts += machine.alerting.read(machine.now, counters, host)
    assert [each[1:] for each in machine.told("tcp_orphans")] == [("warning", 1)]


def test_a_namespace_that_rests_costs_nothing_and_loses_nothing() -> None:
    """An hour later its surge is found as fast, and its history was calm."""
    machine = quiet(3600)
    machine.second(sent={2: 3})
    machine.second(sent={2: 200})
    assert machine.told() == [(3602, "warning", 2)]
    for _ in range(20):
        machine.second(sent={2: 200})
    assert machine.alerting.firing()


def test_a_reading_that_comes_late_is_spread_over_its_seconds() -> None:
    """A busy machine makes no surge of what came within ten seconds."""
    machine = quiet()
    machine.second(sent={1: 100}, seconds=10)
    machine.second(sent={1: 10})
    assert not machine.told()
    machine.second(sent={1: 1000}, seconds=10)
    assert [each[1] for each in machine.told()] == ["warning"]


def test_a_namespace_that_goes_ends_its_alerts() -> None:
    """And what it did at last is told."""
    machine = quiet()
    machine.second(sent={2: 200})
    del machine.totals[2]
    machine.second()
    assert [each[1] for each in machine.told()] == ["warning", "clear"]
    machine.alerting.see([machine.made("closed-port", 500, cookie=9)])
    machine.second()
    assert machine.told()[2:] == [(63, "warning", 9), (63, "clear", 9)]


def test_somebody_sets_the_clock() -> None:
    """Neither back nor forth makes an alert, and the next surge is found."""
    machine = quiet()
    for jump in (-86_400.0, 2 * 86_400.0):
        machine.second(seconds=jump)
        for _ in range(40):
            machine.second(sent={1: 1})
    assert not machine.alerts
    machine.second(sent={1: 100})
    assert [each[1] for each in machine.told()] == ["warning"]


def test_a_silence_knows_namespaces_by_name() -> None:
    """As `ip netns` calls them."""
    found = read_rules("silence: tests\nnetns: test*", "x.conf")
    machine = quiet(silences=found.silences, names=lambda inode: "test1" if inode == 102 else "")
    machine.second(sent={1: 100, 2: 100})
    assert [each[2] for each in machine.told()] == [1]
    assert {each.netns_name: each.muted_by for each in machine.alerts} == {"": "", "test1": "silence: tests"}


def test_namespaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are told apart; the others are left out."""
    monkeypatch.setattr(module, "_MOST_SPACES", 5)
    machine = Machine()
    for cookie in range(1, 20):
        machine.space(cookie)
    machine.second()
    machine.second(sent=dict.fromkeys(range(1, 20), 100))
    assert len(machine.told()) == 5
