"""What a Prometheus stored: which host is meant, counters that begin anew, scrapes that failed, and any answer."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyreset.sources import web
from whyreset.sources.base import SourceError
from whyreset.sources.prometheus import Prometheus

SINCE, UNTIL = 1_000_000, 1_000_900
Samples = Mapping[str, Sequence[tuple[float, float]]]


def served(monkeypatch: pytest.MonkeyPatch, instances: dict[str, str], samples: Samples) -> list[str]:
    """Answers as Prometheus does: instances with their jobs, and samples by metric. Returns the queries."""
    asked: list[str] = []

    def get(_: web.Server, target: str) -> bytes:
        parts = urlsplit(target)
        words = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/api/v1/series":
            match = words["match[]"]
            names = [name for name in samples if match.startswith(("{", name))]
            found = [
                {"__name__": name, "instance": instance, "job": job}
                for name in names
                for instance, job in instances.items()
            ]
            return json.dumps({"status": "success", "data": found}).encode()
        asked.append(words["query"])
        result = [
            {"metric": {"__name__": name}, "values": [[at, f"{value:g}"] for at, value in values]}
            for name, values in samples.items()
            if name in words["query"]
        ]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()

    monkeypatch.setattr(web.Server, "_get", get)
    return asked


RESETS = "node_netstat_Tcp_OutRsts"
QUIET: Samples = {RESETS: [(SINCE + at, 5) for at in range(0, 900, 15)]}


def opened(instance: str = "", here: str = "here") -> Prometheus:
    """One that was asked what it has."""
    store = Prometheus("http://h", instance=instance, here=here)
    store.open(SINCE, UNTIL)
    return store


@pytest.mark.parametrize("instance", ["", "web1", "web1:9100"])
def test_one_host_is_found(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its label with or without the port, or because it is the only one."""
    asked = served(monkeypatch, {"web1:9100": "node"}, QUIET)
    store = opened(instance)
    assert store.step == 15
    assert 'instance="web1:9100",job="node"' in asked[0]


def test_of_several_hosts_this_one_is_taken_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this host's name."""
    served(monkeypatch, {"web1.example:9100": "node", "web2:9100": "node"}, QUIET)
    assert any("this is web1.example:9100" in note for note in opened(here="web1").notes())


@pytest.mark.parametrize(
    ("instance", "said"), [("", "stores 9 hosts: choose"), ("x", "stores no hosts named x: choose")]
)
def test_where_it_cannot_be_told_the_user_chooses(instance: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among those that there are; a long list is cut."""
    served(monkeypatch, {f"web{number}:9100": "node" for number in range(9)}, QUIET)
    with pytest.raises(SourceError, match=said) as caught:
        opened(instance)
    assert str(caught.value).endswith("web7:9100, ...")


def test_a_label_is_quoted_in_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it holds."""
    asked = served(monkeypatch, {'a"} or {b="c': "node"}, QUIET)
    opened()
    assert 'instance="a\\"} or {b=\\"c"' in asked[0]


def test_a_boot_is_no_surge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters that begin anew lose nothing but what came before the next value."""
    values = [(SINCE + at, 1000.0 if at < 450 else (at - 450) / 15) for at in range(0, 900, 15)]
    served(monkeypatch, {"web1:9100": "node"}, {RESETS: values})
    series = opened().read(("OutRsts",), SINCE, UNTIL)
    assert list(series.restarts) == [SINCE + 450]
    assert max(series.counts["OutRsts"]) == 1


def test_scrapes_that_failed_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came meanwhile is known in sum."""
    values = [(SINCE + at, at) for at in range(0, 900, 15) if not 300 < at < 450]
    served(monkeypatch, {"web1:9100": "node"}, {RESETS: values})
    series = opened().read(("OutRsts",), SINCE, UNTIL)
    assert (SINCE + 300, SINCE + 450) in series.gaps
    assert sum(series.counts["OutRsts"]) == pytest.approx(885)


def test_what_node_exporter_does_not_export_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the series that exist."""
    served(monkeypatch, {"web1:9100": "node"}, {**QUIET, "node_netstat_TcpExt_TCPAbortOnData": QUIET[RESETS]})
    assert opened().counters == {"OutRsts", "TCPAbortOnData"}


def test_a_prometheus_without_node_exporter_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another's."""
    served(monkeypatch, {}, {})
    with pytest.raises(SourceError, match="node_exporter's netstat collector gives it"):
        opened()


VALUES = st.lists(
    st.tuples(st.floats() | st.integers(SINCE, UNTIL), st.floats().map(str) | st.text(max_size=3)), max_size=9
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(resets=VALUES, others=VALUES)
def test_any_samples_give_a_series_or_a_sentence(
    resets: list[Any], others: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bounded time and memory, whatever their times."""
    served(monkeypatch, {"web1:9100": "node"}, {RESETS: []})
    series = web.Server._get

    def get(server: web.Server, target: str) -> bytes:
        if "/query" not in target:
            return series(server, target)
        metrics = ((RESETS, resets), ("node_netstat_Tcp_EstabResets", others))
        result = [{"metric": {"__name__": name}, "values": values} for name, values in metrics]
        return json.dumps({"data": {"result": result}}).encode()

    monkeypatch.setattr(web.Server, "_get", get)
    store = Prometheus("http://h", instance="", here="")
    with suppress(SourceError):
        store.open(SINCE, UNTIL)
        read = store.read(("OutRsts", "EstabResets"), SINCE, UNTIL)
        assert all(min(counts, default=0) >= 0 for counts in read.counts.values())
