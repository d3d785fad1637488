"""What a Netdata stored: which charts it keeps, what a chart that is not there means, and any answer at all."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyreset.sources import web
from whyreset.sources.base import SourceError
from whyreset.sources.netdata import Netdata
from whyreset.stored import COUNTERS

SINCE, UNTIL = 1_000_000, 1_000_060
ABORTS = ("TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger", "TCPAbortOnMemory", "TCPAbortOnTimeout")
Charts = dict[str, dict[str, Any]]


def chart(name: str, *dimensions: str, **words: Any) -> dict[str, Any]:
    """What Netdata says of a chart."""
    told = {"id": name, "update_every": 1, "first_entry": SINCE - 1000, "last_entry": UNTIL}
    return {**told, "dimensions": {each: {"name": each.lower()} for each in dimensions}, **words}


def served(
    monkeypatch: pytest.MonkeyPatch,
    charts: Charts,
    rate: Callable[[str, int], float | None] = lambda counter, at: 0,
    configuration: str = "",
    spacing: int = 1,
) -> None:
    """Answers as Netdata does, from rates of counters by time."""

    def get(_: web.Server, target: str) -> bytes:
        parts = urlsplit(target)
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/api/v1/info"):
            return b'{"version": "v1.37.1", "mirrored_hosts": ["web1", "child"]}'
        if parts.path.endswith("/netdata.conf"):
            return configuration.encode()
        if words["chart"] not in charts:
            raise web.Refused(404, "no such chart")
        if parts.path.endswith("/chart"):
            return json.dumps(charts[words["chart"]]).encode()
        names = words["dimensions"].split("|")
        after, before = int(words["after"]), int(words["before"])
        times = [at for at in range(before, after, -1) if at % spacing == 0]
        rows = [[at, *(rate(name, at) for name in names)] for at in times]
        return json.dumps({"labels": ["time", *(name.lower() for name in names)], "data": rows}).encode()

    monkeypatch.setattr(web.Server, "_get", get)


HANDSHAKE = {"ipv4.tcphandshake": chart("ipv4.tcphandshake", "OutRsts", "EstabResets", "AttemptFails")}


def opened(url: str = "http://h") -> Netdata:
    """One that was asked what it has."""
    store = Netdata(url)
    store.open(SINCE, UNTIL)
    return store


@pytest.mark.parametrize("prefix", ["ip", "ipv4"])
def test_charts_are_found_by_their_old_and_new_names(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dimensions by the kernel's name, whatever they are called."""
    name = f"{prefix}.tcphandshake"
    served(monkeypatch, {name: chart(name, "OutRsts")}, lambda counter, at: -3.5 if at == SINCE + 5 else 0)
    store = opened()
    series = store.read(("OutRsts",), SINCE, UNTIL)
    assert [(index, count) for index, count in enumerate(series.counts["OutRsts"]) if count] == [(4, 3.5)]
    assert (store.host, store.step) == ("web1", 1)


@pytest.mark.parametrize(
    ("configuration", "known"),
    [
        ("\t# TCP connection aborts = auto\n", True),
        ("\tTCP connection aborts = yes\n", True),
        ("\tTCP connection aborts = no\n", False),
        ("", False),
    ],
)
def test_a_chart_that_is_not_there_means_that_nothing_moved(
    configuration: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it would be kept as soon as something did; else nothing is known of its counters."""
    served(monkeypatch, HANDSHAKE, configuration=configuration)
    store = opened()
    assert (set(ABORTS) <= store.counters) is known
    assert any("tcpconnaborts" in note for note in store.notes()) is not known
    if known:
        assert sum(store.read(ABORTS, SINCE, UNTIL).counts["TCPAbortOnData"]) == 0


def test_a_chart_that_came_to_be_in_that_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first moment is not stored."""
    young = chart("ip.tcpconnaborts", *ABORTS, first_entry=SINCE + 30)
    served(monkeypatch, {**HANDSHAKE, "ip.tcpconnaborts": young})
    assert any("only since they first moved" in note for note in opened().notes())


def test_a_child_of_a_parent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address; the parent's configuration says nothing of it."""
    served(monkeypatch, HANDSHAKE, configuration="\tTCP connection aborts = auto\n")
    store = opened("http://parent:19999/host/child")
    assert store.host == "child"
    assert "TCPAbortOnData" not in store.counters


def test_means_of_a_minute_keep_their_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is long ago is stored coarser than it was."""
    served(monkeypatch, HANDSHAKE, lambda counter, at: 2.0, spacing=20)
    counts = opened().read(("OutRsts",), SINCE, UNTIL).counts["OutRsts"]
    assert sum(counts) == pytest.approx(120)


def test_seconds_that_were_not_collected_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of them."""
    served(monkeypatch, HANDSHAKE, lambda counter, at: None if SINCE + 10 < at <= SINCE + 20 else 1)
    series = opened().read(("OutRsts",), SINCE, UNTIL)
    assert list(series.gaps) == [(SINCE + 10, SINCE + 20)]
    assert sum(series.counts["OutRsts"]) == 50


def test_without_a_chart_of_resets_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which chart that would be."""
    served(monkeypatch, {"ip.tcpopens": chart("ip.tcpopens", "ActiveOpens")})
    with pytest.raises(SourceError, match="keeps no chart of OutRsts"):
        opened()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "labels", "id"]), inner),
    max_leaves=10,
)
ROWS = st.lists(st.lists(st.integers(SINCE - 5, UNTIL + 5) | st.floats() | st.none(), max_size=4), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(answer=JSON | st.fixed_dictionaries({"labels": st.just(["time", "outrsts"]), "data": ROWS}))
def test_any_answer_gives_a_series_or_a_sentence(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as what was asked for, and never below zero."""
    served(monkeypatch, HANDSHAKE)
    store = opened()
    monkeypatch.setattr(web.Server, "_get", lambda *_: json.dumps(answer).encode())
    with suppress(SourceError):
        series = store.read(COUNTERS, SINCE, UNTIL)
        assert all(len(counts) == UNTIL - SINCE and min(counts) >= 0 for counts in series.counts.values())
