"""`whyreset capture` beside the wire: what provoked a reset, what went past the stack, one reset on many interfaces."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND
from tests.evidence import tshark
from tests.hosts import Host, Pair
from tests.hosts.cases import Stage
from tests.hosts.segments import Segment, send
from tests.live.test_capture import PORT, Capture, explained, path
from tests.live.test_wire import CLIENT, OURS, nft, refused

__all__ = ["path"]


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


def test_what_provoked_a_reset_is_there_though_nothing_was_armed(stage: Stage, path: Path) -> None:
    """Data for a closed connection is neither SYN nor FIN: the kernel program copied it, without its payload."""
    listener, client, server = stage.converse(PORT)
    with Capture(stage.b, path) as capture:
        server.close()
        stage.b.await_states(PORT, "FIN_WAIT2")
        client.send(b"precious secret")
        capture.await_packets(3)
    (line,) = explained(path)
    assert line["cause"] == "data-after-close"
    rows = tshark.fields(path, "tcp.flags.str", "tcp.len", "frame.comment", "frame.interface_name")
    (copied,) = [row for row in rows if "copied by the kernel program" in row[2]]
    assert (copied[1], copied[3]) == ("15", "eth0")
    assert "this provoked a reset (data-after-close)" in copied[2]
    assert b"precious" not in path.read_bytes()
    assert rows.index(copied) < next(number for number, row in enumerate(rows) if "R" in row[0])
    del listener


def test_what_an_interface_showed_is_not_there_twice(stage: Stage, path: Path) -> None:
    """A SYN is seen as a packet: its copy is left out."""
    with Capture(stage.b, path) as capture:
        stage.refused(PORT)
        capture.await_packets(2)
    rows = tshark.fields(path, "tcp.flags.str", "frame.comment")
    assert len(rows) == 2
    assert not any("copied" in row[1] for row in rows)


def test_a_reset_past_the_stack_is_told_as_that(pair: Pair, path: Path) -> None:
    """A raw socket's and a firewall's, as `watch --packets` tells them; the stack's own beside them stays its own."""
    nft(pair.b, "tcp dport 8081 counter reject with tcp reset")
    with Capture(pair.b, path) as capture, pair.b.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP):
        send(pair.b, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        refused(pair.a, OURS, 8081)
        refused(pair.a, OURS, 8082)
        capture.await_packets(5)
    causes = {line["sport"]: (line["cause"], line["certainty"], line["direction"]) for line in explained(path)}
    assert causes == {
        4445: ("not-from-stack", "certain", "sent"),
        8081: ("firewall-reject", "certain", "sent"),
        8082: ("closed-port", "certain", "sent"),
    }
    comments = [row[0] for row in tshark.fields(path, "frame.comment")]
    assert sum("firewall-reject, certain" in each for each in comments) == 1
    assert any(f"[{os.getpid()}]" in each for each in comments)


def test_behind_dnat_a_reset_has_one_explanation_and_its_way(router: tuple[Host, Host, Host], path: Path) -> None:
    """Three interfaces, two addresses, one reset: the container's, on each."""
    client, host, container = router
    host.nft(
        "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.30.0.2:80; };"
        " chain o { type nat hook postrouting priority 100; ip saddr 172.30.0.0/24 oifname eth0 masquerade; }; }"
    )
    with container.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("172.30.0.2", 80))
        listener.listen()
        with Capture(host, path) as capture:
            listener.close()
            refused(client, OURS, 8080)
            capture.await_packets(6)
    lines = explained(path)
    assert {line["cause"] for line in lines} == {"closed-port"}
    assert {line["owner"]["pid"] for line in lines} == {os.getpid()}
    assert {line["sources"][0] for line in lines} == {"recorder"}
    rows = tshark.fields(path, "tcp.flags.reset", "frame.interface_name", "frame.comment")
    resets = [row for row in rows if row[0] == "1"]
    assert {row[1] for row in resets} == {"veth0", "br0", "eth0"}
    way = f"in by veth0, in by br0, out by eth0 as {OURS}:8080 to {CLIENT}:"
    assert any(way in row[2] for row in resets), resets
    syns = [row for row in rows if row[0] == "0"]
    assert all("this provoked a reset" in row[2] for row in syns if row[1] in ("veth0", "br0")), syns


def test_a_client_behind_dnat_is_read_the_same_way(router: tuple[Host, Host, Host], path: Path) -> None:
    """A reset that came in for the host's port is the one that the container received."""
    client, host, container = router
    host.nft(
        "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.30.0.2:80; };"
        " chain o { type nat hook postrouting priority 100; ip saddr 172.30.0.0/24 oifname eth0 masquerade; }; }"
    )
    with container.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, Capture(host, path) as capture:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("172.30.0.2", 80))
        listener.listen()
        with client.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.connect((OURS, 8080))
            accepted, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        accepted.close()
        capture.await_packets(9)
    lines = explained(path)
    assert len(lines) == 3
    assert {line["cause"] for line in lines} == {"linger-zero"}
    assert {line["owner"]["pid"] for line in lines} == {os.getpid()}
    assert {line["sources"][0] for line in lines} == {"recorder"}


def test_a_forwarded_reset_of_a_stranger_stays_a_strangers(router: tuple[Host, Host, Host], path: Path) -> None:
    """This host only passes it on: that is what is said."""
    client, host, container = router
    client.run("ip", "route", "add", "172.30.0.0/24", "via", OURS)
    with Capture(host, path, "--interface", "br0") as capture:
        send(container, Segment("172.30.0.2", 80, CLIENT, 5000, "R", seq=7))
        capture.await_packets(1)
    (row,) = tshark.fields(path, "frame.comment")
    assert row[0].startswith("no explanation")


def test_no_interface_becomes_promiscuous(stage: Stage, path: Path) -> None:
    """It reads what reaches the host anyway."""

    def promiscuous() -> str:
        return stage.b.run("ip", "-details", "-o", "link", "show", "eth0").out

    before = promiscuous()
    with Capture(stage.b, path) as capture:
        stage.refused(PORT)
        capture.await_packets(2)
        assert promiscuous() == before
        assert "promiscuity 0 " in before
        assert "PROMISC" not in before


def test_without_the_right_to_read_packets_it_is_one_sentence(machine: None, tmp_path: Path) -> None:
    """Though the kernel program could run: for `capture` and for `watch --evidence`, and nothing is left behind."""
    import subprocess

    drop = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--no-new-privs")
    for words in (("capture", "-o", str(tmp_path / "x.pcapng")), ("watch", "--json", "--evidence", str(tmp_path))):
        done = subprocess.run([*drop, *COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "packets may not be read without CAP_NET_RAW" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not os.listdir(tmp_path)
