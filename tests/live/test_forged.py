"""Resets that a middlebox makes in the name of the peer: told by what no TCP stack does, never of a true one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import Actor, Connection
from tests.hosts.cases.model import machine_lock
from tests.hosts.chain import ADDRESSES, Chain
from tests.hosts.segments import Segment, send
from tests.hosts.watch import Line, Watch
from tests.live.test_wire import of, watching

PORT = 8080
#: What comes from b is one router older than what the router makes.
AGED = 63


class Scene:
    """A client that watches its packets, a server, and a router between them that may forge."""

    def __init__(self, chain: Chain, watch: Watch, client: Actor, server: Actor) -> None:
        self.chain, self.watch = chain, watch
        listener = server.listen(PORT)
        self.client: Connection = client.connect(ADDRESSES["b"], PORT)
        self.server = listener.accept()
        for number in range(3):
            self.client.send(b"question %d" % number)
            self.server.recv()
            self.server.send(bytes(1000))
            self.client.recv()

    def forge(self, ahead: int = 0, *, ttl: int = 64) -> None:
        """A reset to the client in the server's name, so many bytes beyond the next one that it expects."""
        _, expected = self.client.seqs()
        there, here = ADDRESSES["b"], ADDRESSES["a"]
        made = Segment(there, PORT, here, self.client.port, "R", seq=expected + ahead, ttl=ttl)
        send(self.chain.middle, made)

    def received(self, count: int = 1) -> list[Line]:
        """What is told of resets that the client received, when all that follows them has been seen."""

        def told() -> list[Line]:
            return of(self.watch, self.chain.a, "received")

        self.watch.wait(lambda _: sum(line["count"] for line in told()) >= count or None, 8)
        self.watch.stop()
        return told()


@pytest.fixture
def scene(machine: None) -> Iterator[Scene]:
    """Connected, and some questions answered."""
    with (
        machine_lock(alone=False),
        Chain() as chain,
        Actor(chain.a, "client") as client,
        Actor(chain.b, "server") as server,
        watching(chain.a, "--tier", "packets") as watch,
    ):
        yield Scene(chain, watch, client, server)


def test_data_that_goes_on_after_the_senders_reset_proves_it(scene: Scene) -> None:
    """A host that has reset a connection has forgotten it."""
    scene.forge(ttl=AGED)
    scene.client.await_error()
    scene.server.send(bytes(1000))
    (line,) = scene.received()
    assert (line["cause"], line["certainty"]) == ("forged", "certain"), line
    assert any("went on with the connection" in text for text in line["evidence"])


def test_a_ttl_that_is_not_the_senders_makes_it_likely(scene: Scene) -> None:
    """Nothing followed, so that it is no proof."""
    scene.forge(ttl=40)
    scene.client.await_error()
    (line,) = scene.received()
    assert (line["cause"], line["certainty"]) == ("forged", "likely"), line
    assert any("TTL 40" in text for text in line["evidence"])


def test_a_second_reset_beyond_all_that_was_sent_proves_it(scene: Scene) -> None:
    """An injector does not know how far the connection will be (Weaver, Sommer, Paxson 2009)."""
    scene.forge()
    scene.forge(2920)
    first, second = scene.received(2)
    assert (first["cause"], first["certainty"]) == ("forged", "certain"), first
    assert any("beyond all" in text for text in first["evidence"])
    # of itself the second tells nothing
    assert second["cause"] in ("forged", "unknown")


def test_the_peers_own_reset_is_none(scene: Scene) -> None:
    """It comes from where all else came from, with the next number, and is the last."""
    scene.server.linger(0)
    scene.server.close()
    scene.client.await_error()
    (line,) = scene.received()
    assert line["family"] == "abort", line
    assert "forged" not in line.get("candidates", [])
