from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alerts.netdata import STOCK, STOCK_FILES
from whyreset.alerts.patterns import accepts, fits
from whyreset.alerts.rule import Delay, Lookup, Rule
from whyreset.alerts.rules import LONGEST_STATEMENT, MOST_PROBLEMS, MOST_RULES, read_rules


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a text in which nothing is wrong."""
    found = read_rules(text, "x.conf")
    assert not found.problems
    return found.rules


def complaints(text: str) -> list[str]:
    """What is wrong in a text."""
    return [str(problem) for problem in read_rules(text, "x.conf").problems]


def stock(name: str) -> Path:
    """A file of the installed package; the tests that need it are skipped without."""
    path = STOCK / name
    if not path.exists():
        pytest.skip("the package netdata-core is not installed")
    return path


@pytest.mark.parametrize("name", STOCK_FILES)
def test_the_stock_files_load_unchanged(name: str) -> None:
    """Every rule of Debian's files for TCP is understood, with nothing to complain of."""
    text = stock(name).read_text()
    found = read_rules(text, name)
    assert not found.problems
    assert [rule.name for rule in found.rules] == [
        line.split(":", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("alarm:")
    ]


def test_the_alert_that_it_all_starts_from() -> None:
    """The rule on sent resets, option by option."""
    rules = {rule.name: rule for rule in read_rules(stock("tcp_resets.conf").read_text(), "tcp_resets.conf").rules}
    minute, rule = rules["1m_ipv4_tcp_resets_sent"], rules["10s_ipv4_tcp_resets_sent"]
    options = frozenset({"unaligned", "absolute"})
    assert minute.lookup == Lookup(method="average", after=-60, before=-10, options=options, dimensions=("OutRsts",))
    assert rule.lookup == Lookup(method="average", after=-10, options=options, dimensions=("OutRsts",))
    assert rule.delay == Delay(up=20, down=3600, multiplier=1.2, maximum=7200)
    assert (rule.on, rule.every, rule.to, rule.units) == ("ipv4.tcphandshake", 10, "sysadmin", "tcp resets/s")
    assert rule.options == {"no-clear-notification"}
    assert rule.info.endswith("Netdata will not send a clear notification for this alarm.")
    assert str(rule.warn) == (
        "((${netdata.uptime.uptime} > (1 * 60)) && (${this} > (((${1m_ipv4_tcp_resets_sent} < 5) ? 5 :"
        " ${1m_ipv4_tcp_resets_sent}) * ((${status} >= ${WARNING}) ? 1 : 10))))"
    )


def test_all_of_debians_rules_load_but_for_foreach() -> None:
    """The syntax is that of real files: a few hundred rules, and the one thing that is not known is said so."""
    stock("tcp_resets.conf")
    found = [read_rules(path.read_text(), path.name) for path in sorted(STOCK.glob("*.conf"))]
    assert sum(len(each.rules) for each in found) > 250
    assert {problem.text for each in found for problem in each.problems} == {
        "foreach is not known here: write a rule for each dimension"
    }


def test_every_option_is_understood() -> None:
    """Each key of a rule, in the order of a careful author."""
    (rule,) = read("""
        template: my_rule
            class: Errors
             type: System
        component: Network
              on: ip.tcphandshake
              os: linux
           hosts: !test* *
        families: tcp*
          lookup: trimmed-mean5 -1m at -10s every 5s abs min2max of OutRsts, AttemptFails
            calc: $this * 2
           every: 1.5m
           units: "resets"
           green: 5
             red: 10.5
            warn: $this > $green
            crit: $this > $red
           delay: up 10 down 5m multiplier 1.5 max 1h
          repeat: warning 2m critical 30s
         options: no-clear-notification
              to: web dba
            exec: /bin/true
         summary: resets
            info: more than \\
                  one line
        """)
    assert (rule.name, rule.template, rule.on, rule.kind) == ("my_rule", True, "ip.tcphandshake", "Errors")
    assert rule.lookup == Lookup(
        method="trimmed-mean",
        percent=5,
        after=-60,
        before=-10,
        options=frozenset({"absolute", "min2max"}),
        dimensions=("OutRsts", "AttemptFails"),
    )
    assert (rule.every, rule.green, rule.red, rule.units) == (90, 5, 10.5, "resets")
    assert (rule.repeat_warning, rule.repeat_critical) == (120, 30)
    assert (rule.to, rule.exec, rule.summary, rule.info) == ("web dba", "/bin/true", "resets", "more than one line")
    assert rule.for_host("web1")
    assert not rule.for_host("test1")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("delay: up 10", Delay(up=10, maximum=10)),
        ("delay: up 10 down 20 multiplier 2", Delay(up=10, down=20, multiplier=2, maximum=40)),
        ("delay: max 1h", Delay(maximum=3600)),
    ],
)
def test_what_a_delay_leaves_open_is_filled_in_as_netdata_does(line: str, expected: Delay) -> None:
    """No multiplier is 1, and no maximum is the longest of both, multiplied."""
    (rule,) = read(f"alarm: a\non: c\nevery: 1s\ncalc: 1\n{line}")
    assert rule.delay == expected


def test_a_look_up_says_how_often_unless_told() -> None:
    """Its window is the time between evaluations where no other is given."""
    rules = read("alarm: a\non: c\nlookup: sum -30s\nalarm: b\non: c\nlookup: sum -30s\nevery: 5s")
    assert [rule.every for rule in rules] == [30, 5]


RULE = "alarm: a\non: c\nevery: 1s\ncalc: 1\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("calc: 1", "x.conf:1:1: expected «alarm: name» or «template: name» first"),
        ("alarm: a\nnonsense", "x.conf:2:1: expected «key: value»"),
        (RULE + "  warn:  ", "x.conf:5:3: expected a value after «warn:»"),
        (RULE + "warn: $this >", "x.conf:5:14: expected a number, a $variable or «(», not the end"),
        (RULE + "  warn :  ($this  >  x)", "x.conf:5:22: expected a number, a $variable or «(», not 'x'"),
        (RULE + "warn: ($this \\\n    > 5) 7", "x.conf:6:10: expected an operator or the end, not '7'"),
        (RULE + "delay: up 10 dwn 5m", "x.conf:5:14: expected up, down, multiplier or max, not 'dwn'"),
        (RULE + "delay: up soon", "x.conf:5:11: expected a duration such as 10s, 5m or 1h, not 'soon'"),
        (RULE + "delay: up", "x.conf:5:10: expected something after «up»"),
        (RULE + "delay: multiplier -1", "x.conf:5:19: expected a multiplier above 0 and up to 1000, not '-1'"),
        (RULE + "repeat: hourly", "x.conf:5:9: expected off, warning or critical, not 'hourly'"),
        (RULE + "options: no-mail", "x.conf:5:10: expected no-clear-notification, not 'no-mail'"),
        (RULE + "every: 0", "x.conf:5:8: expected a duration of a second or more, not '0'"),
        (RULE + "green: much", "x.conf:5:8: expected a number, not 'much'"),
        (RULE + "lookup: average -0s", "x.conf:5:17: expected a window such as -10s, not '-0s'"),
        (RULE + "lookup: average", "x.conf:5:16: expected something after «average»"),
        (RULE + "lookup: percentile42 -10s", "x.conf:5:9: expected a method ("),
        (RULE + "lookup: average -10s unalignd of x", "x.conf:5:22: expected one of at, every, of, absolute"),
        (RULE + "lookup: average -10s foreach *", "x.conf:5:22: foreach is not known here"),
        (RULE + "lookup: average -99999999999999999999d", "x.conf:5:17: expected at most ten years"),
        (RULE + "lookup: percentile(101) -10s", "x.conf:5:19: expected a percentage, of one of trimmed-mean"),
        (RULE + "lookup: average(5) -10s", "x.conf:5:16: expected a percentage"),
        (RULE + "lookup: countif(>5) -10s", "x.conf:5:17: expected a number, not '>5'"),
        (RULE + "lookup: percentile(95 -10s", "x.conf:5:19: expected a duration such as 10s, 5m or 1h, not '(95'"),
        (RULE + "delay: up 5d multiplier 1e308", "x.conf:5:25: expected a multiplier above 0 and up to 1000"),
        (RULE + "host labels: linux", "x.conf:5:14: expected «label=pattern», not 'linux'"),
        (RULE + "host labels: _os=linux room=a", "x.conf:5:24: expected one of _os and _hostname: 'room' is not"),
        (RULE + "wran: 5", "not 'wran'; is it 'warn'?"),
        (RULE + "threshold: 5", "x.conf:5:1: expected one of on, os, hosts"),
        (RULE + "calc: 2", "x.conf:5:1: 'calc' is given twice for a: the last counts"),
        (RULE + RULE, "x.conf:5:1: a stands here twice for c: the first counts"),
        (
            "alarm: a\non: ipv4.tcphandshake\nevery: 1s\ncalc: 1\nalarm: a\non: ip.tcphandshake\nevery: 1s\ncalc: 1",
            "x.conf:5:1: a stands here twice for ip.tcphandshake: the first counts",
        ),
        (
            "alarm: a\non: c\nevery: 1s\nwarn: $this >",
            "x.conf:1:1: a has nothing to evaluate (none of lookup, calc, warn, crit), as not all of it can be read",
        ),
        (
            "alarm: resets_sent_surge\non: c\nevery: 1s\ncalc: 1",
            "x.conf:1:1: resets_sent_surge is a name of our own detectors: it is left out",
        ),
        ("alarm: a\nevery: 1s\ncalc: 1", "x.conf:1:1: a names no chart («on: chart»): it is left out"),
        ("alarm: a\non: c\ncalc: 1", "x.conf:1:1: a does not say how often («every: 10s»): it is left out"),
        ("alarm: a\non: c\nevery: 1s", "x.conf:1:1: a has nothing to evaluate"),
        (
            RULE + "info: " + "x" * LONGEST_STATEMENT,
            "x.conf:5:1: expected at most 4096 characters with continued lines",
        ),
    ],
)
def test_a_wrong_line_is_told_with_file_line_and_column(text: str, complaint: str) -> None:
    """And with what was expected there."""
    assert any(complaint in said for said in complaints(text)), complaints(text)


def test_the_rest_of_a_file_with_wrong_lines_still_loads() -> None:
    """A line that cannot be read takes nothing else with it, not even the rest of its rule."""
    found = read_rules(
        "junk\nalarm: a\non: c\nevery: 1s\nwarn: $this >\ncrit: $this > 5\nalarm: b\non: c\nevery: 2s\ncalc: 1\n",
        "x.conf",
    )
    first, second = found.rules
    assert (first.name, first.warn, str(first.crit)) == ("a", None, "(${this} > 5)")
    assert second.name == "b"
    assert [problem.line for problem in found.problems] == [1, 5]


def test_several_mistakes_of_one_line_are_all_told() -> None:
    """A person who mends a line wants to know all of it."""
    assert len(complaints(RULE + "delay: up soon dwn 5m max 1x")) == 3  # «soon», «dwn» and «1x»


def test_names_are_made_fit_for_expressions() -> None:
    """As Netdata does: what no variable's name may have becomes _."""
    (rule,) = read("alarm: my rule!\non: c\nevery: 1s\ncalc: 1")
    assert rule.name == "my_rule_"


def test_a_rule_for_another_system_is_left_out() -> None:
    """Netdata's files hold the same rule once for each system."""
    (rule,) = read("alarm: a\non: c\nos: freebsd\ncalc: 1\nevery: 1s\nalarm: a\non: c\nos: linux\ncalc: 2\nevery: 1s")
    assert str(rule.calc) == "2"


def test_a_file_has_only_so_many_rules() -> None:
    """What goes beyond is told of."""
    text = "".join(f"alarm: a{number}\non: c\nevery: 1s\ncalc: 1\n" for number in range(MOST_RULES + 1))
    found = read_rules(text, "x.conf")
    assert len(found.rules) == MOST_RULES
    assert [problem.text for problem in found.problems] == [
        "a2000 is more than the 2000th of this file: it is left out"
    ]


def test_complaints_are_bounded() -> None:
    """A file that holds something else is not told of line by line."""
    problems = read_rules("junk\n" * 10_000, "x.conf").problems
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1].text == "there is more that cannot be read"


def test_hosts_and_systems_as_newer_files_name_them() -> None:
    """By host labels; Netdata's other own labels are passed over."""
    (rule,) = read(
        "alarm: a\non: c\nevery: 1s\ncalc: 1\nhost labels: _os=linux freebsd _hostname=web* _is_k8s_node = false"
    )
    assert (rule.os, rule.for_host("web1"), rule.for_host("db1")) == (("linux", "freebsd"), True, False)
    assert read("alarm: a\non: c\nevery: 1s\ncalc: 1\nhost labels: _os=windows") == ()


def test_look_ups_as_newer_files_write_them() -> None:
    """Percentages in parentheses, and another way to join dimensions than their sum."""
    (rule,) = read("alarm: a\non: c\nlookup: percentile (97.5) -1m unaligned max of x")
    assert rule.lookup == Lookup(
        method="percentile", percent=97.5, after=-60, options=frozenset({"unaligned", "max"}), dimensions=("x",)
    )


def test_only_causes_that_there_are_can_be_expected() -> None:
    """A slip of the pen must not make an expectation that never fits."""
    found = read_rules("expect: a\ncause: linger-zro abort", "x.conf", causes={"linger-zero", "abort"})
    assert [str(each) for each in found.problems] == [
        "x.conf:1:1: a is left out, since not all of it can be read",
        "x.conf:2:8: expected a cause or a family of causes, not 'linger-zro'; is it 'linger-zero'?",
    ]
    assert not found.expected


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        "\\\n" * 200_000,
        "info: " + " \\\n" * 200_000,
        "x" * 4_000_000,
        "warn: 1\n" * 30_000,
        "alarm: a\n" + "wran: 1\n" * 100_000,
        "alarm: a\n" + "lookup: averge -10s\n" * 25_000,
        "alarm: a\n" + "calc: 1\n" * 20_000,
    ],
)
def test_no_file_takes_long(text: str) -> None:
    """A line continued for ever would take minutes if each part were weighed anew."""
    assert read_rules(text, "x.conf").problems


@given(st.text(st.sampled_from("alrm:ontevyckup $this>5-10s\\\n#() "), max_size=300))
def test_no_text_makes_it_fail(text: str) -> None:
    """Whatever is in a file, there are rules or complaints with a place that exists."""
    for problem in read_rules(text, "x.conf").problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.column >= 1


@pytest.mark.parametrize(
    ("words", "text", "accepted"),
    [
        ("*", "anything", True),
        ("linux freebsd", "linux", True),
        ("linux", "linux2", False),
        ("!db* *", "db1", False),
        ("!db* *", "web1", True),
        ("* !db*", "db1", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*bc", "bc", True),
        ("ab*bc", "abc", False),
        ("", "x", False),
    ],
)
def test_simple_patterns(words: str, text: str, *, accepted: bool) -> None:
    """The first word that fits decides; ! turns it round."""
    assert accepts(words.split(), text) is accepted


def test_a_pattern_is_never_slow() -> None:
    """Stars do not multiply the work."""
    assert not fits("*a" * 500 + "b", "a" * 5000)
