"""One reset is one, whatever lies on its way: tags, address translation, devices that cut and join segments."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from tests.core.packets import ethernet, ipv4, tcp
from tests.hosts import Host, Pair
from tests.hosts.hosts import HARDWARE
from tests.hosts.offload import offload
from tests.hosts.segments import Segment, send
from tests.live.test_wire import CLIENT, OURS, account, lost, of, refused, wait_for, watching

CONTAINER = "172.30.0.2"
LINGER_ZERO = struct.pack("ii", 1, 0)
VLAN, SERVICE_VLAN = 0x8100, 0x88A8


@pytest.mark.parametrize(
    ("tags", "kind"),
    [(struct.pack(">HH", 5, 0x0800), VLAN), (struct.pack(">HHHH", 5, VLAN, 6, 0x0800), SERVICE_VLAN)],
    ids=["a tag", "two tags"],
)
def test_a_tagged_reset_is_one_and_its_packet_socket_is_named(pair: Pair, tags: bytes, kind: int) -> None:
    """Where it leaves the tag stands in the packet, where it comes in beside it; both ends are read."""
    segment = Segment(OURS, 4445, CLIENT, 5000, "R", seq=7)
    frame = ethernet(tags + segment.packet(), kind)
    with (
        pair.b.start("sleep", "60") as holder,
        watching(pair.a, "--netns", str(pair.b.inode)) as watch,
        pair.b.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire,
    ):
        wire.bind(("eth0", 0))
        wire.send(frame)
        (line,) = wait_for(watch, pair.b, 1)
        assert (line["cause"], line["sport"], line["interface"]) == ("not-from-stack", 4445, "eth0")
        assert any("packet socket" in text and f"[{os.getpid()}]" in text for text in line["evidence"]), line
        account(watch, pair.b, counted=0, past_stack=1)
        watch.stop()
        holder.kill()
        assert len(of(watch, pair.b)) == 1
        assert of(watch, pair.a) == []


def publish(host: Host, *more: str) -> None:
    """Publish the container's port 80 at 8080, as Docker does, with more chains."""
    host.nft(
        f"table ip n {{ chain p {{ type nat hook prerouting priority -100; tcp dport 8080 dnat to {CONTAINER}:80; }};"
        f" chain o {{ type nat hook postrouting priority 100; ip saddr 172.30.0.0/24 oifname eth0 masquerade; }};"
        f" {' '.join(more)} }}"
    )


def test_a_published_servers_abort_is_the_containers_alone(router: tuple[Host, Host, Host]) -> None:
    """The connection stood, so that connection tracking knows it; the client's own abort is received there."""
    client, host, container = router
    publish(host)
    with container.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, watching(host) as watch:
        listener.bind((CONTAINER, 80))
        listener.listen()
        for aborting in ("server", "client"):
            with client.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
                connection.connect((OURS, 8080))
                connection.send(b"question")
                accepted, _ = listener.accept()
                assert accepted.recv(8) == b"question"
                (accepted if aborting == "server" else connection).setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO
                )
                if aborting == "server":
                    accepted.close()
                    wait_for(watch, container, 1)
            accepted.close()
        watch.wait(lambda _: of(watch, container, "received") or None, 6)
        account(watch, container, counted=1, seen=1)
        account(watch, client, counted=1, seen=1)
        watch.stop()
        (line,) = of(watch, container)
        assert (line["cause"], line["sport"], line["sources"]) == ("linger-zero", 80, ["kernel", "wire"])
        assert of(watch, host) == of(watch, host, "received") == []


@pytest.mark.parametrize("first", [8080, 8081])
def test_a_refusal_here_is_not_taken_for_the_translation_of_a_containers(
    router: tuple[Host, Host, Host], first: int
) -> None:
    """A scanner's probes have one port and one number, and so have both answers; each is told as what it is."""
    client, host, container = router
    publish(host, "chain i { type filter hook input priority 0; tcp dport 8081 counter reject with tcp reset; };")
    with watching(host) as watch:
        for port in (first, 8081 if first == 8080 else 8080):
            send(client, Segment(CLIENT, 40000, OURS, port, "S", seq=41))
        (refusal,) = wait_for(watch, container, 1)
        (rejection,) = wait_for(watch, host, 1)
        assert (refusal["cause"], refusal["sport"]) == ("closed-port", 80)
        assert (rejection["cause"], rejection["sport"]) == ("firewall-reject", 8081)
        account(watch, host, counted=0, past_stack=1)
        account(watch, container, counted=1, seen=1)
        watch.stop()
        assert len(of(watch, container)) == len(of(watch, host)) == 1


def abort_in_the_middle(pair: Pair) -> None:
    """The server sends a megabyte and aborts while some of it is under way."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((OURS, 8080))
        listener.listen()
        with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((OURS, 8080))
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            accepted.send(bytes(1 << 20))
            assert client.recv(1000)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            accepted.close()


@pytest.mark.parametrize("tier", ["best", "packets"])
@pytest.mark.parametrize(
    ("tso", "gro"), [(True, False), (False, False), (True, True), (False, True)], ids=["TSO", "GSO", "TSO GRO", "GRO"]
)
def test_segments_that_devices_cut_or_join_change_nothing(pair: Pair, tier: str, tso: bool, gro: bool) -> None:
    """Whole runs of segments show as one packet at one place and as many at another: the reset is the same one."""
    for host in (pair.a, pair.b):
        offload(host, tso=tso, gro=gro)
    with watching(pair.b, *([] if tier == "best" else ["--tier", tier])) as watch:
        abort_in_the_middle(pair)
        (line,) = wait_for(watch, pair.b, 1)
        account(watch, pair.b, counted=1, seen=1)
        watch.stop()
        assert line["family"] == "abort", line
        assert "linger-zero" in (line["cause"], *line.get("candidates", []))
        assert len(of(watch, pair.b)) == 1


def jumbo(pair: Pair) -> None:
    """Frames of nine thousand bytes."""
    for host in (pair.a, pair.b):
        host.run("ip", "link", "set", "eth0", "mtu", "9000")
        offload(host, tso=False)


@pytest.mark.parametrize("tier", ["best", "packets"])
def test_jumbo_frames_are_read_as_any(pair: Pair, tier: str) -> None:
    """Their segments are told whole, though only so much of each is kept."""
    jumbo(pair)
    with watching(pair.b, *([] if tier == "best" else ["--tier", tier])) as watch:
        abort_in_the_middle(pair)
        # and a reset that is as large as such a frame itself: RFC 9293 section 3.5.3 allows text in it
        with pair.b.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            reset = ipv4(tcp("R", sport=4445, dport=5000, seq=7, payload=b"no" * 4000), src=OURS, dst=CLIENT)
            ends = bytes.fromhex((HARDWARE["a"] + HARDWARE["b"]).replace(":", ""))
            wire.send(ends + ethernet(reset)[12:])
        lines = wait_for(watch, pair.b, 2)
        watch.stop()
        assert {line["sport"] for line in lines} == {8080, 4445}
        assert next(line for line in lines if line["sport"] == 8080)["family"] == "abort"
        assert lost(watch) == []


def test_a_refusal_over_loopback_by_a_translated_port_is_one(pair: Pair) -> None:
    """An output rule redirects it: both ends and the translation are in one namespace."""
    pair.b.nft("table ip n { chain o { type nat hook output priority -100; tcp dport 8080 redirect to :80; }; }")
    with watching(pair.b) as watch:
        refused(pair.b, "127.0.0.1", 8080)
        (line,) = wait_for(watch, pair.b, 1)
        assert (line["cause"], line["sport"]) == ("closed-port", 80)
        account(watch, pair.b, counted=1, seen=1)
        watch.stop()
        assert len(of(watch, pair.b)) == 1
        assert lost(watch) == []


def test_all_kinds_at_once_are_told_apart(router: tuple[Host, Host, Host]) -> None:
    """Closed ports, rules that reject here and in the container, a raw socket, a published port: each what it is."""
    client, host, container = router
    publish(host, "chain i { type filter hook input priority 0; tcp dport 8081 counter reject with tcp reset; };")
    container.nft(
        "table ip f { chain i { type filter hook input priority 0; tcp dport 82 counter reject with tcp reset; }; }"
    )
    client.run("ip", "route", "add", "172.30.0.0/24", "via", OURS)
    with (
        container.start("sleep", "60") as holder,
        watching(host, "--netns", str(host.inode), "--netns", str(container.inode)) as watch,
        host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    ):
        refused(client, OURS, 4444)
        refused(client, OURS, 8080)
        refused(client, OURS, 8081)
        refused(client, CONTAINER, 82)
        refused(client, CONTAINER, 83)
        send(host, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        wait_for(watch, host, 3)
        wait_for(watch, container, 3)
        account(watch, host, counted=1, seen=1, past_stack=2)
        account(watch, container, counted=2, seen=2, past_stack=1)
        watch.stop()
        holder.kill()
    assert sorted((line["sport"], line["cause"]) for line in of(watch, host)) == [
        (4444, "closed-port"),
        (4445, "not-from-stack"),
        (8081, "firewall-reject"),
    ]
    assert sorted((line["sport"], line["cause"]) for line in of(watch, container)) == [
        (80, "closed-port"),
        (82, "firewall-reject"),
        (83, "closed-port"),
    ]
    (raw,) = [line for line in of(watch, host) if line["sport"] == 4445]
    assert any("raw socket" in text and f"[{os.getpid()}]" in text for text in raw["evidence"])
    (rejected,) = [line for line in of(watch, container) if line["sport"] == 82]
    assert any("ip f i" in text for text in rejected["evidence"])
    assert lost(watch) == []
