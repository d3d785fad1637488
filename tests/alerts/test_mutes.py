from datetime import UTC, datetime
from typing import Any

import pytest

from tests.outputs.values import owner, reset
from whyreset.alerts.mutes import Expected, Silence
from whyreset.alerts.rules import read_rules
from whyreset.model import Cause, Remotes, Reset


def at(text: str) -> float:
    """Seconds since the epoch, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def silence(*lines: str) -> Silence:
    """A silence from its lines."""
    found = read_rules("\n".join(("silence: s", *lines)), "x.conf")
    assert not found.problems
    return found.silences[0]


def expected(*lines: str) -> Expected:
    """What is expected, from its lines."""
    found = read_rules("\n".join(("expect: e", *lines)), "x.conf")
    assert not found.problems
    return found.expected[0]


def linger(**fields: Any) -> Reset:
    """HAProxy closed with linger zero."""
    cause = Cause(name="linger-zero", family="abort", certainty="certain")
    return reset(**{"cause": cause, "port": 443, "owner": owner(comm="haproxy", unit="haproxy.service"), **fields})


@pytest.mark.parametrize(
    ("lines", "moment", "active"),
    [
        (("from: 2026-11-22 22:00", "until: 2026-11-23 06:00"), "2026-11-22 21:59:59", False),
        (("from: 2026-11-22 22:00", "until: 2026-11-23 06:00"), "2026-11-22 22:00", True),
        (("from: 2026-11-22 22:00", "until: 2026-11-23 06:00"), "2026-11-23 06:00", False),
        (("from: 2026-11-22",), "2030-01-01 00:00", True),
        (("until: 2026-11-22T05:00Z",), "1999-01-01 00:00", True),
        (("daily: 02:00 for 30m",), "2026-11-22 02:00", True),
        (("daily: 02:00 for 30m",), "2026-11-22 02:29:59", True),
        (("daily: 02:00 for 30m",), "2026-11-22 02:30", False),
        (("daily: 2:00 for 30m", "until: 2026-11-21"), "2026-11-22 02:10", False),
        (("daily: 23:00 for 2h",), "2026-11-22 00:59", True),
        (("weekly: sat 23:00 for 2h",), "2026-11-22 00:30", True),  # a Sunday
        (("weekly: sat 23:00 for 2h",), "2026-11-22 23:30", False),
        (("weekly: Sat Sun 02:00 for 1h",), "2026-11-22 02:30", True),
        (("weekly: mon 00:00 for 3d",), "2026-11-25 23:59", True),
        (("weekly: mon 00:00 for 3d",), "2026-11-26 00:00", False),
        (("weekly: mon 00:00 for 1w",), "2026-11-22 12:00", True),
    ],
)
def test_when_a_silence_is(lines: tuple[str, ...], moment: str, *, active: bool) -> None:
    """Once, each day, or on some days of the week; also past midnight."""
    assert silence(*lines).active(at(moment)) is active


def test_what_a_silence_covers() -> None:
    """Rules and namespaces by patterns; a namespace by its name or its number."""
    quiet = silence("rules: 10s_* !resets_sent_surge resets_*", "netns: web* 4026531840")
    assert quiet.covers("10s_ipv4_tcp_resets_sent", 1, "web1", 0)
    assert quiet.covers("resets_received_surge", 4026531840, "", 0)
    assert not quiet.covers("resets_sent_surge", 1, "web1", 0)
    assert not quiet.covers("resets_received_surge", 1, "db", 0)


@pytest.mark.parametrize(
    ("lines", "fits"),
    [
        (("cause: linger-zero",), True),
        (("cause: abort",), True),
        (("cause: closed-port half-open",), False),
        (("owner: haproxy",), True),
        (("owner: haproxy.service",), True),
        (("owner: ha*",), True),
        (("owner: nginx",), False),
        (("port: 80 443",), True),
        (("port: 80",), False),
        (("remote: 192.0.2.0/24 2001:db8::/32",), True),
        (("remote: 198.51.100.1",), False),
        (("cause: linger-zero", "owner: haproxy*", "port: 443", "remote: 192.0.2.1"), True),
        (("cause: linger-zero", "owner: haproxy*", "port: 80", "remote: 192.0.2.1"), False),
    ],
)
def test_what_is_expected(lines: tuple[str, ...], *, fits: bool) -> None:
    """«HAProxy's linger-zero on 443 is intended»: every word must fit."""
    assert expected(*lines).fits(linger()) is fits


@pytest.mark.parametrize(
    ("remotes", "fits"),
    [
        (Remotes(distinct=2, exact=True, top=(("192.0.2.1", 5), ("192.0.2.9", 5))), True),
        (Remotes(distinct=2, exact=True, top=(("192.0.2.1", 9), ("203.0.113.9", 1))), False),
        (Remotes(distinct=3, exact=True, top=(("192.0.2.1", 5), ("192.0.2.9", 4))), False),
        (Remotes(distinct=2, exact=False, top=(("192.0.2.1", 5), ("192.0.2.9", 5))), False),
        (Remotes(distinct=1, exact=True, top=(("fe80::1%eth0", 10),)), False),
        (Remotes(distinct=1, exact=True, top=(("?", 10),)), False),
    ],
)
def test_a_group_is_expected_only_if_each_of_its_remotes_is(remotes: Remotes, *, fits: bool) -> None:
    """Where not all of them are known, it is not."""
    assert expected("remote: 192.0.2.0/24").fits(linger(count=10, remotes=remotes)) is fits


def test_nobody_known_is_nobody_expected() -> None:
    """A rule for an owner does not fit a reset without one."""
    assert not expected("owner: *").fits(linger(owner=None))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("silence: s\ndaily: 25:00 for 1h", "x.conf:2:8: expected a time such as 02:00, not '25:00'"),
        ("silence: s\ndaily: 02:00", "x.conf:2:13: expected «for» and a duration, such as «for 30m»"),
        ("silence: s\ndaily: 02:00 to 03:00", "x.conf:2:14: expected «for» and a duration, such as «for 30m»"),
        ("silence: s\ndaily: 02:00 for ever", "x.conf:2:18: expected a duration such as 10s, 5m or 1h, not 'ever'"),
        ("silence: s\ndaily: 02:00 for 8d", "x.conf:2:18: expected a duration of a week at most, not '8d'"),
        ("silence: s\nweekly: 02:00 for 1h", "x.conf:2:9: expected days (mon, tue, wed, thu, fri, sat, sun)"),
        ("silence: s\nweekly: mon", "x.conf:2:12: expected a time after the days, such as «02:00 for 30m»"),
        ("silence: s\nfrom: tomorrow", "x.conf:2:7: expected a date such as 2026-11-22 22:00, not 'tomorrow'"),
        ("silence: s\nfrom: 2026-02-30", "x.conf:2:7: expected a date such as 2026-11-22 22:00"),
        ("silence: s\nwarn: $this", "x.conf:2:1: expected one of rules, netns, from, until, daily, weekly, not 'warn'"),
        ("silence: s", "x.conf:1:1: s says nothing: it is left out"),
        (
            "silence: s\nfrom: 2026-11-22 22:00\nuntil: 2026-11-22",
            "x.conf:1:1: s is left out, since it ends before it begins",
        ),
        ("expect: e\nport: 0 99999 http", "x.conf:2:7: expected a port, not '0'"),
        ("expect: e\nremote: here", "x.conf:2:9: expected an address or a network such as 192.0.2.0/24, not 'here'"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(text: str, complaint: str) -> None:
    """File, line, column, and what was expected there."""
    problems = [str(problem) for problem in read_rules(text, "x.conf").problems]
    assert any(each.startswith(complaint) for each in problems), problems


def test_half_of_a_silence_is_none() -> None:
    """What cannot be read whole would mute too much: it is left out, and that is said."""
    found = read_rules(
        "silence: s\nrules: a\ndaily: late\nexpect: e\nport: x\ncause: y\nsilence: t\nrules: b", "x.conf"
    )
    assert [each.name for each in found.silences] == ["t"]
    assert not found.expected
    assert [each.text for each in found.problems if "left out" in each.text] == [
        "s is left out, since not all of it can be read",
        "e is left out, since not all of it can be read",
    ]
