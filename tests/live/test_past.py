"""`whyreset past` on what a real Netdata stored of real surges: each one's family is named, or is first in line."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import msgspec
import pytest

from benchmarks.alerts.netdata import BINARY, Netdata
from tests import needs
from tests.cli.whyreset import COMMAND
from tests.hosts import Host
from tests.hosts.hosts import await_true
from tests.live.stored_surges import SURGES, aborts_before
from tests.owners.test_incidents import SYSTEMD, write_journal

Line = dict[str, Any]
URL = "http://127.0.0.1:19999"
#: Seconds of quiet before a surge, so that something is usual.
QUIET = 10


def _wait_for(netdata: Netdata, seconds: int, since: float) -> None:
    """Until that Netdata has stored so many seconds after that time."""

    def stored() -> bool:
        try:
            history = netdata.history("ipv4.tcphandshake", 60, ["OutRsts"])
        except HTTPError as error:  # a chart comes to be when its first value does
            error.close()
            return False
        return sum(at > since for at in history) >= seconds

    await_true(stored, f"{seconds} s of history", 60)


def _play(name: str, folder: Path, together: threading.Barrier) -> list[Line]:
    with Host(name.replace(" ", "-")) as host:
        aborts_before(host)
        with Netdata(host, stock=False) as netdata:
            _wait_for(netdata, QUIET, 0)
            together.wait(60)
            began = time.time()
            SURGES[name][0](host)
            _wait_for(netdata, 3, time.time())
            died = (
                f"{SYSTEMD}MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15\nUNIT=api.service\n"
                "MESSAGE=api.service: Main process exited, code=dumped, status=11/SEGV\n"
            )
            journal = write_journal(folder / f"{name}.journal", began, [(-1, died)])
            words = ("past", "--netdata", URL, "--since", "5m", "--journal", str(journal), "--json")
            done = host.run(*COMMAND, *words)
    return [msgspec.json.decode(line) for line in done.out.splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Line]]]:
    """What is told of each surge; all are played at once, each beside a Netdata of its own."""
    needs.root()
    if not BINARY.exists():
        pytest.skip("Debian's netdata is not installed (package netdata-core)")
    folder, together = tmp_path_factory.mktemp("past"), threading.Barrier(len(SURGES))
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(SURGES)))
        plays = {name: pool.submit(_play, name, folder, together) for name in SURGES}
        yield {name: play.result() for name, play in plays.items()}


@pytest.mark.parametrize("name", SURGES)
def test_a_surge_that_is_over_is_told_with_its_family(name: str, told: dict[str, list[Line]]) -> None:
    """Where a counter speaks for the family it is named; else it is the first of those that it may be of."""
    _, family, counters = SURGES[name]
    [surge] = [line for line in told[name] if line["type"] == "surge"]
    assert surge["count"] == pytest.approx(400, abs=20)
    most = max(surge["families"], key=lambda each: each["count"])
    assert most["count"] >= 0.9 * surge["count"]
    if counters:
        assert (most["family"], most["certainty"], tuple(most["counters"])) == (family, "likely", counters)
    else:
        assert most["certainty"] == "unknown"
        place = most["candidates"].index(family)
        assert place <= (1 if family == "half-open" else 0)


@pytest.mark.parametrize("name", SURGES)
def test_what_crashed_then_is_near(name: str, told: dict[str, list[Line]]) -> None:
    """With how many seconds before."""
    [surge] = [line for line in told[name] if line["type"] == "surge"]
    [suspect] = surge["incidents"]
    assert (suspect["kind"], suspect["unit"], suspect["near"]) == ("crash", "api.service", "begin")
    assert -4 <= suspect["offset"] <= 1


def test_what_netdata_cannot_tell_is_said(told: dict[str, list[Line]]) -> None:
    """The counters that it does not store, and what counters never hold."""
    [past] = [line for line in told["closed port"] if line["type"] == "past"]
    assert past["lacking"] == ["TCPKeepAlive", "EmbryonicRsts"]
    assert {"packets", "namespaces", "firewall"} <= {each["source"] for each in past["missing"]}
