from pathlib import Path

import pytest

from whyreset.rulefiles import RuleFileError, joined, read, shipped

RULE = "alarm: 10s_ipv4_tcp_resets_sent\non: ipv4.tcphandshake\nevery: 1s\nwarn: $OutRsts > 5\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_files_as_editors_write_them(tmp_path: Path, mark: bytes, end: bytes) -> None:
    """With a byte order mark or without, and whatever ends a line."""
    path = tmp_path / "x.conf"
    path.write_bytes(mark + RULE.encode().replace(b"\n", end))
    (found,) = read(str(path))
    assert ([rule.every for rule in found.rules], found.problems) == ([1], ())


def test_what_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    """And not a complaint for each of its lines."""
    path = tmp_path / "x.conf"
    path.write_text(RULE, encoding="utf-16")
    with pytest.raises(RuleFileError, match="no file of rules, it is not text in UTF-8"):
        read(str(path))


def test_a_users_rule_takes_the_place_of_ours(tmp_path: Path) -> None:
    """Also where one calls the chart by its old name and the other by its new."""
    path = tmp_path / "x.conf"
    path.write_text(RULE)
    rules = joined([*read(str(path)), *shipped()]).rules
    assert [rule.every for rule in rules if rule.name == "10s_ipv4_tcp_resets_sent"] == [1]


def test_rules_for_other_hosts_are_left_out(tmp_path: Path) -> None:
    """And take the place of none."""
    path = tmp_path / "x.conf"
    path.write_text(RULE + "hosts: db*\n")
    found = [*read(str(path)), *shipped()]
    for host, every in (("db1", 1), ("web1", 10)):
        rules = joined(found, host).rules
        assert [rule.every for rule in rules if rule.name == "10s_ipv4_tcp_resets_sent"] == [every]


def test_causes_that_are_expected_are_those_that_there_are(tmp_path: Path) -> None:
    """By slug or family."""
    path = tmp_path / "x.conf"
    path.write_text("expect: a\ncause: linger-zero closed-port abort\nexpect: b\ncause: linger_zero\n")
    (found,) = read(str(path))
    assert [each.name for each in found.expected] == ["a"]
    assert found.problems[-1].line == 4


def test_rules_that_would_take_too_long_are_left_out(tmp_path: Path) -> None:
    """Each with its place; rules for charts that are not here cost nothing."""
    path = tmp_path / "x.conf"
    rule = "alarm: a{0}\non: {1}\nlookup: average -2h of OutRsts\nevery: 1s\n"
    path.write_text(
        "".join(rule.format(number, "ip.tcphandshake" if number % 2 else "disk.io") for number in range(40))
    )
    found = joined(read(str(path)))
    assert [rule.name for rule in found.rules if rule.on == "ip.tcphandshake"] == [
        f"a{number}" for number in range(1, 13, 2)
    ]
    assert len(found.rules) == 26
    assert str(found.problems[0]) == (
        f"{path}:53:1: a13 is left out: with it rules would look at more than 50,000 values a second"
    )


def test_two_thousand_ordinary_rules_are_not_too_many(tmp_path: Path) -> None:
    """Of those that look every ten seconds at the last minute."""
    path = tmp_path / "x.conf"
    rule = "alarm: a{0}\non: ip.tcphandshake\nlookup: average -1m of OutRsts\nevery: 10s\n"
    path.write_text("".join(rule.format(number) for number in range(2000)))
    assert len(joined(read(str(path))).rules) == 2000
