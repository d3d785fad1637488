"""Debian's Netdata, started in a namespace of its own: loopback only, nothing written outside of a temporary folder.

Telemetry, the cloud, machine learning and notifications are off; it collects what the stock rules look at and no more.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tests.hosts.hosts import Host

BINARY = Path("/usr/sbin/netdata")
STOCK = Path("/usr/lib/netdata/conf.d/health.d")
STOCK_FILES = ("tcp_resets.conf", "tcp_listen.conf", "tcp_orphans.conf", "tcp_mem.conf", "tcp_conn.conf")
_PORT = 19999
_CONFIGURATION = """
[global]
    run as user = root
    hostname = peer
[directories]
    config = {0}/etc
    stock config = {0}/stock
    cache = {0}/cache
    lib = {0}/lib
    log = {0}/log
    web = {0}/web
    health config = {0}/etc/health.d
    stock health config = {0}/stock/health.d
[db]
    mode = ram
    retention = 1800
[health]
    script to execute on alarm = /bin/true
[ml]
    enabled = no
[cloud]
    enabled = no
[statsd]
    enabled = no
[web]
    bind to = 127.0.0.1
    default port = {1}
[plugins]
    proc = yes
    netdata monitoring = yes
    enable running new plugins = no
    timex = no
    checks = no
    idlejitter = no
    tc = no
    diskspace = no
    cgroups = no
    apps = no
    ebpf = no
    perf = no
    slabinfo = no
    nfacct = no
[plugin:proc:/proc/net/snmp]
    ipv4 TCP handshake issues = yes
    ipv4 TCP connections = yes
[plugin:proc:/proc/net/netstat]
    TCP accept queue = yes
    TCP SYN queue = yes
[plugin:proc]
    /proc/pressure = no
    /proc/interrupts = no
    /proc/softirqs = no
    /proc/vmstat = no
    /proc/meminfo = no
    /proc/diskstats = no
    /proc/net/softnet_stat = no
    /proc/net/stat/nf_conntrack = no
"""


class Netdata:
    """A running Netdata. Use as a context manager.

    Args:
        host: the namespace that it lives in and counts.
        stock: Debian's rules for TCP, unchanged.
        rules: further rules, in its syntax.
    """

    def __init__(self, host: Host, *, stock: bool = True, rules: str = "") -> None:
        self._host = host
        self._folder = tempfile.TemporaryDirectory(prefix="netdata-")
        root = Path(self._folder.name)
        for name in ("etc/health.d", "stock/health.d", "cache", "lib", "log", "web"):
            (root / name).mkdir(parents=True)
        (root / "etc/.opt-out-from-anonymous-statistics").touch()
        (root / "etc/netdata.conf").write_text(_CONFIGURATION.format(root, _PORT))
        (root / "etc/health.d/more.conf").write_text(rules)
        for name in STOCK_FILES if stock else ():
            (root / "stock/health.d" / name).symlink_to(STOCK / name)
        self._log = root / "log/error.log"

    def __enter__(self) -> Self:
        command = ("nice", "-n", "5", str(BINARY), "-D", "-c", f"{self._folder.name}/etc/netdata.conf")
        environment = os.environ | {"DO_NOT_TRACK": "1", "DISABLE_TELEMETRY": "1"}
        null = subprocess.DEVNULL
        self._process = self._host.start(*command, env=environment, stdin=null, stdout=null, stderr=null)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.ask("info")
                return self
            except (urllib.error.URLError, ConnectionError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__()
                    raise TimeoutError("Netdata does not answer") from error
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def ask(self, what: str, *words: str, **parameters: object) -> Any:
        """An answer of its API, version 1."""
        query = "&".join([*words, *(f"{name}={value}" for name, value in parameters.items())])
        with self._host.inside(), urllib.request.urlopen(f"http://127.0.0.1:{_PORT}/api/v1/{what}?{query}") as answer:
            return json.load(answer)

    def alarms(self) -> dict[str, dict[str, Any]]:
        """All alarms by name (that of the rule, without its chart)."""
        return {alarm["name"]: alarm for alarm in self.ask("alarms", "all")["alarms"].values()}

    def history(self, chart: str, seconds: int, dimensions: Iterable[str]) -> dict[int, list[float]]:
        """What it stored of a chart, by second, oldest first; what was not collected is left out."""
        answer = self.ask("data", chart=chart, after=-seconds, points=0, options="unaligned,match-ids", format="json")
        columns = [answer["labels"].index(name) for name in dimensions]
        rows = {int(row[0]): [row[column] for column in columns] for row in answer["data"]}
        return {second: row for second, row in sorted(rows.items()) if None not in row}

    def changes(self) -> list[dict[str, Any]]:
        """Every change of a status, oldest first."""
        return sorted(self.ask("alarm_log", after=0), key=lambda entry: int(entry["unique_id"]))

    def complaints(self) -> list[str]:
        """What it said about its rules."""
        return [line for line in self._log.read_text().splitlines() if "Health configuration" in line]
