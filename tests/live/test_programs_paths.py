"""What lies between the ends: firewalls that forget connections, translation that is lost, no way back."""

import pytest

from tests import needs
from tests.hosts import Actor, Pair, Watch
from tests.hosts.chain import ADDRESSES, MIDDLE, Chain
from tests.hosts.conntrack import forget_connections
from tests.live.people import only
from tests.live.tellings import tellings

PORT, CLOSED = 8080, 9
FIREWALL = """table inet firewall {{ chain input {{ type filter hook input priority 0;
    ct state invalid {verdict}; ct state established,new accept; }}; }}"""
TRANSLATION = """table ip translation {{ chain prerouting {{ type nat hook prerouting priority -100;
    tcp dport {port} dnat to {server}; }}; }}"""
SYNS = 50


def converse_through_a_firewall_that_forgets(pair: Pair, server: Actor, client: Actor, verdict: str) -> None:
    """A connection is tracked, then its entry is flushed, then the client sends: what it sends is invalid."""
    pair.b.nft(FIREWALL.format(verdict=verdict))
    pair.b.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)  # do not pick up connections in their middle
    listener = server.listen(PORT)
    connection = client.connect(pair.address(pair.b, 4), PORT)
    accepted = listener.accept()
    connection.send(b"before")
    accepted.await_unread(6)
    forget_connections(pair.b)
    connection.send(b"after")
    if "reject" in verdict:
        connection.await_state("CLOSE")
    else:
        pair.a.await_counter("RetransSegs", 1)


def test_a_firewall_that_forgot_and_rejects_is_not_the_stack(watch: Watch, pair: Pair) -> None:
    """Its reset is nobody's here: the server's kernel neither counts nor traces it, so who received it cannot know."""
    with Actor(pair.b, "server") as server, Actor(pair.a, "client") as client:
        converse_through_a_firewall_that_forgets(pair, server, client, "reject with tcp reset")
        told = watch.told(pair.a, pair.b)
        assert pair.b.counters()["OutRsts"] == 1  # the one by which `told` knows
    assert told["b"] == []
    line = only(told["a"])
    assert (line["direction"], line["cause"], line["certainty"]) == ("received", "unknown", "unknown")
    assert "firewall-reject" in line["candidates"]
    assert "seen at its sender" in line["missing"]
    assert (line["owner"]["pid"], line["kernel"]["state"]) == (client.pid, "ESTABLISHED")
    assert "twin" not in line


def test_a_firewall_that_forgot_and_drops_is_silent(watch: Watch, pair: Pair) -> None:
    """No reset, so nothing is told."""
    with Actor(pair.b, "server") as server, Actor(pair.a, "client") as client:
        converse_through_a_firewall_that_forgets(pair, server, client, "drop")
        assert watch.told(pair.a, pair.b) == {"a": [], "b": []}


def test_lost_translation_is_half_open_on_a_port_that_never_was_open(watch: Watch) -> None:
    """A router forgets that it translates a port: the client's data reaches the router's own stack."""
    with Chain() as chain, Actor(chain.b, "server") as server, Actor(chain.a, "client") as client:
        chain.middle.nft(TRANSLATION.format(port=PORT, server=f"{ADDRESSES['b']}:80"))
        listener = server.listen(80)
        connection = client.connect(MIDDLE["a"], PORT)
        accepted = listener.accept()
        connection.send(b"before")
        accepted.await_unread(6)
        chain.middle.run("nft", "flush", "table", "ip", "translation")
        forget_connections(chain.middle)
        connection.send(b"after")
        connection.await_state("CLOSE")
        told = watch.told(chain.a, chain.middle)
    sent, received = only(told["middle"]), only(told["a"])
    assert (sent["cause"], sent["certainty"], sent["sport"]) == ("half-open", "likely", PORT)
    assert (sent["kernel"]["reason"], sent["trigger"]["flags"]) == ("NO_SOCKET", "PA")
    assert "owner" not in sent
    assert (received["cause"], received["owner"]["pid"]) == ("half-open", client.pid)
    assert received["twin"] == sent["id"]


@pytest.mark.parametrize("source", ["198.51.100.7", "192.0.2.99"], ids=["no route", "no neighbour"])
def test_resets_that_find_no_way_back_are_counted_and_seen(watch: Watch, pair: Pair, source: str) -> None:
    """SYNs of an address to which nothing leads: the kernel counts a reset for each, and nothing leaves the host."""
    needs.command("hping3")
    words = f"hping3 -q -i u2000 -c {SYNS} -S -p {CLOSED} -a {source} {pair.address(pair.b, 4)}"
    pair.a.run(*words.split(), check=False)  # it exits with 1 when nothing answers
    pair.b.await_counter("InSegs", SYNS)
    arrived = pair.a.counters()["InSegs"]
    told = tellings(watch, pair)
    sent = told(pair.b, "sent")
    assert sent.causes == {"closed-port": SYNS}
    assert sent.values("dst") == {source}
    assert arrived == 0
