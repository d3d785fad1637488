"""Where no kernel program runs, packets alone tell: causes as from a capture, live."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.hosts import Host, Pair, Watch
from tests.hosts.cases import Stage
from tests.hosts.segments import Segment, send
from tests.hosts.watch import Line
from tests.live.test_wire import OURS, account, of, refused, wait_for, watching


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
