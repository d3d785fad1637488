import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.alerts.charts import Charts


def sent(charts: Charts, first: int, last: int) -> list[float]:
    """OutRsts of some seconds."""
    chart = charts.find("ip.tcphandshake")
    assert chart is not None
    return [row[1] for row in chart.rows(first, last)]


def test_what_a_counter_grew_belongs_to_the_seconds_that_it_took() -> None:
    """Readings come within a second; a value is that of a whole second."""
    charts = Charts()
    for time, total in ((10.25, 100), (11.25, 100), (12.25, 140), (13.25, 140), (14.25, 140)):
        charts.read(time, {"OutRsts": total})
    assert sent(charts, 0, 99) == [30, 10, 0]  # 11.25 to 12.25: three quarters of it before 12
    chart = charts.find("ipv4.tcphandshake")
    assert chart is not None
    assert (chart.begun, chart.last) == (10, 14)


def test_a_reading_after_some_seconds_is_spread_over_them() -> None:
    """A busy reader loses time, not counts."""
    charts = Charts()
    for time, total in ((10.0, 0), (11.0, 5), (15.0, 45), (16.0, 45)):
        charts.read(time, {"OutRsts": total})
    assert sent(charts, 0, 99) == [5, 10, 10, 10, 10, 0]


def test_a_counter_that_shrank_began_anew() -> None:
    """A namespace's counters never fall; a new one under an old name does not count backwards."""
    charts = Charts()
    for time, total in ((10.0, 1000), (11.0, 1010), (12.0, 3), (13.0, 4)):
        charts.read(time, {"OutRsts": total})
    assert sent(charts, 0, 99) == [10, 0, 1]


def test_gauges_are_what_they_stand_at() -> None:
    """A gauge's second has what it stood at when it was read."""
    charts = Charts()
    for time, pages in ((10.5, 1), (11.5, 2), (12.5, 3)):
        charts.read(time, {"mem": pages, "orphan": 7, "tw": 5})
    memory, sockets = charts.find("ipv4.sockstat_tcp_mem"), charts.find("ipv4.sockstat_tcp_sockets")
    assert memory is not None
    assert sockets is not None
    assert (memory.latest("mem"), sockets.latest("orphan"), sockets.latest("timewait")) == (3, 7, 5)
    assert math.isnan(sockets.latest("alloc") or 0)
    assert sockets.latest("nothing") is None


def test_a_chart_that_nothing_was_read_of_is_not_there() -> None:
    """So that rules for it do not run on nothing."""
    charts = Charts()
    charts.read(1.0, {"OutRsts": 1})
    assert charts.find("ip.tcp_accept_queue") is None
    assert [chart.kind.names[-1] for chart in charts.all] == ["ip.tcphandshake"]


def test_seconds_left_out_have_no_value() -> None:
    """And what comes again, or too late, is not taken."""
    charts = Charts()
    for second, count in ((1, 5), (4, 6), (4, 7), (2, 8)):
        charts.add(second, {"OutRsts": count})
    assert sent(charts, 1, 4)[::3] == [5, 6]
    assert all(math.isnan(value) for value in sent(charts, 2, 3))


def test_memory_is_bounded() -> None:
    """Neither many seconds nor a long pause keep more than was asked for."""
    charts = Charts(memory=100)
    for second in range(250):
        charts.add(second, {"OutRsts": second})
    assert len(sent(charts, 0, 10**6)) == 100
    charts.add(10**9, {"OutRsts": 1})
    assert len(sent(charts, 0, 10**10)) == 100
    charts = Charts(memory=100)
    charts.read(1.0, {"OutRsts": 0})
    charts.read(1e9, {"OutRsts": 1})
    assert len(sent(charts, 0, 10**10)) == 100


@given(st.lists(st.tuples(st.floats(0.05, 5), st.integers(0, 1000)), min_size=1, max_size=50))
def test_no_count_is_lost_or_made_up(steps: list[tuple[float, int]]) -> None:
    """Whole seconds hold what the counter grew, but for the begun ones at both ends."""
    charts, time, total = Charts(memory=500), 100.0, 0
    charts.read(time, {"OutRsts": 0})
    for step, grown in steps:
        time, total = time + step, total + grown
        charts.read(time, {"OutRsts": total})
    chart = charts.find("ip.tcphandshake")
    assert chart is not None
    assert len(chart) == int(time) - 100
    kept = sum(sent(charts, 0, 10**6))
    assert kept == pytest.approx(total) if time == int(time) else kept <= total + 1e-6
