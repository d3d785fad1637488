"""Records what Debian's Netdata, Prometheus with node_exporter and sysstat stored of two surges.

Run as root: python -m tests.stored.record

All three watch one network namespace with no way out, at the same time. What they answer to `whyreset past` is kept as
it came over HTTP, by the address asked for; of sysstat its own file, and what sadf makes of it. Takes two minutes.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.alerts.netdata import Netdata as RunningNetdata
from tests.hosts import Host
from tests.hosts.hosts import await_true
from tests.live import stored_surges
from whyreset.past import past
from whyreset.sources import web
from whyreset.sources.netdata import Netdata
from whyreset.sources.prometheus import Prometheus

ANSWERS = Path(__file__).parent / "answers"
NETDATA, PROMETHEUS = "http://127.0.0.1:19999", "http://127.0.0.1:9090"
STEP = 5
_SCRAPING = """
global:
  scrape_interval: 5s
  scrape_timeout: 4s
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:9100"]
"""
_QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextmanager
def _running(host: Host, *command: str) -> Iterator[None]:
    process = host.start(*command, env=os.environ | {"DO_NOT_TRACK": "1"}, **_QUIET)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def prometheus(host: Host, folder: Path) -> Iterator[None]:
    """A Prometheus that asks a node_exporter every five seconds."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(_SCRAPING)
    exporter = (
        *("prometheus-node-exporter", "--web.listen-address=127.0.0.1:9100"),
        *("--collector.disable-defaults", "--collector.netstat", "--collector.uname"),
    )
    server = (
        *("prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"),
        *("--web.listen-address=127.0.0.1:9090", "--log.level=error"),
    )
    with _running(host, *exporter), _running(host, *server):
        yield


def main() -> None:
    """Writes the answers anew."""
    with ExitStack() as stack:
        host = stack.enter_context(Host("web1"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stored_surges.aborts_before(host)
        stack.enter_context(prometheus(host, folder))
        stack.enter_context(RunningNetdata(host, stock=False))
        sadc = ("/usr/lib/sysstat/sadc", "-S", "SNMP", str(STEP), str(folder / "sa"))
        stack.enter_context(_running(host, *sadc))
        began = time.time()
        time.sleep(30)
        stored_surges.unread_data(host)
        time.sleep(45)
        stored_surges.accept_queue(host)
        time.sleep(12)
        since, until = math.floor(began), math.ceil(time.time())
        await_true(lambda: time.time() > until + 2 * STEP, "the last values", 60)
        for store in (Netdata(NETDATA), Prometheus(PROMETHEUS, instance="", here="web1")):
            kept: dict[str, str] = {}
            with host.inside(), _keeping(kept):
                found = past(store, since, until, default=0, journal="none")
            print(store.name, len(found.surges), "surges,", len(kept), "answers")
            document = {"since": since, "until": until, "answers": kept}
            (ANSWERS / f"{store.name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        sadf = ("sadf", "-j", str(folder / "sa"), "--", "-n", "TCP,ETCP")
        done = subprocess.run(sadf, check=True, capture_output=True, text=True)
        (ANSWERS / "sysstat.json").write_text(_neutral(done.stdout))


def _neutral(text: str) -> str:
    """Without what is this machine's own."""
    return text.replace(f'"{platform.node()}"', '"web1"').replace(platform.release(), "6.1.0")


@contextmanager
def _keeping(into: dict[str, str]) -> Iterator[None]:
    """Every answer over HTTP is kept, too; those that were refused as their status."""
    original = web.Server._get

    def get(self: web.Server, target: str) -> bytes:
        try:
            body = original(self, target)
        except web.Refused as refusal:
            into[target] = str(refusal.status)
            raise
        text = body.decode()
        if target == "/netdata.conf":
            text = "".join(line for line in text.splitlines(keepends=True) if " TCP " in line)
        into[target] = _neutral(text)
        return body

    web.Server._get = get  # type: ignore[method-assign]
    try:
        yield
    finally:
        web.Server._get = original  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
