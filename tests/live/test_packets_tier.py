"""Where no kernel program runs, packets alone tell: causes as from a capture, live."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.hosts import Actor, Host, Pair, Watch
from tests.hosts.cases import Stage
from tests.hosts.segments import Segment, send
from tests.hosts.watch import Line
from tests.live.test_alerts import SURGE, first, surge
from tests.live.test_wire import CLIENT, OURS, account, of, refused, wait_for, watching


@pytest.fixture
def watch(pair: Pair) -> Iterator[Watch]:
    """Packets of host b."""
    with watching(pair.b, "--tier", "packets") as running:
        yield running


def only(watch: Watch, host: Host) -> Line:
    """The one reset that was told, and at the end no other."""
    (line,) = wait_for(watch, host, 1)
    watch.stop()
    assert len(of(watch, host)) == 1
    return line


def test_it_says_what_it_is_and_what_is_lost_by_that(watch: Watch) -> None:
    """The start line."""
    assert watch.start["tier"] == "packets"
    assert watch.start["sources"] == ["packets", "counters"]
    assert [each["source"] for each in watch.start["missing"]] == ["kernel"]


def test_a_closed_port_is_likely_one(watch: Watch, pair: Pair) -> None:
    """A firewall refuses alike; the account says that the kernel counted it."""
    port = refused(pair.a, OURS, 4444)
    account(watch, pair.b, counted=1, seen=1)
    line = only(watch, pair.b)
    assert (line["cause"], line["certainty"], line["sources"]) == ("closed-port", "likely", ["wire"])
    assert (line["src"], line["sport"], line["dport"], line["interface"]) == (OURS, 4444, port, "eth0")
    assert "firewall-reject" in line["candidates"]
    assert line["trigger"]["flags"] == "S"


def test_over_loopback_it_is_one(watch: Watch, pair: Pair) -> None:
    """There every packet shows twice."""
    refused(pair.b, "127.0.0.1", 4445)
    assert only(watch, pair.b)["cause"] == "closed-port"


def test_an_abort_is_told_with_the_data_that_went_before(watch: Watch, pair: Pair) -> None:
    """All segments of the connection were seen, so that what packets can tell is told."""
    with pair.b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((OURS, 8080))
        listener.listen()
        with pair.a.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((OURS, 8080))
            accepted, _ = listener.accept()
            client.sendall(b"x" * 100)
            accepted.recv(10)
            accepted.close()
            line = only(watch, pair.b)
    assert line["cause"] in ("abort", "unread-data")
    assert "unread-data" in {line["cause"], *line["candidates"]}


def test_what_is_received_is_told_as_received(watch: Watch, pair: Pair) -> None:
    """By whose the addresses are."""
    send(pair.a, Segment("192.0.2.1", 80, OURS, 5000, "R", seq=7))
    watch.wait(lambda _: of(watch, pair.b, "received") or None, 6)
    assert of(watch, pair.b) == []


def test_forwarded_resets_are_observed(machine: None) -> None:
    """Neither end is ours."""
    with Stage(4) as stage, watching(stage.b, "--tier", "packets") as watch:
        stage.a.run("ip", "route", "add", "203.0.113.0/24", "via", OURS)
        send(stage.a, Segment("203.0.113.1", 80, "203.0.113.2", 5000, "R", seq=7))
        watch.wait(lambda _: of(watch, stage.b, "observed") or None, 6)
        assert of(watch, stage.b) == of(watch, stage.b, "received") == []


def test_a_listener_and_who_holds_a_connection_are_named(pair: Pair) -> None:
    """By sock_diag and /proc, which are looked at; `via` says which it was."""
    with Actor(pair.b, "server") as server, Actor(pair.b, "client") as client, Actor(pair.a, "peer") as peer:
        server.listen(8080)
        theirs = peer.listen(9090)
        old = client.connect(CLIENT, 9090)
        accepted = theirs.accept()
        with watching(pair.b, "--tier", "packets") as watch:
            # it was there when watching began
            old.linger(0)
            old.close()
            accepted.await_error()
            connection = peer.connect(OURS, 8080)
            connection.linger(0)
            connection.close()
            wait_for(watch, pair.b, 1)
            watch.wait(lambda _: of(watch, pair.b, "received") or None, 6)
            watch.stop()
            (sent,) = of(watch, pair.b)
            (received,) = of(watch, pair.b, "received")
    assert (sent["owner"]["pid"], sent["owner"]["via"], sent["dport"]) == (client.pid, "open file", 9090)
    assert (received["owner"]["pid"], received["owner"]["via"]) == (server.pid, "listener")


def test_who_listened_before_is_known_where_it_was_looked_at(pair: Pair) -> None:
    """Of a port that had no listener while it watched nobody is named."""
    with Actor(pair.b, "server") as server:
        server.listen(8080)
        with watching(pair.b, "--tier", "packets") as watch:
            server.kill()
            refused(pair.a, OURS, 8080)
            refused(pair.a, OURS, 4444)
            lines = {line["sport"]: line for line in wait_for(watch, pair.b, 2)}
    assert lines[8080]["owner"]["via"] == "former listener"
    assert (lines[8080]["owner"]["pid"], lines[8080]["owner"]["alive"]) == (server.pid, False)
    assert "owner" not in lines[4444]


def test_a_surge_is_alerted_by_counts_and_the_account_closes(machine: None) -> None:
    """What packets told of by then stands in its shares at its end at the latest."""
    with Host("surging") as host, watching(host, "--tier", "packets") as watch:
        thread = surge(host, 5)
        line = watch.wait(lambda lines: first(lines, host, rule=SURGE), timeout=10)
        assert (line["new_status"], line["netns"]) == ("warning", host.inode)
        thread.join()
        over = watch.wait(lambda lines: first(lines, host, rule=SURGE, new_status="clear"), timeout=40)
        assert over["state"] == "resolved"
        counted = host.counters()["OutRsts"]
        account(watch, host, counted=counted, seen=counted, unseen=0, uncounted=0)
    shares = [line["shares"]["causes"] for line in watch.lines if line["type"] == "alert" and "shares" in line]
    assert any(share and share[0]["name"] == "closed-port" for share in shares), shares


def test_a_scan_is_found_by_packets_alone(watch: Watch, pair: Pair) -> None:
    """First contacts on the wire are what the same finder judges; who only refuses is not told."""
    for port in range(7000, 7020):
        send(pair.a, Segment("192.0.2.1", 40000 + port - 7000, OURS, port, "S", seq=7))
    found = watch.wait(lambda lines: next((each for each in lines if each["type"] == "finding"), None), 15)
    assert (found["name"], found["subject"]["remote"], found["subject"]["netns"]) == (
        "port-scan",
        "192.0.2.1",
        pair.b.inode,
    )
    assert "SYN scan" in found["text"]
