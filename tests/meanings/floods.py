"""Scenarios of floods, backscatter, and of what looks like them."""

import time
from collections.abc import Callable
from subprocess import DEVNULL

from tests.hosts.chain import Chain
from tests.hosts.flood import answer_everyone
from tests.hosts.hosts import INTERFACE, await_true
from tests.hosts.segments import Segment, send
from tests.meanings.scans import address
from tests.meanings.scenario import Scenario, Scene, Wanted

#: Segments of a flood, and microseconds between two.
_COUNT, _PAUSE = 4000, 800


def hping3(scene: Scene, port: int, *options: str, count: int = _COUNT) -> None:
    """A bounded flood to a port of host b, which has a way back to everybody."""
    answer_everyone(scene.stage.pair)
    scene.mark()
    plain = ("hping3", "-q", "-i", f"u{_PAUSE}", "-c", str(count), "-p", str(port))
    scene.a.run(*plain, *options, scene.address, check=False, timeout=40)


def flood(*options: str, listens: bool = False) -> Callable[[Scene], None]:
    """A flood of one kind, to a port where somebody listens or nobody does."""

    def play(scene: Scene) -> None:
        if listens:
            scene.actor(scene.b, "server").listen(scene.port)
        hping3(scene, scene.port, *options)

    return play


def challenged(scene: Scene) -> None:
    """Resets are guessed into connections: in the window, but not exact."""
    port = scene.port
    listener = scene.actor(scene.b, "server").listen(port)
    clients = []
    for number in range(4):
        client = scene.actor(scene.a, "client").connect(scene.address, port)
        clients.append((client, listener.accept()))
        assert number < 4
    scene.mark()
    own = scene.stage.address_a
    for number in range(100):
        client, accepted = clients[number % len(clients)]
        _, expected = accepted.seqs()
        guesses = (expected + 10 + 20 * number + each for each in range(20))
        send(scene.a, *(Segment(own, client.port, scene.address, port, "R", seq=each) for each in guesses))
        time.sleep(0.04)
    for client, _ in clients:
        assert client.state() == "ESTABLISHED"


def scanner_here(scene: Scene) -> None:
    """A scanner on host a finds open ports of host b: its own kernel resets their answers."""
    server = scene.actor(scene.b, "server")
    for port in scene.ports[:12]:
        server.listen(port)
    scene.mark()
    ports = f"{scene.ports[0]}-{scene.ports[-1]}"
    plain = ["nmap", "-n", "-Pn", "--send-ip", "-sS", "--scan-delay", "50ms", "--max-retries", "0"]
    scene.a.run(*plain, "-p", ports, scene.address, timeout=40)


def hidden(scene: Scene) -> None:
    """A scan while spoofed SYNs come for another port."""
    answer_everyone(scene.stage.pair)
    plain = f"hping3 -q -S --rand-source -i u{_PAUSE} -c {_COUNT} -p {scene.port}"
    flooding = scene.a.start(*plain.split(), scene.address, stdout=DEVNULL, stderr=DEVNULL)
    await_true(lambda: scene.b.counters()["OutRsts"] > 200, "the flood")
    scene.mark()
    ports = f"{scene.ports[1]}-{scene.ports[-1]}"
    plain = f"nmap -n -Pn --send-ip -sS --max-retries 0 -S {address(scene)} -e {INTERFACE} -p {ports}"
    scene.a.run(*plain.split(), scene.address, timeout=40)
    flooding.wait(30)


def burst(scene: Scene) -> None:
    """A short burst of ACKs, as peers send them after a fail-over."""
    hping3(scene, scene.port, "-A", count=100)


def crowd(scene: Scene) -> None:
    """Many clients want a service that has died, as fast as they can."""
    source = address(scene)
    server = scene.actor(scene.b, "server")
    server.listen(scene.port)
    server.crash()
    wrk = ["wrk", "-t1", "-c50", "-d3s", f"http://{scene.address}:{scene.port}/"]
    assert source
    scene.a.run(*wrk, check=False, timeout=30)


def forged(scene: Scene) -> None:
    """A middlebox resets connections in the server's name; the server does not know, and goes on."""
    middle = scene.stage.pair
    assert isinstance(middle, Chain)
    server, client = scene.actor(scene.b, "server"), scene.actor(scene.a, "client")
    listener = server.listen(scene.port)
    for _ in range(4):
        here = client.connect(scene.address, scene.port)
        there = listener.accept()
        for _ in range(3):
            here.send(b"question")
            there.recv()
            there.send(bytes(1000))
            here.recv()
        _, expected = here.seqs()
        own = middle.address(scene.a, 4)
        send(middle.middle, Segment(scene.address, scene.port, own, here.port, "R", seq=expected))
        here.await_error()
        scene.mark()
        there.send(bytes(1000))


_SPOOFED = ("spoofed", "TTL 64")

SCENARIOS = (
    Scenario(
        "spoofed SYNs for a closed port",
        flood("-S", "--rand-source"),
        wanted=(Wanted("reset-flood", within=4.0, says=("SYNs", "{port}", *_SPOOFED)),),
        needs=("hping3",),
    ),
    Scenario(
        "SYNs for a closed port from one address",
        flood("-S"),
        wanted=(Wanted("reset-flood", says=("SYNs", "{port}", "may be spoofed")),),
        needs=("hping3",),
    ),
    Scenario(
        "spoofed ACKs for an open port",
        flood("-A", "--rand-source", listens=True),
        wanted=(Wanted("reset-flood", within=4.0, says=("ACKs", "{port}", *_SPOOFED)),),
        needs=("hping3",),
    ),
    Scenario(
        "spoofed SYNs for an open port",
        flood("-S", "--rand-source", listens=True),
        wanted=(Wanted("syn-flood", within=4.0),),
        allowed=frozenset({"syn-queue-overflow"}),
        needs=("hping3",),
    ),
    Scenario("a flood of resets", flood("-R", "--rand-source", listens=True), needs=("hping3",)),
    Scenario(
        "spoofed SYN-ACKs",
        flood("-S", "-A", "--rand-source"),
        wanted=(Wanted("backscatter", says=("this host never began",)),),
        needs=("hping3",),
    ),
    Scenario("guessed resets", challenged, wanted=(Wanted("reset-flood", within=4.0, says=("challenge ACKs",)),)),
    Scenario(
        "a scanner here",
        scanner_here,
        wanted=(Wanted("backscatter", within=6.0, host="a", says=("nmap",)), Wanted("port-scan")),
        needs=("nmap",),
    ),
    Scenario(
        "a scan within a flood",
        hidden,
        wanted=(Wanted("reset-flood", within=4.0, says=("{port}",)), Wanted("port-scan")),
        needs=("hping3", "nmap"),
    ),
    Scenario(
        "a middlebox that resets connections",
        forged,
        wanted=(Wanted("forged-resets", within=4.0, host="a", says=("{port}",), confidences=("certain",)),),
        pair=Chain,
    ),
    Scenario("a burst of ACKs", burst, needs=("hping3",)),
    Scenario("a crowd at a dead service", crowd, allowed=frozenset({"service-down"}), needs=("wrk",)),
)
