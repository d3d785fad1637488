"""Scenarios of scans, and of what looks like them."""

import json
import random
import time
from collections.abc import Callable, Iterable
from socket import AF_INET, SOCK_STREAM

from tests.hosts.hosts import INTERFACE, await_true
from tests.hosts.programs import Program
from tests.hosts.segments import Segment, send
from tests.meanings.scenario import Scenario, Scene, Wanted

#: Addresses of host a that are nobody else's.
_FIRST = 50
_DECOYS = ("192.0.2.201", "192.0.2.202")


def address(scene: Scene, which: int = 0) -> str:
    """Gives host a an address that nobody else has in this scene's play."""
    own = f"192.0.2.{_FIRST + 2 * (scene.port // len(scene.ports) % 70) + which}"
    scene.a.run("ip", "address", "replace", f"{own}/24", "dev", INTERFACE)
    return own


def nmap(scene: Scene, *options: str, ports: Iterable[int], source: str = "") -> None:
    """Scans those ports of host b; from an address of its own, or in the name of host a."""
    named = ["-S", source, "-e", INTERFACE] if source else []
    plain = ["nmap", "-n", "-Pn", "--send-ip", "--max-retries", "0", "--host-timeout", "150s", "-r"]
    scene.a.run(*plain, *named, "-p", ",".join(map(str, ports)), *options, scene.address, timeout=160)


def timing(template: str, count: int) -> Callable[[Scene], None]:
    """A SYN scan of so many ports, with one of nmap's templates; it could be told at the fourth."""

    def play(scene: Scene) -> None:
        source = address(scene)
        nmap(scene, "-sS", template, ports=scene.ports[:count], source=source)
        scene.mark()

    return play


def idle(scene: Scene) -> None:
    """What nmap -sI sends to its target: SYNs in a zombie's name, which resets the answers of the open port."""
    zombie = address(scene)
    scene.actor(scene.b, "server").listen(scene.port)
    scene.mark()
    for number, port in enumerate(scene.ports[:20]):
        send(scene.a, Segment(zombie, 40_000 + number, scene.address, port, "S", seq=1000 + number))
        time.sleep(0.05)


def technique(*options: str) -> Callable[[Scene], None]:
    """A scan of all the scene's ports, of which one is open."""

    def play(scene: Scene) -> None:
        source = "" if "-sT" in options else address(scene)
        scene.actor(scene.b, "server").listen(scene.port)
        scene.mark()
        nmap(scene, *options, ports=scene.ports, source=source)

    return play


def wide(scene: Scene) -> None:
    """A thousand ports as fast as nmap can."""
    source = address(scene)
    scene.mark()
    nmap(scene, "-sS", "-T5", ports=range(20000, 21000), source=source)


def sixth(scene: Scene) -> None:
    """A scan over IPv6."""
    host = scene.stage.pair.address(scene.b, 6)
    scene.mark()
    plain = ["nmap", "-6", "-n", "-Pn", "--send-ip", "-sS", "--max-retries", "0", "--host-timeout", "60s", "-r"]
    scene.a.run(*plain, "-p", f"{scene.ports[0]}-{scene.ports[-1]}", host, timeout=70)


def slow(scene: Scene) -> None:
    """One port every three seconds."""
    source = address(scene)
    ports = scene.random.sample(scene.ports, 4)
    nmap(scene, "-sS", "--scan-delay", "3s", ports=ports, source=source)
    scene.mark()


def decoys(scene: Scene) -> None:
    """A scan that hides between others' addresses, one of them that of a machine which is a client too."""
    source, client_address = address(scene), address(scene, 1)
    port = scene.port
    listener = scene.actor(scene.b, "server").listen(port)
    for _ in range(3):
        with scene.a.socket(AF_INET, SOCK_STREAM) as client:
            client.bind((client_address, 0))
            client.connect((scene.address, port))
            listener.accept().close()
            assert client.recv(1) == b""
    scene.mark()
    nmap(scene, "-sS", "-D", ",".join((client_address, *_DECOYS)), ports=scene.ports, source=source)


def masscan(scene: Scene) -> None:
    """Another scanner, which has a network stack of its own."""
    source = address(scene)
    ports = f"{scene.ports[0]}-{scene.ports[-1]}"
    scene.mark()
    plain = f"masscan {scene.address} -p{ports} --rate 200 --wait 0 --adapter-ip {source} --interface {INTERFACE}"
    scene.a.run(*plain.split(), "--router-mac", "02:00:00:00:00:0b", timeout=30, check=False)


def datagrams(scene: Scene) -> None:
    """A scan of UDP provokes no resets."""
    nmap(scene, "-sU", ports=scene.ports[:8])


def attempt(scene: Scene, port: int, source: str) -> bool:
    """One connection to host b; whether it was accepted."""
    with scene.a.socket(AF_INET, SOCK_STREAM) as client:
        client.bind((source, 0))
        client.settimeout(2)
        try:
            client.connect((scene.address, port))
        except ConnectionRefusedError:
            return False
        return True


def dead_exporters(scene: Scene) -> range:
    """Five programs have listened on these ports of host b, and died."""
    ports = scene.ports[:5]
    exporters = scene.actor(scene.b, "exporters")
    listeners = [exporters.listen(port) for port in ports]
    exporters.crash()
    await_true(lambda: not any(scene.b.tcp_states(port) for port in ports), "the exporters' end")
    del listeners
    return ports


def scraper(scene: Scene) -> None:
    """A monitoring server goes on asking five exporters that have died."""
    source = address(scene)
    ports = dead_exporters(scene)
    for _ in range(4):
        for port in ports:
            assert not attempt(scene, port, source)
            time.sleep(0.1)
        time.sleep(0.5)


def unknown_scraper(scene: Scene) -> None:
    """The same of five exporters that nobody ever saw, as Prometheus does it: spread over the interval."""
    source = address(scene)
    for _ in range(2):
        for port in scene.ports[:5]:
            assert not attempt(scene, port, source)
            time.sleep(1.2)


def prometheus(scene: Scene) -> None:
    """A true Prometheus on host a scrapes five exporters that have died, once a second."""
    ports = dead_exporters(scene)
    own = scene.ports[6]
    targets = [f"{scene.address}:{port}" for port in ports]
    rules = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "dead", "static_configs": [{"targets": targets}]}],
    }
    words = ("--config.file={folder}/rules.json", "--storage.tsdb.path={folder}/data", f"--web.listen-address=:{own}")
    with Program(scene.a, "prometheus", *words, port=own, files={"rules.json": json.dumps(rules)}):
        refused = scene.a.counters()["AttemptFails"]
        await_true(lambda: scene.a.counters()["AttemptFails"] >= refused + 20, "four rounds of scrapes", timeout=20)


def browser(scene: Scene) -> None:
    """A client of an open port tries two closed ones too."""
    source = address(scene)
    listener = scene.actor(scene.b, "server").listen(scene.port)
    for closed in (scene.port + 1, scene.port + 2):
        with scene.a.socket(AF_INET, SOCK_STREAM) as client:
            client.bind((source, 0))
            client.connect((scene.address, scene.port))
            listener.accept().close()
            assert client.recv(1) == b""
        assert not attempt(scene, closed, source)


def people(scene: Scene) -> None:
    """Many people behind one address use two services, and err now and then."""
    source = address(scene)
    server = scene.actor(scene.b, "server")
    listeners = {port: server.listen(port) for port in scene.ports[:2]}
    dice = random.Random(scene.random.random())
    for number in range(120):
        port = dice.choice(list(listeners))
        with scene.a.socket(AF_INET, SOCK_STREAM) as client:
            client.bind((source, 0))
            client.connect((scene.address, port))
            listeners[port].accept().close()
            assert client.recv(1) == b""
        if number % 30 == 29:
            assert not attempt(scene, scene.ports[2 + number // 30], source)


#: Host a's own kernel answers the SYN-ACKs of open ports; what that is called is not asked here.
_SCAN = frozenset({"backscatter"})
_TECHNIQUES = {
    "a connect scan": (("-sT",), "connect scan"),
    "a SYN scan": (("-sS",), "SYN scan"),
    "a FIN scan": (("-sF",), "FIN scan"),
    "a NULL scan": (("-sN",), "NULL scan"),
    "an Xmas scan": (("-sX",), "Xmas scan"),
    "an ACK scan": (("-sA",), "ACK or window scan"),
    "a window scan": (("-sW",), "ACK or window scan"),
    "a Maimon scan": (("-sM",), "Maimon scan"),
}

SCENARIOS = (
    *(
        Scenario(
            name,
            technique(*options),
            wanted=(Wanted("port-scan", says=(words,)),),
            allowed=_SCAN,
            needs=("nmap",),
        )
        for name, (options, words) in _TECHNIQUES.items()
    ),
    Scenario("a scan of a thousand ports", wide, wanted=(Wanted("port-scan"),), allowed=_SCAN, needs=("nmap",)),
    *(
        Scenario(f"nmap {template}", timing(template, n), wanted=(Wanted("port-scan"),), allowed=_SCAN, needs=("nmap",))
        for template, n in (("-T1", 5), ("-T2", 12), ("-T3", 40), ("-T4", 40))
    ),
    Scenario("an idle scan, at its target", idle, wanted=(Wanted("port-scan", says=("spoofed",)),), allowed=_SCAN),
    Scenario("a scan over IPv6", sixth, wanted=(Wanted("port-scan", says=("2001:db8:77::/64",)),), needs=("nmap",)),
    Scenario("a slow scan", slow, wanted=(Wanted("port-scan"),), allowed=_SCAN, needs=("nmap",)),
    Scenario(
        "a scan with decoys",
        decoys,
        wanted=(Wanted("port-scan", says=("4 sources", "true one cannot be told", *_DECOYS)),),
        allowed=_SCAN,
        needs=("nmap",),
    ),
    Scenario("masscan", masscan, wanted=(Wanted("port-scan"),), allowed=_SCAN, needs=("masscan",)),
    Scenario("a scan of UDP", datagrams, needs=("nmap",)),
    Scenario("a scraper of dead exporters", scraper, allowed=frozenset({"service-down"})),
    Scenario("Prometheus asks dead exporters", prometheus, allowed=frozenset({"service-down"}), needs=("prometheus",)),
    Scenario("a scraper of exporters never seen", unknown_scraper, allowed=frozenset({"service-missing"})),
    Scenario("a browser and two closed ports", browser, allowed=frozenset({"service-missing"})),
    Scenario("many people behind one address", people, allowed=frozenset({"service-missing"})),
)
