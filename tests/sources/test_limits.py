import os
from pathlib import Path

from whyreset.sources.limits import LimitSource

PAGE_KIB = os.sysconf("SC_PAGESIZE") / 1024
SOCKSTAT = "sockets: used 27\nTCP: inuse 3 orphan 4 tw 1 alloc 6 mem 176\nUDP: inuse 9 mem 9\n"
SNMP = "Tcp: RtoAlgorithm CurrEstab InSegs\nTcp: 1 42 7\n"


def proc(folder: Path, **files: str) -> Path:
    """A /proc with these files."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_gauges_and_limits_by_the_names_that_rules_know(tmp_path: Path) -> None:
    """Memory is counted in pages there and in KiB here."""
    root = proc(
        tmp_path,
        uptime="1234.5 99.0\n",
        self__net__sockstat=SOCKSTAT,
        self__net__snmp=SNMP,
        sys__net__ipv4__tcp_max_orphans="8192\n",
        sys__net__ipv4__tcp_mem="100\t200\t300\n",
    )
    host = LimitSource(root).read(0)
    assert host.uptime == 1234.5
    assert host.gauges == {"inuse": 3, "orphan": 4, "tw": 1, "alloc": 6, "mem": 176 * PAGE_KIB, "CurrEstab": 42}
    assert host.limits["tcp_max_orphans"] == 8192
    assert host.limits["tcp_mem_high"] == 300 * PAGE_KIB
    assert host.limits["tcp_max_connections"] == -1


def test_limits_are_read_again_once_a_minute(tmp_path: Path) -> None:
    """Gauges each time."""
    root = proc(tmp_path, self__net__sockstat=SOCKSTAT, sys__net__ipv4__tcp_max_orphans="10")
    source = LimitSource(root)
    source.read(0)
    proc(tmp_path, self__net__sockstat=SOCKSTAT.replace("orphan 4", "orphan 5"), sys__net__ipv4__tcp_max_orphans="20")
    assert source.read(59).gauges["orphan"] == 5
    assert source.read(59).limits["tcp_max_orphans"] == 10
    assert source.read(60).limits["tcp_max_orphans"] == 20


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    """In a namespace of its own a host shows no limits, and nothing is a reason to fail."""
    host = LimitSource(tmp_path).read(0)
    assert (host.netns, host.uptime, host.gauges) == (0, 0.0, {})
    assert set(host.limits) == {"tcp_max_connections"}
    host = LimitSource(
        proc(tmp_path, self__net__sockstat="TCP: inuse\n\n", self__net__snmp="Tcp: a\n", uptime="")
    ).read(0)
    assert host.gauges == {}


def test_this_host() -> None:
    """The real thing."""
    host = LimitSource().read(0)
    assert host.netns == Path("/proc/self/ns/net").stat().st_ino
    assert host.uptime > 0
    assert host.gauges.keys() >= {"inuse", "orphan", "tw", "alloc", "mem", "CurrEstab"}


def test_when_packages_changed(tmp_path: Path) -> None:
    """The latest of the files that package managers write; 0 where there is none."""
    host = tmp_path / "host"
    status, installed = host / "var/lib/dpkg/status", host / "lib/apk/db/installed"
    for path, seconds in ((status, 1000), (installed, 2000)):
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (seconds, seconds))
    assert LimitSource(tmp_path, host).read(0).packages_changed_ns == 2000 * 10**9
    source = LimitSource(tmp_path, host)
    installed.unlink()
    assert source.read(0).packages_changed_ns == 1000 * 10**9
    assert LimitSource(tmp_path, tmp_path / "nothing").read(0).packages_changed_ns == 0
