"""Scenarios of connections that one side has forgotten, and of limits that all connections of a host share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.hosts.actor import Connection
from tests.hosts.cases.memory import ORPHANS, limited, memory_pressure
from tests.hosts.conntrack import forget_connections
from tests.hosts.hosts import await_true
from tests.meanings.scenario import Scenario, Scene, Wanted

#: Longer than what was in flight at the end of a connection can take.
_LATER_SECONDS = 0.3


@contextmanager
def talking(scene: Scene, count: int, port: int) -> Iterator[tuple[Connection, list[Connection], list[Connection]]]:
    """A listener, and so many connections to it as clients and as the server have them; data has passed on each."""
    server, client = scene.actor(scene.b, "server"), scene.actor(scene.a, "client")
    listener = server.listen(port)
    clients, served = [], []
    for _ in range(count):
        clients.append(client.connect(scene.address, scene.port))
        served.append(listener.accept())
        clients[-1].send(b"hello")
        served[-1].recv()
    yield listener, clients, served


def lost_resets(scene: Scene, count: int = 4) -> None:
    """The server aborts, its resets get lost on the way, and the clients send again."""
    with talking(scene, count, scene.port) as (_, clients, served):
        with scene.b.dropping("output", f"tcp sport {scene.port}"):
            for each in served:
                each.linger(0)
                each.close()
        time.sleep(_LATER_SECONDS)
        scene.mark()
        for each in clients:
            each.send(b"still there?")


def lost_nat(scene: Scene) -> None:
    """A NAT forgets its connections and its rule: what comes is for a port that nobody knows."""
    table = f"nat{scene.port}"
    scene.b.nft(
        f"table ip {table} {{ chain c {{ type nat hook prerouting priority -100;"
        f" tcp dport {scene.port} redirect to :{scene.port + 1}; }}; }}"
    )
    with talking(scene, 4, scene.port + 1) as (_, clients, _served):
        scene.b.nft(f"delete table ip {table}")
        forget_connections(scene.b)
        time.sleep(_LATER_SECONDS)
        scene.mark()
        for each in clients:
            each.send(b"still there?")


def moved_address(scene: Scene) -> None:
    """The server's address goes away, the server aborts meanwhile, and the address comes back."""
    with talking(scene, 4, scene.port) as (_, clients, served):
        scene.b.run("ip", "addr", "del", f"{scene.address}/24", "dev", "eth0")
        for each in served:
            each.linger(0)
            each.close()
        scene.b.run("ip", "addr", "add", f"{scene.address}/24", "dev", "eth0")
        time.sleep(_LATER_SECONDS)
        scene.mark()
        for each in clients:
            each.send(b"still there?")


def vanished(count: int) -> Callable[[Scene], None]:
    """So many clients stop answering keepalive probes."""

    def play(scene: Scene) -> None:
        with (
            talking(scene, count, scene.port) as (_, _clients, served),
            scene.a.dropping("input", f"tcp sport {scene.port}"),
        ):
            for each in served:
                each.keepalive(1, 1, 1)
            for each in served:
                each.await_error()
            scene.mark()

    return play


def time_wait(count: int) -> Callable[[Scene], None]:
    """So many old duplicates come to a connection in TIME-WAIT, and the side without state resets each answer."""

    def play(scene: Scene) -> None:
        scene.b.sysctl("net.ipv4.tcp_rfc1337", 1)
        with talking(scene, 1, scene.port) as (_, [client], [served]):
            port_a, (send_next, receive_next) = client.port, client.seqs()
            served.close()
            client.await_state("CLOSE_WAIT")
            client.close()
            scene.b.await_states(scene.port, "TIME_WAIT")
            sent = scene.a.counters()["OutRsts"]
            for _ in range(count):
                scene.stage.raw("PA", port_a, scene.port, seq=send_next - 5, ack=receive_next, payload=b"old")
            scene.mark()
            scene.a.await_counter("OutRsts", sent + 1)

    return play


def orphans(scene: Scene) -> None:
    """Connections with unsent data are closed while no orphan is allowed."""
    server, client = scene.actor(scene.b, "server"), scene.actor(scene.a, "client")
    listener = server.listen(scene.port)
    with limited(ORPHANS, 0):
        for _ in range(6):
            client.connect(scene.address, scene.port)
            served = listener.accept()
            served.fill()
            served.await_in_flight(0)
            served.close()
            scene.mark()
        await_true(lambda: scene.b.counters()["TCPAbortOnMemory"] >= 1, "an orphan to be aborted", 20)


def unread(scene: Scene) -> None:
    """A server that does not read what its clients send holds more memory than begins TCP's pressure."""
    with memory_pressure(pages=256), talking(scene, 12, scene.port) as (_, clients, _served):
        scene.mark()
        for client in clients:
            client.fill()
        scene.pause(2.5)


def flooded(cookies: int) -> Callable[[Scene], None]:
    """SYNs that nobody completes come to a listener that accepts."""

    def play(scene: Scene) -> None:
        scene.b.sysctl("net.ipv4.tcp_syncookies", cookies)
        scene.b.sysctl("net.ipv4.tcp_max_syn_backlog", 64)
        scene.actor(scene.b, "server").listen(scene.port, backlog=16)
        with scene.a.dropping("output", "tcp flags & rst == rst"):
            for number in range(400):
                if number == 100:
                    scene.mark()
                scene.stage.raw("S", 20_000 + number, scene.port, seq=1000 + number)
                time.sleep(0.01)

    return play


SCENARIOS = (
    Scenario(
        "resets that get lost",
        lost_resets,
        wanted=(Wanted("stale-peers", says=(":{port}", "had reset them"), confidences=("certain",)),),
    ),
    Scenario(
        "a NAT forgets its connections",
        lost_nat,
        wanted=(Wanted("stale-peers", says=(":{port}", "has not known them"), confidences=("likely",)),),
    ),
    Scenario(
        "an address that moves away and back",
        moved_address,
        wanted=(Wanted("stale-peers", says=(":{port}", "had reset them"), confidences=("certain",)),),
        alone=True,
    ),
    Scenario("one reset that gets lost", lambda scene: lost_resets(scene, 1)),
    Scenario(
        "clients that vanish",
        vanished(4),
        wanted=(Wanted("keepalive-losses", says=(":{port}", "192.0.2.0/24"), confidences=("certain",)),),
        allowed=frozenset({"stale-peers"}),  # when they are back: they have not heard that they were given up
    ),
    Scenario("one client that vanishes", vanished(1)),
    Scenario(
        "many old duplicates in TIME-WAIT",
        time_wait(150),
        wanted=(Wanted("time-wait-trouble", host="a", says=(":{port}",)),),
    ),
    Scenario("a few old duplicates in TIME-WAIT", time_wait(5)),
    Scenario(
        "too many orphans",
        orphans,
        wanted=(Wanted("too-many-orphans", within=4.0, says=(":{port}", "tcp_max_orphans"), confidences=("certain",)),),
        alone=True,
    ),
    Scenario(
        "a server that does not read, and TCP's memory is short",
        unread,
        wanted=(
            Wanted(
                "memory-pressure",
                host="",
                says=("is short", "no connection reset", ":{port}"),
                confidences=("certain",),
            ),
        ),
        alone=True,
    ),
    Scenario(
        "SYNs that nobody completes",
        flooded(cookies=1),
        wanted=(Wanted("syn-queue-overflow", says=(":{port}", "answered with SYN cookies"), confidences=("certain",)),),
        allowed=frozenset({"syn-flood", "backscatter"}),
        alone=True,
    ),
    Scenario(
        "SYNs that nobody completes, without cookies",
        flooded(cookies=0),
        wanted=(Wanted("syn-queue-overflow", says=(":{port}", "not answered"), confidences=("certain",)),),
        allowed=frozenset({"syn-flood", "backscatter"}),
        alone=True,
    ),
)
