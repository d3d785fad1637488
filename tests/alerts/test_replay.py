from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.alerts.replay import Row, SeriesError, noticing_totals, read_series, replay
from whyreset.model import Alert
from whyreset.rulefiles import joined, shipped

RECORDED = Path(__file__).with_name("recorded")
RULES = joined(shipped()).rules
NETDATAS = "10s_ipv4_tcp_resets_sent"


def rows(*counts: int, first: int = 1) -> Iterator[Row]:
    """A series of OutRsts."""
    return (Row(second, {"OutRsts": count}) for second, count in enumerate(counts, first))


def changes(alerts: Iterator[Alert], rule: str) -> list[tuple[int, str, str]]:
    """When a rule's status changed, from what and to what."""
    return [
        (each.time_ns // 10**9, each.old_status, each.new_status)
        for each in alerts
        if each.rule == rule and each.event == "changed"
    ]


def warnings(series: list[Row], rule: str) -> list[int]:
    """The seconds in which a rule warned."""
    return [second for second, _, new in changes(replay(series, RULES), rule) if new == "warning"]


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.csv")), ids=lambda path: path.stem)
def test_every_recorded_surge_is_found(path: Path) -> None:
    """Those that a real Netdata missed too: within three seconds of 50 resets a second."""
    with path.open() as lines:
        series = list(read_series(lines))
    least = 50
    if path.stem == "_1100_s-on-100_s":
        # its base begins some seconds after Netdata did
        series, least = series[12:], 500
    begin = next(row.second for row in series if row.values["OutRsts"] >= least)
    found = warnings(series, "resets_sent_surge")
    assert len(found) == (2 if path.stem.startswith("spikes") else 1)
    assert found[0] <= begin + 3


def test_both_tell_of_a_surge_each_in_its_way() -> None:
    """The detector at once and to the end; Netdata's rule when it looks, and it clears while the surge goes on."""
    series = [0] * 90 + [200] * 120 + [0] * 60
    alerts = list(replay(rows(*series), RULES))
    assert changes(iter(alerts), "resets_sent_surge") == [(91, "clear", "warning"), (240, "warning", "clear")]
    (raised, _, _), (cleared, _, _) = changes(iter(alerts), NETDATAS)
    assert 93 <= raised <= 103
    assert 160 <= cleared < 210


def test_netdatas_answer_depends_on_its_phase() -> None:
    """A spike of three seconds is seen when a look falls on it, and 55 resets a second only if one does early."""
    series = [0] * 90 + [55] * 12 + [0] * 60
    found = {phase: bool(changes(replay(rows(*series), RULES, phase=phase), NETDATAS)) for phase in range(10)}
    assert set(found.values()) == {True, False}


def test_received_resets_have_their_own() -> None:
    """What the kernel counts as failed attempts."""
    series = (Row(second, {"OutRsts": 0, "AttemptFails": 300 if second > 90 else 0}) for second in range(1, 120))
    rules = {alert.rule for alert in replay(series, RULES)}
    assert rules == {"resets_received_surge", "10s_ipv4_tcp_resets_received"}


def test_attempts_are_not_called_resets() -> None:
    """The counter holds handshakes that timed out, too."""
    series = (Row(second, {"OutRsts": 0, "AttemptFails": 300 if second > 20 else 0}) for second in range(1, 30))
    (alert,) = replay(series, [])
    assert (alert.rule, alert.summary, alert.units) == (
        "resets_received_surge",
        "surge of failed attempts to connect",
        "attempts/s",
    )


def test_seconds_that_are_left_out_are_not_calm() -> None:
    """Nothing is known of them: a surge before a pause goes on after it."""
    before, after = rows(*[0] * 60, *[200] * 10), rows(*[200] * 10, *[0] * 60, first=1000)
    alerts = replay((row for part in (before, after) for row in part), RULES)
    assert changes(alerts, "resets_sent_surge") == [(61, "clear", "warning"), (1039, "warning", "clear")]


def test_a_series_is_read_as_it_comes() -> None:
    """A byte order mark and blank lines are none, numbers may be fractions, the order of columns is the header's."""
    lines = ["\ufeffsecond, AttemptFails, OutRsts\r\n", "10,1,2.5\n", "\n", "  \n", "11,0,3\n"]
    assert list(read_series(lines)) == [
        Row(10, {"AttemptFails": 1, "OutRsts": 2.5}),
        Row(11, {"AttemptFails": 0, "OutRsts": 3}),
    ]


@pytest.mark.parametrize(
    ("counts", "noted"),
    [
        ([50_000 + 3 * second for second in range(100)], True),
        ([50_000 + 3 * second for second in range(50)], False),
        ([5] * 100, False),
        ([0] * 50 + [9] * 50, False),
        ([1] * 99 + [2], True),
        ([50_000 + 3 * second for second in range(99)] + [4], False),
    ],
)
def test_totals_instead_of_increments_are_noticed(counts: list[int], *, noted: bool) -> None:
    """A common slip, of which rules and detector say nothing at all."""
    notes: list[str] = []
    assert len(list(noticing_totals(rows(*counts), notes))) == len(counts)
    assert [note.startswith("OutRsts never falls in 100 seconds: are these totals?") for note in notes] == [
        True
    ] * noted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: expected a header «second,OutRsts[,...]», not ''"),
        ("time,OutRsts", "line 1: expected a header «second,OutRsts[,...]», not 'time,OutRsts'"),
        ("second,AttemptFails", "line 1: expected a header «second,OutRsts[,...]», not 'second,AttemptFails'"),
        ("second,OutRsts,resets", "line 1: column 3 is 'resets', which is none of EstabResets, OutRsts"),
        ("second,OutRsts,OutRsts", "line 1: a column is there twice"),
        ("second,OutRsts\n1", "line 2: expected 2 fields (second,OutRsts), not 1"),
        ("second,OutRsts\n1,2\n2,x", "line 3: expected a number for OutRsts, not 'x'"),
        ("second;OutRsts\n1;2", "line 1: expected a header «second,OutRsts[,...]», not 'second;OutRsts'; fields are"),
        ("Second,outrsts\n1,2", "line 1: expected a header «second,OutRsts[,...]», not 'Second,outrsts'; upper and"),
        ("second,OutRsts\n", "line 1: expected a row after the header"),
        ("second,OutRsts\n1,2,3", "line 2: expected 2 fields (second,OutRsts), not 3"),
        ("second,OutRsts\n1,-2", "line 2: expected what OutRsts grew in this second, not -2"),
        ("second,OutRsts\n1,nan", "line 2: expected what OutRsts grew in this second, not nan"),
        ("second,OutRsts\n1,1e15", "line 2: expected what OutRsts grew in this second, not 1e15"),
        ("second,OutRsts\n1.5,2", "line 2: expected a whole second, such as one since the epoch, not 1.5"),
        ("second,OutRsts\n-5,2", "line 2: expected a whole second, such as one since the epoch, not -5"),
        ("second,OutRsts\nnan,2", "line 2: expected a whole second, such as one since the epoch, not nan"),
        ("second,OutRsts\n2,2\n1,2", "line 3: second 1 does not follow 2"),
        ("second,OutRsts\n2,2\n2,2", "line 3: second 2 does not follow 2"),
        ("second,OutRsts\n2,2\n90000000000,2", "line 3: second 90000000000 does not follow 2"),
        ("second,OutRsts\n2,2\n900000000000,2", "line 3: expected a whole second"),
        ("second,OutRsts\n" + '"' + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_a_wrong_series_is_told_with_its_line(text: str, complaint: str) -> None:
    """And with what was expected there."""
    with pytest.raises(SeriesError) as error:
        list(read_series(text.splitlines(keepends=True)))
    assert str(error.value).startswith(complaint)


@given(st.lists(st.sampled_from([0.0, 1.0, 40.0, 1e6, 9e14]), min_size=1, max_size=300))
def test_no_counts_make_it_fail(counts: list[float]) -> None:
    """However wild: the figures of the detector stay figures."""
    for alert in replay((Row(second, {"OutRsts": count}) for second, count in enumerate(counts, 1)), RULES):
        assert alert.threshold is None or alert.threshold >= 0


@given(st.text(st.sampled_from('second,OutRsts0123456789.-e"\n \r'), max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    """Any text is a series, or is refused."""
    try:
        list(replay(read_series(("second,OutRsts\n" + text).splitlines(keepends=True)), RULES[:2]))
    except SeriesError as error:
        assert str(error).startswith("line")  # noqa: PT017  both outcomes are right
