"""Packets beside the kernel: one reset is one wherever it shows, and what went past the TCP stack is told as that."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests import needs
from tests.hosts import Host, Pair, Watch
from tests.hosts.segments import Segment, send
from tests.hosts.watch import Line

OURS = "192.0.2.2"
CLIENT = "192.0.2.1"


@contextmanager
def watching(host: Host, *options: str) -> Iterator[Watch]:
    """The command at work inside a host, with its packets."""
    enter = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{host.descriptor}")
    command = (*enter, sys.executable, "-m", "whyreset")
    with Watch("--packets", "--ring-kib", "4096", *options, command=command) as watch:
        yield watch


def refused(client: Host, address: str, port: int) -> int:
    """Try a port that refuses; the port it was tried from."""
    with client.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(5)
        attempt.bind(("0.0.0.0", 0))
        own = int(attempt.getsockname()[1])
        with pytest.raises(ConnectionRefusedError):
            attempt.connect((address, port))
        return own


def of(watch: Watch, host: Host, direction: str = "sent") -> list[Line]:
    """What was told of a host."""
    return [line for line in watch.resets(host) if line["direction"] == direction]


def wait_for(watch: Watch, host: Host, count: int) -> list[Line]:
    """Wait until so many resets sent by a host were told."""
    with suppress(TimeoutError):
        watch.wait(lambda _: sum(line["count"] for line in of(watch, host)) >= count, 15)
    return of(watch, host)


def account(watch: Watch, host: Host, **figures: int) -> Line:
    """Wait for a count line of a host with these figures."""
    return watch.wait(
        lambda lines: next(
            (
                line
                for line in reversed(lines)
                if line["type"] == "count"
                and line["netns"] == host.inode
                and all(line.get(name, 0) == value for name, value in figures.items())
            ),
            None,
        ),
        6,
    )


def lost(watch: Watch) -> list[str]:
    """What could not be read or judged of packets, by name; what else this machine loses is others' affair."""
    return [line["name"] for line in watch.losses() if line.get("name", "").startswith(("wire", "packets"))]


def test_a_closed_port_is_one_reset_seen_by_both(pair: Pair) -> None:
    """The kernel's word and the wire's are joined, with the interface; nothing else is told, and all is counted."""
    with watching(pair.b) as watch:
        assert "packets" in watch.start["sources"]
        port = refused(pair.a, OURS, 4444)
        (line,) = wait_for(watch, pair.b, 1)
        assert (line["cause"], line["certainty"], line["dport"]) == ("closed-port", "certain", port)
        assert line["sources"] == ["kernel", "wire"]
        assert line["interface"] == "eth0"
        told = account(watch, pair.b, counted=1, seen=1)
        assert told.get("off_wire", 0) == 0
        watch.stop()
        assert len(of(watch, pair.b)) == 1
        assert lost(watch) == []


def test_a_raw_reset_did_not_come_from_the_stack(pair: Pair) -> None:
    """It is on the wire from our address, and neither traced nor counted; who holds raw sockets is named."""
    with watching(pair.b) as watch, pair.b.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP):
        send(pair.b, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        (line,) = wait_for(watch, pair.b, 1)
        assert (line["cause"], line["family"], line["certainty"]) == ("not-from-stack", "closed-port", "certain")
        assert (line["sources"], line["interface"]) == (["wire"], "eth0")
        assert (line["src"], line["sport"], line["dst"], line["dport"]) == (OURS, 4445, CLIENT, 5000)
        assert any(f"[{os.getpid()}]" in text and "raw socket" in text for text in line["evidence"]), line["evidence"]
        told = account(watch, pair.b, past_stack=1)
        assert (told["counted"], told["seen"], told["unseen"], told["uncounted"]) == (0, 0, 0, 0)


def nft(host: Host, rule: str, hook: str = "input") -> None:
    """Load one rule; skip where the kernel cannot."""
    from subprocess import CalledProcessError

    try:
        host.nft(f"table inet f {{ chain c {{ type filter hook {hook} priority 0; {rule}; }}; }}")
    except CalledProcessError:
        pytest.skip("this machine lacks reject in nftables (CONFIG_NFT_REJECT_INET)")


def test_a_reject_rule_that_counted_is_named(pair: Pair) -> None:
    """Its counter moved; the stack knows nothing."""
    nft(pair.b, "tcp dport 8080 counter reject with tcp reset")
    with watching(pair.b) as watch:
        for _ in range(3):
            refused(pair.a, OURS, 8080)
        lines = wait_for(watch, pair.b, 3)
        assert {line["cause"] for line in lines} == {"firewall-reject"}
        assert {line["certainty"] for line in lines} == {"certain"}
        assert any("inet f c" in text for text in lines[0]["evidence"])
        assert account(watch, pair.b, past_stack=3)["counted"] == 0


def test_a_reject_rule_without_a_counter_proves_nothing(pair: Pair) -> None:
    """It is named as what may have sent it."""
    nft(pair.b, "tcp dport 8080 reject with tcp reset")
    with watching(pair.b) as watch:
        refused(pair.a, OURS, 8080)
        (line,) = wait_for(watch, pair.b, 1)
        assert line["cause"] == "not-from-stack"
        assert any("no counter tells" in text and "inet f c" in text for text in line["evidence"])


def test_a_rule_for_another_port_explains_nothing(pair: Pair) -> None:
    """Though its counter moved meanwhile."""
    nft(pair.b, "tcp dport 8080 counter reject with tcp reset")
    with watching(pair.b) as watch:
        refused(pair.a, OURS, 8080)
        send(pair.b, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        lines = wait_for(watch, pair.b, 2)
        assert {(line["sport"], line["cause"]) for line in lines} == {
            (8080, "firewall-reject"),
            (4445, "not-from-stack"),
        }


def test_packets_of_another_namespace_are_read_where_it_is_named(pair: Pair) -> None:
    """What came in at one end left at the other: that is who sent it, also where both ends are read."""
    holder = pair.b.start("sleep", "60")
    with watching(pair.a, "--netns", str(pair.b.inode)) as watch:
        refused(pair.a, OURS, 4444)
        send(pair.b, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        lines = wait_for(watch, pair.b, 2)
        assert {(line["sport"], line["cause"]) for line in lines} == {(4444, "closed-port"), (4445, "not-from-stack")}
        account(watch, pair.b, counted=1, seen=1, past_stack=1)
        watch.stop()
        assert len(of(watch, pair.b)) == 2
        assert of(watch, pair.a) == []
    holder.kill()
    holder.wait()


def test_rules_of_the_older_iptables_count_as_well(pair: Pair) -> None:
    """Where the kernel has them."""
    needs.command("iptables-legacy")
    words = "-A INPUT -p tcp --dport 8080 -j REJECT --reject-with tcp-reset".split()  # noqa: SIM905
    if pair.b.run("iptables-legacy", *words, check=False).code:
        pytest.skip("this machine lacks REJECT in iptables (CONFIG_IP_NF_TARGET_REJECT)")
    with watching(pair.b) as watch:
        refused(pair.a, OURS, 8080)
        (line,) = wait_for(watch, pair.b, 1)
        assert line["cause"] == "firewall-reject"
        assert any("--dport 8080" in text for text in line["evidence"])


def test_a_reset_over_loopback_is_one(pair: Pair) -> None:
    """It shows twice there, as it leaves and as it comes."""
    with watching(pair.b) as watch:
        refused(pair.b, "127.0.0.1", 4446)
        (line,) = wait_for(watch, pair.b, 1)
        assert (line["cause"], line["sources"], line["interface"]) == ("closed-port", ["kernel", "wire"], "lo")
        account(watch, pair.b, counted=1, seen=1)
        watch.stop()
        assert len(of(watch, pair.b)) == 1


def test_what_never_left_is_said(pair: Pair) -> None:
    """The kernel counted it, an output filter dropped it."""
    pair.b.nft("table inet f { chain c { type filter hook output priority 0; tcp flags rst drop; }; }")
    with watching(pair.b) as watch:
        with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
            attempt.setblocking(False)
            attempt.connect_ex((OURS, 4447))
            (line,) = wait_for(watch, pair.b, 1)
        assert line["sources"] == ["kernel"]
        account(watch, pair.b, counted=1, seen=1, off_wire=1)
        assert lost(watch) == ["wire-never-left"]
        end = watch.stop()
        assert end is not None
        assert end["off_wire"] >= 1


def test_a_ring_that_overflows_concludes_nothing(pair: Pair) -> None:
    """No reset of the stack is called another's work in seconds in which packets were lost; the loss is said."""
    with watching(pair.b, "--packet-blocks", "1") as watch:
        sends = [Segment(CLIENT, 2000 + n % 60000, OURS, 4448, "S", seq=n) for n in range(30000)]
        send(pair.a, *sends)
        watch.settle(pair.b, 20)
        send(pair.b, Segment(OURS, 4445, CLIENT, 5000, "R", seq=7))
        watch.wait(lambda lines: any(x["type"] == "notice" and x["name"] == "packets-lost" for x in lines) or None)
        watch.stop()
        assert {line["cause"] for line in of(watch, pair.b)} == {"closed-port"}


def test_behind_a_bridge_and_dnat_a_reset_is_the_containers_alone(router: tuple[Host, Host, Host]) -> None:
    """As Docker publishes a port: on the wire it shows with two addresses on three interfaces, and is one."""
    client, host, container = router
    host.nft(
        "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.30.0.2:80; };"
        " chain o { type nat hook postrouting priority 100; ip saddr 172.30.0.0/24 oifname eth0 masquerade; }; }"
    )
    with watching(host) as watch:
        refused(client, OURS, 8080)
        (line,) = wait_for(watch, container, 1)
        assert (line["cause"], line["src"], line["sport"]) == ("closed-port", "172.30.0.2", 80)
        assert (line["sources"], line["interface"]) == (["kernel", "wire"], "eth0")
        account(watch, container, counted=1, seen=1)
        watch.stop()
        assert len(of(watch, container)) == 1
        assert of(watch, host) == []
        assert lost(watch) == []


def test_a_container_that_resets_behind_masquerade_is_not_its_host(router: tuple[Host, Host, Host]) -> None:
    """Its raw reset leaves with the host's address; it came in, so the host did not send it."""
    client, host, container = router
    host.nft(
        "table ip n { chain o { type nat hook postrouting priority 100;"
        " ip saddr 172.30.0.0/24 oifname eth0 masquerade; }; }"
    )
    with client.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, watching(host) as watch:
        listener.bind((CLIENT, 7000))
        listener.listen()
        with container.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect((CLIENT, 7000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        (line,) = wait_for(watch, container, 1)
        assert (line["cause"], line["sources"]) == ("linger-zero", ["kernel", "wire"])
        watch.stop()
        assert of(watch, host) == []


def test_a_router_only_observes(router: tuple[Host, Host, Host]) -> None:
    """A reset of the other side that is forwarded is nobody's here, whoever made it."""
    client, host, container = router
    client.run("ip", "route", "add", "172.30.0.0/24", "via", OURS)
    with watching(host) as watch:
        send(container, Segment("172.30.0.2", 80, CLIENT, 5000, "R", seq=7))
        refused(client, "172.30.0.2", 81)
        account(watch, container, counted=1, seen=1)
        watch.stop()
        assert of(watch, host) == []
        assert [line["cause"] for line in of(watch, container)] == ["closed-port"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("eth0.5", ("type", "vlan", "id", "5")), ("mac0", ("type", "macvlan", "mode", "bridge"))],
    ids=["VLAN", "macvlan"],
)
def test_over_a_device_on_another_a_reset_is_one(pair: Pair, name: str, words: tuple[str, ...]) -> None:
    """It leaves by both: the stack's, and one past it."""
    for host, address in ((pair.a, "198.51.100.1"), (pair.b, "198.51.100.2")):
        if host.run("ip", "link", "add", "link", "eth0", "name", name, *words, check=False).code:
            pytest.skip(f"this machine lacks {words[1]} devices")
        host.run("ip", "addr", "add", f"{address}/24", "dev", name)
        host.run("ip", "link", "set", name, "up")
    with watching(pair.b) as watch:
        refused(pair.a, "198.51.100.2", 4450)
        send(pair.b, Segment("198.51.100.2", 4451, "198.51.100.1", 5000, "R", seq=7))
        lines = wait_for(watch, pair.b, 2)
        assert {(line["cause"], line["count"], line["interface"]) for line in lines} == {
            ("closed-port", 1, name),
            ("not-from-stack", 1, name),
        }
        account(watch, pair.b, counted=1, seen=1, past_stack=1)
        watch.stop()
        assert len(of(watch, pair.b)) == 2


def test_resets_of_a_flood_are_one_each(pair: Pair) -> None:
    """Thousands at once are joined, and none is called another's."""
    with watching(pair.b) as watch:
        send(pair.a, *(Segment(CLIENT, 2000 + n, OURS, 4452, "S", seq=n) for n in range(5000)))
        line = watch.settle_account(pair.b, 20)
        assert line["counted"] >= 5000
        watch.stop()
        assert {line["cause"] for line in of(watch, pair.b)} == {"closed-port"}
        assert [line for line in of(watch, pair.b) if line["sources"] != ["kernel", "wire"]] == []


def test_a_reject_flood_is_told_in_groups(pair: Pair) -> None:
    """Each costs no line and no process of its own; the rule's counter explains all of them."""
    nft(pair.b, "tcp dport 8080 counter reject with tcp reset")
    with watching(pair.b) as watch:
        send(pair.a, *(Segment(CLIENT, 2000 + n, OURS, 8080, "S", seq=n) for n in range(3000)))
        lines = wait_for(watch, pair.b, 3000)
        assert {line["cause"] for line in lines} == {"firewall-reject"}
        assert sum(line["count"] for line in lines) == 3000
        assert len(lines) < 20


def test_without_the_right_to_read_packets_it_is_said_in_a_sentence(machine: None) -> None:
    """What is missing, and what to do; never a traceback."""
    command = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", sys.executable, "-m", "whyreset", "watch"]
    for more in ([], ["--tier", "packets"]):
        done = subprocess.run([*command, "--packets", *more], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "packets may not be read without CAP_NET_RAW" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_namespace_that_ends_is_let_go_and_the_others_are_read_on(pair: Pair) -> None:
    """With it goes an interface of ours; its ring does not keep it."""
    holder = pair.b.start("sleep", "60")
    with watching(pair.a, "--netns", str(pair.a.inode), "--netns", str(pair.b.inode)) as watch:
        refused(pair.a, OURS, 4444)
        wait_for(watch, pair.b, 1)
        holder.kill()
        holder.wait()
        inode = pair.b.inode
        pair.b.close()
        watch.wait(
            lambda lines: any(x["type"] == "count" and x["netns"] == inode and x.get("gone") for x in lines) or None
        )
        assert "eth0" not in pair.a.run("ip", "link").out
        pair.a.run("ip", "addr", "add", "198.51.100.1/32", "dev", "lo")
        with pair.a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP):
            send(pair.a, Segment("198.51.100.1", 4445, "127.0.0.1", 5000, "R", seq=7))
            watch.wait(lambda _: of(watch, pair.a) or None, 6)
        assert [(line["cause"], line["interface"]) for line in of(watch, pair.a)] == [("not-from-stack", "lo")]
        watch.stop()
        assert lost(watch) == []


def test_a_namespace_that_is_not_there_is_said_in_a_sentence(machine: None) -> None:
    """What was asked for by name must run."""
    command = [sys.executable, "-m", "whyreset", "watch", "--packets", "--netns", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no process is in a network namespace nowhere" in done.stderr
    assert "Traceback" not in done.stderr
