"""One reset whose both ends are on this host: what was sent and what was received refer to each other."""

from collections.abc import Iterator
from contextlib import ExitStack
from subprocess import CalledProcessError
from typing import Any

import pytest

from tests.hosts import Actor, Connection, Host, Watch
from tests.hosts.cases import Stage
from tests.hosts.chain import ADDRESSES, MIDDLE, Chain
from tests.live.people import closer, owner

Line = dict[str, Any]
PORT = 8080
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
ROUNDS = 10


def pairs(watch: Watch, *hosts: Host) -> list[tuple[Line, Line]]:
    """The resets told of these hosts, each sent one with the one received that it refers to and that refers to it."""
    watch.told(*hosts)
    lines = {line["id"]: line for host in hosts for line in watch.resets(host)}
    for line in lines.values():
        twin = lines[line["twin"]]
        assert twin["twin"] == line["id"]
        assert twin["direction"] != line["direction"]
    return [(line, lines[line["twin"]]) for line in lines.values() if line["direction"] == "sent"]


def conversation(client: Actor, server: Actor, address: str, port: int = PORT) -> tuple[Connection, Connection]:
    """A listener of the server's, and both ends of a connection to it."""
    listener = server.listen(port, v6=":" in address)
    connection = client.connect(address, port)
    return connection, listener.accept()


def abort(connection: Connection) -> None:
    """Close with SO_LINGER 0."""
    connection.linger(0)
    connection.close()


@pytest.mark.parametrize("version", [4, 6])
def test_both_ends_on_loopback_refer_to_each_other(watch: Watch, stage: Stage, version: int) -> None:
    """The client's line names the server's cause and process, and the server's its own client."""
    client = stage.actor(stage.b, "local-client")
    _, accepted = conversation(client, stage.server, LOOPBACK[version])
    abort(accepted)
    [(sent, received)] = pairs(watch, stage.b)
    assert (sent["cause"], owner(sent)) == ("linger-zero", (stage.server.pid, "closer"))
    assert (received["cause"], owner(received)) == ("linger-zero", (client.pid, "connect"))
    assert f"sent by actor_process.py[{stage.server.pid}]" in received["evidence"]


@pytest.mark.parametrize("version", [4, 6])
def test_both_ends_on_a_veth_refer_to_each_other(machine: None, watch: Watch, version: int) -> None:
    """Two network namespaces of one host: also where it is the client that resets."""
    with Stage(version) as stage:  # type: ignore[arg-type]
        client, accepted = conversation(stage.client, stage.server, stage.address_b)
        accepted.send(b"unread")
        client.await_unread(6)
        client.close()
        [(sent, received)] = pairs(watch, stage.a, stage.b)
        assert (sent["netns"], received["netns"]) == (stage.a.inode, stage.b.inode)
        assert (received["cause"], received["certainty"]) == ("unread-data", "certain")
        assert owner(sent) == (stage.client.pid, "connect")
        assert f"sent by actor_process.py[{stage.client.pid}]" in received["evidence"]


@pytest.fixture
def chain(machine: None) -> Iterator[tuple[Chain, Actor, Actor, Actor]]:
    """Three hosts in a row, and a process on each."""
    with Chain() as hosts, ExitStack() as actors:
        client, relay, server = (
            actors.enter_context(Actor(host, name))
            for host, name in ((hosts.a, "client"), (hosts.middle, "relay"), (hosts.b, "server"))
        )
        yield hosts, client, relay, server


def test_a_sidecar_passes_an_abort_on_as_one_of_its_own(watch: Watch, chain: tuple[Chain, Actor, Actor, Actor]) -> None:
    """The server aborts, then the proxy in the third namespace aborts: two resets, each with both of its ends."""
    hosts, client, relay, server = chain
    _, downstream = conversation(client, relay, MIDDLE["a"])
    _, accepted = conversation(relay, server, ADDRESSES["b"])
    abort(accepted)
    abort(downstream)
    first, second = pairs(watch, hosts.a, hosts.middle, hosts.b)
    told = {owner(sent)[0]: (owner(received)[0], closer(sent)) for sent, received in (first, second)}
    assert told == {server.pid: (relay.pid, server.pid), relay.pid: (client.pid, relay.pid)}


def test_a_host_that_forwards_does_not_come_between(watch: Watch, chain: tuple[Chain, Actor, Actor, Actor]) -> None:
    """Both ends are on this host, with a router of this host between them."""
    hosts, client, _, server = chain
    _, accepted = conversation(client, server, ADDRESSES["b"])
    abort(accepted)
    [(sent, received)] = pairs(watch, hosts.a, hosts.b)
    assert (owner(sent)[0], owner(received)[0]) == (server.pid, client.pid)
    assert not watch.settle(hosts.middle)


def test_address_translation_hides_a_twin_and_misleads_nobody(
    watch: Watch, chain: tuple[Chain, Actor, Actor, Actor]
) -> None:
    """A published port: the ends know the connection by other addresses, so that neither claims to know the other."""
    hosts, client, _, server = chain
    rules = f"tcp dport 80 dnat to {ADDRESSES['b']}:{PORT}"
    try:
        hosts.middle.nft(f"table ip t {{ chain c {{ type nat hook prerouting priority -100; {rules}; }}; }}")
    except CalledProcessError as error:
        pytest.skip(f"this machine lacks address translation in nftables (CONFIG_NFT_NAT): {error}")
    listener = server.listen(PORT)
    connection = client.connect(MIDDLE["a"], 80)
    abort(listener.accept())
    connection.await_state("CLOSE")
    told = watch.told(hosts.a, hosts.b)
    [sent], [received] = told["b"], told["a"]
    assert (sent["cause"], owner(sent), sent.get("twin")) == ("linger-zero", (server.pid, "closer"), None)
    assert (received["cause"], owner(received), received.get("twin")) == ("unknown", (client.pid, "connect"), None)


def test_equal_addresses_in_other_namespaces_are_not_mixed_up(watch: Watch, stage: Stage) -> None:
    """Two pairs of hosts have the same addresses and ports, and all abort at the same time: each keeps its own twin."""
    with Stage(4) as other:
        both = (stage, other)
        listeners = [each.listen(PORT) for each in both]
        for number in range(ROUNDS):
            clients = [each.connect(PORT, local_port=40_000 + number) for each in both]
            accepted = [listener.accept() for listener in listeners]
            for connection in accepted:
                connection.linger(0)
            for connection in accepted:
                connection.close()
            for connection in clients:
                connection.await_state("CLOSE")
        for each in both:
            for sent, received in pairs(watch, each.a, each.b):
                assert (owner(sent)[0], owner(received)[0]) == (each.server.pid, each.client.pid)
            assert len(pairs(watch, each.a, each.b)) == ROUNDS


@pytest.mark.parametrize("elder", ["lost", "forged"])
def test_a_forged_reset_is_no_twin_of_one_with_the_same_addresses(watch: Watch, stage: Stage, elder: str) -> None:
    """A server's reset is lost; at once a forged one hits another client with the same four-tuple: nobody's here."""
    with Stage(4) as other:
        # the kernel's first numbers of equal four-tuples are near each other, the elder's below
        if elder == "lost":
            (_, lost), (client, _) = _same_ports(stage), _same_ports(other)
        else:
            (client, _), (_, lost) = _same_ports(other), _same_ports(stage)
        with stage.b.dropping("output"):
            abort(lost)
            send_next, receive_next = client.seqs()
            other.answer("RA", PORT, 40_000, seq=receive_next, ack=send_next)
            client.await_state("CLOSE")
        [sent] = watch.settle(stage.b)
        [received] = watch.settle(other.a)
        assert (sent["cause"], sent.get("twin")) == ("linger-zero", None)
        assert (received["cause"], received.get("twin")) == ("unknown", None)


def _same_ports(stage: Stage) -> tuple[Connection, Connection]:
    listener = stage.listen(PORT)
    client = stage.connect(PORT, local_port=40_000)
    return client, listener.accept()
