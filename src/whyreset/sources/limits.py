"""What TCP of the whole host stands at and may come to: orphans, memory, and the settings that limit them.

Read from /proc, as anybody may; what is not there is left out. Orphans and memory are counted for all namespaces
together; their limits are only visible in the host's first one.
"""

from __future__ import annotations

import os
from pathlib import Path

from whyreset.model import Host

_LIMITS_EVERY = 60.0
#: The kernel counts memory in pages, charts and rules do in KiB.
_PAGE_KIB = os.sysconf("SC_PAGESIZE") / 1024

#: What package managers write when they install, upgrade or remove: dpkg, rpm (three places), pacman, apk.
_PACKAGES = (
    *("var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/Packages"),
    *("var/lib/pacman/local", "lib/apk/db/installed"),
)


class LimitSource:
    """Reads gauges each time, and limits once a minute.

    Args:
        root: where /proc is.
        host: where the host's file system is.
    """

    def __init__(self, root: Path = Path("/proc"), host: Path = Path("/")) -> None:
        self._limits_in = root / "sys/net/ipv4"
        # read each second: no paths are put together then
        self._uptime, self._sockstat, self._snmp = (
            str(root / name) for name in ("uptime", "self/net/sockstat", "self/net/snmp")
        )
        self._packages = [path for path in (str(host / each) for each in _PACKAGES) if os.path.exists(path)]
        self._limits: dict[str, float] = {}
        self._limits_at: float | None = None
        self._netns = _inode(root / "self/ns/net")

    def read(self, now: float) -> Host:
        """What there is now.

        Args:
            now: seconds of any steady clock.
        """
        if self._limits_at is None or now - self._limits_at >= _LIMITS_EVERY:
            self._limits, self._limits_at = self._read_limits(), now
        uptime = _numbers(_text(self._uptime).split()[:1])
        return Host(
            netns=self._netns,
            uptime=uptime[0] if uptime else 0.0,
            packages_changed_ns=max(map(_changed_ns, self._packages), default=0),
            gauges=self._read_gauges(),
            limits=self._limits,
        )

    def _read_gauges(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for line in _text(self._sockstat).splitlines():
            if line.startswith("TCP:"):
                words = line.split()[1:]
                found.update(zip(words[::2], _numbers(words[1::2]), strict=False))
        if "mem" in found:
            found["mem"] *= _PAGE_KIB
        tcp = [line.split()[1:] for line in _text(self._snmp).splitlines() if line.startswith("Tcp:")]
        if len(tcp) == 2 and "CurrEstab" in tcp[0]:
            found["CurrEstab"] = float(tcp[1][tcp[0].index("CurrEstab")])
        return found

    def _read_limits(self) -> dict[str, float]:
        found = {"tcp_max_connections": -1.0}  # Linux has no such limit, RFC 4022 wants -1 then
        if orphans := _numbers(_text(self._limits_in / "tcp_max_orphans").split()):
            found["tcp_max_orphans"] = orphans[0]
        memory = _numbers(_text(self._limits_in / "tcp_mem").split())
        found.update(
            zip(("tcp_mem_low", "tcp_mem_pressure", "tcp_mem_high"), (x * _PAGE_KIB for x in memory), strict=False)
        )
        return found


def _text(path: str | Path) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _numbers(words: list[str]) -> list[float]:
    return [float(word) for word in words if word.isdecimal() or word.replace(".", "", 1).isdecimal()]


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
