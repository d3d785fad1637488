"""What Debian's Netdata, Prometheus with node_exporter and sysstat stored of two surges, read again."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests import needs
from tests.stored.server import Answering, recorded
from whyreset.outputs import lines
from whyreset.outputs.past import text
from whyreset.outputs.wire_past import lines as past_lines
from whyreset.past import past
from whyreset.sources.netdata import Netdata
from whyreset.sources.prometheus import Prometheus
from whyreset.sources.sysstat import Sysstat
from whyreset.stored import Past

ANSWERS = Path(__file__).parent / "answers"
#: Each surge was of so many resets: connections closed with data unread, then a full accept queue.
RESETS = 400


def read(name: str) -> Past:
    """What whyreset makes of a recording."""
    if name == "sysstat":
        return past(Sysstat([str(ANSWERS / "sysstat.json")]), None, 2e9, default=0, journal="none")
    needs.root()
    document: dict[str, Any] = json.loads((ANSWERS / f"{name}.json").read_text())
    with Answering(recorded(document["answers"])) as server, server.host.inside():
        store = Netdata(server.url) if name == "netdata" else Prometheus(server.url, instance="", here="web1")
        return past(store, document["since"], document["until"], default=0, journal="none")


@pytest.fixture(scope="module", params=["netdata", "prometheus", "sysstat"])
def found(request: pytest.FixtureRequest) -> Past:
    """Each of the three."""
    return read(request.param)


def test_both_surges_are_found_with_all_their_resets(found: Past) -> None:
    """When, and how many; none is lost between two steps, and nothing else is a surge."""
    assert len(found.surges) == 2
    for surge in found.surges:
        assert abs(surge.count - RESETS) <= 0.02 * RESETS
        assert 3 <= surge.end - surge.begin <= 5 + 3 * found.step
        assert surge.peak >= 0.5 * RESETS / (4 + 2 * found.step)
        assert surge.usual == 0
        assert not surge.ongoing
    first, second = found.surges
    assert 40 <= second.begin - first.begin <= 60
    assert abs(found.count - 2 * RESETS) <= 10


def test_the_shares_are_of_what_was_counted(found: Past) -> None:
    """Each reset is in one family, or among those that cannot be told apart."""
    for surge in found.surges:
        assert sum(each.count for each in surge.families) == surge.count


def test_netdata_tells_the_family_or_puts_it_first() -> None:
    """It stores the abort counters; of the accept queue half of the fingerprint."""
    unread, queue = read("netdata").surges
    assert [(each.family, each.causes) for each in unread.families] == [("abort", ("unread-data",))]
    [*_, rest] = queue.families
    assert rest.candidates[0] == "listen-queue"
    assert any("ListenOverflows" in hint for hint in queue.hints)


def test_prometheus_tells_candidates() -> None:
    """node_exporter gives no abort counter unless told to: nothing is claimed."""
    found = read("prometheus")
    assert "TCPAbortOnClose" in found.lacking
    unread, queue = found.surges
    [rest] = unread.families
    assert rest.family == "unknown"
    assert {"abort", "closed-port", "memory"} <= set(rest.candidates)
    assert queue.families[-1].candidates[0] == "listen-queue"


def test_sysstat_tells_that_connections_were_cut() -> None:
    """Of all counters beside resets it has the established connections that were reset: enough for an order."""
    unread, _ = read("sysstat").surges
    [rest] = unread.families
    assert rest.candidates[0] == "abort"


def test_what_cannot_be_known_is_said(found: Past) -> None:
    """Ports, addresses and processes; containers; counters that are not stored; a coarse step."""
    said = " ".join(text(found, 100).split())
    for words in ("what can no longer be known", "which ports, which processes", "containers", "EmbryonicRsts"):
        assert words in said
    assert ("bursts and pauses" in said) == (found.step >= 5)
    assert "journal" in [each.source for each in found.unknown]


def test_lines_are_of_the_schema(found: Past) -> None:
    """Start, surges, what was looked at, end."""
    written = [json.loads(msgspec.json.encode(line)) for line in past_lines(found, 0, version="1")]
    assert [line["type"] for line in written] == ["start", "surge", "surge", "past", "end"]
    for line in written:
        jsonschema.validate(line, lines.schema())
