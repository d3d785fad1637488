"""The counters of one's own namespace, which anybody may read."""

import os
import socket
from pathlib import Path

import pytest

from tests import needs
from tests.hosts import Host
from whyreset.sources import counters
from whyreset.sources.base import SourceError
from whyreset.sources.counters import OwnCounters

SNMP = "Ip: Forwarding\nIp: 1\nTcp: RtoMin OutRsts InErrs\nTcp: 200 7 2\n"
NETSTAT = "TcpExt: SyncookiesSent TCPAbortOnClose Newer\nTcpExt: 1 3 9\nIpExt: InOctets\nIpExt: 5\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc of our own for this thread."""
    (tmp_path / "net").mkdir()
    (tmp_path / "ns").mkdir()
    (tmp_path / "ns/net").touch()
    (tmp_path / "net/snmp").write_text(SNMP)
    (tmp_path / "net/netstat").write_text(NETSTAT)
    monkeypatch.setattr(counters, "_PROC", tmp_path)
    return tmp_path


def started() -> OwnCounters:
    """The source, reading."""
    source = OwnCounters()
    source.start()
    return source


def test_counters_that_bear_on_resets_are_read_by_name(proc: Path) -> None:
    """Others, and those of other protocols, are left out."""
    assert started().read().values == {"OutRsts": 7, "InErrs": 2, "SyncookiesSent": 1, "TCPAbortOnClose": 3}


def test_a_line_that_is_cut_gives_what_it_holds(proc: Path) -> None:
    """A name without its figure is not made up."""
    (proc / "net/netstat").write_text("TcpExt: SyncookiesSent TCPAbortOnClose\nTcpExt: 1\n")
    assert "TCPAbortOnClose" not in started().read().values


@pytest.mark.parametrize("text", ["Tcp: OutRsts\nTcp: many\n", None], ids=["no number", "no file"])
def test_what_cannot_be_read_is_an_error_with_a_sentence(proc: Path, text: str | None) -> None:
    """It is not taken for a namespace in which nothing happens."""
    source = started()
    if text is None:
        (proc / "net/netstat").unlink()
    else:
        (proc / "net/netstat").write_text(text)
    with pytest.raises(SourceError, match="cannot be read"):
        source.read()


def test_without_counters_the_source_cannot_run(proc: Path) -> None:
    """It says what is missing."""
    (proc / "net/snmp").unlink()
    with pytest.raises(SourceError, match="snmp is missing"):
        started()


def test_the_namespace_is_this_threads() -> None:
    """Its number and cookie are those that others know it by."""
    needs.root()
    with Host("a") as host:
        with host.inside():
            read = started().read()
        assert (read.netns, read.netns_cookie) == (host.inode, host.cookie)
        assert read.values == {name: host.counters()[name] for name in read.values}


def test_an_older_kernel_has_the_inode_number_for_a_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option that gives the cookie came with 5.14."""
    monkeypatch.setattr(counters, "_SO_NETNS_COOKIE", 9999)
    assert started().read().netns_cookie == os.stat("/proc/thread-self/ns/net").st_ino


def test_what_a_full_queue_does_is_read_from_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and a missing file are the same: no resets."""
    setting = tmp_path / "tcp_abort_on_overflow"
    monkeypatch.setattr(counters, "_OVERFLOW", setting)
    source = started()
    assert not source.aborts_on_overflow()
    for text, expected in (("1\n", True), ("0\n", False)):
        setting.write_text(text)
        assert source.aborts_on_overflow() == expected


def test_reading_moves_with_what_happens() -> None:
    """A refused connect is counted."""
    needs.root()
    with Host("a") as host:
        with host.inside():
            source = started()
            before = source.read().values["OutRsts"]
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", 9))
        with host.inside():
            assert source.read().values["OutRsts"] == before + 1
