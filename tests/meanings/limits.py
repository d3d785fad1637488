"""Scenarios of limits: queues that are full, dependencies that refuse or do not answer, and what only looks like it."""

import time
from collections.abc import Callable

from tests.hosts.actor import Connection
from tests.hosts.programs import Program
from tests.hosts.servers import haproxy, nginx
from tests.meanings.scenario import Scenario, Scene, Wanted

FULL = "accept-queue-overflow"
#: Clients that wait in vain say so; their server's end refuses who still waits.
SILENT, AFTERMATH = frozenset({"dependency-silent"}), frozenset({"dependency-silent", "service-down"})


def knock(scene: Scene, seconds: float, port: int, pause: float = 0.1) -> list[Connection]:
    """Clients on host a come one after the other, whatever becomes of them; those that are through."""
    client = scene.actor(scene.a, "client")
    tries = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        tries.append(client.connect(scene.address, port, wait=False))
        time.sleep(pause)
    return tries


def not_accepting(abort: int, cookies: int) -> Callable[[Scene], None]:
    """A program that listens with a backlog of 5 and does not accept."""

    def play(scene: Scene) -> None:
        scene.b.sysctl("net.ipv4.tcp_abort_on_overflow", abort)
        scene.b.sysctl("net.ipv4.tcp_syncookies", cookies)
        scene.actor(scene.b, "server").listen(scene.port, backlog=5)
        knock(scene, 0.7, scene.port)
        scene.mark()
        knock(scene, 4, scene.port)

    return play


def aborting(scene: Scene) -> None:
    """With tcp_abort_on_overflow 1 handshakes that end too late are reset, all at once from many clients."""
    scene.b.sysctl("net.ipv4.tcp_abort_on_overflow", 1)
    scene.b.sysctl("net.ipv4.tcp_syncookies", 0)
    scene.actor(scene.b, "server").listen(scene.port, backlog=5)
    scene.mark()
    for _ in range(4):
        with scene.a.dropping("output", f"tcp dport {scene.port} tcp flags & (syn | ack | rst) == ack"):
            late = knock(scene, 0.6, scene.port)
        for each in late:
            if each.state() == "ESTABLISHED":
                each.send(b"too late")
        knock(scene, 0.5, scene.port)


def stopped_nginx(scene: Scene) -> None:
    """The worker of an nginx with a small backlog hangs, and a few clients a second come."""
    with nginx(scene.b, scene.port, f"server {{ listen {scene.port} backlog=4; }}") as server:
        server.await_true(lambda: bool(server.children), "a worker")
        [worker] = server.children
        Program(scene.b, "kill", "-STOP", str(worker)).wait()
        scene.mark()
        try:
            knock(scene, 5, scene.port, pause=0.2)
        finally:
            Program(scene.b, "kill", "-KILL", str(worker)).wait()


def full_haproxy(scene: Scene) -> None:
    """A haproxy accepts as many connections as its maxconn and leaves the others waiting."""
    rules = f"frontend f\n  maxconn 2\n  bind :{scene.port} backlog 4\n  http-request return status 200\n"
    with haproxy(scene.b, scene.port, rules):
        scene.mark()
        knock(scene, 5, scene.port)


def burst(scene: Scene) -> None:
    """Twenty clients come at once to a backlog of 8; the server accepts them all within a moment."""
    server = scene.actor(scene.b, "server")
    listener = server.listen(scene.port, backlog=8)
    client = scene.actor(scene.a, "client")
    for _ in range(20):
        client.connect(scene.address, scene.port, wait=False)
    scene.b.await_counter("ListenOverflows", 1)
    accepted = 0
    end = time.monotonic() + 4
    while accepted < 20 and time.monotonic() < end:
        accepted += len(listener.accept_waiting())
        time.sleep(0.01)


def blocked_dependency(scene: Scene) -> None:
    """A firewall drops what goes to a dependency, and its client tries again and again."""
    scene.a.sysctl("net.ipv4.tcp_syn_retries", 1)
    client = scene.actor(scene.a, "client")
    with scene.b.dropping("input", f"tcp dport {scene.port}"):
        for _ in range(2):
            tries = [client.connect(scene.address, scene.port, wait=False) for _ in range(2)]
            for each in tries:
                each.await_error()
                each.close()
            scene.mark()


def impatient_client(scene: Scene) -> None:
    """The same, but the client has a time-out of its own."""
    client = scene.actor(scene.a, "client")
    with scene.b.dropping("input", f"tcp dport {scene.port}"):
        for _ in range(3):
            each = client.connect(scene.address, scene.port, wait=False)
            scene.pause(1.5)
            each.close()
        scene.mark()


def _refuse(scene: Scene) -> None:
    """The firewall of host b refuses one port; that is no reset of any host that is watched."""
    rule = f"tcp dport {scene.port} reject with tcp reset"
    scene.b.nft(f"table inet refuse{scene.port} {{ chain c {{ type filter hook input priority 0; {rule}; }}; }}")


def _try(scene: Scene, name: str = "client") -> None:
    attempt = scene.actor(scene.a, name).socket()
    try:
        attempt.connect(scene.address, scene.port)
    except ConnectionRefusedError:
        pass
    attempt.close()


def refused_dependency(scene: Scene) -> None:
    """A client is refused, and tries again twice a second."""
    _refuse(scene)
    client = scene.actor(scene.a, "client")
    for number in range(6):
        attempt = client.socket()
        try:
            attempt.connect(scene.address, scene.port)
        except ConnectionRefusedError:
            pass
        attempt.close()
        if number == 2:
            scene.mark()
        scene.pause(0.5)


def refused_once(scene: Scene) -> None:
    """A client is refused, and does without."""
    _refuse(scene)
    _try(scene)


def silent_once(scene: Scene) -> None:
    """A client waits in vain, and gives up."""
    client = scene.actor(scene.a, "client")
    with scene.b.dropping("input", f"tcp dport {scene.port}"):
        each = client.connect(scene.address, scene.port, wait=False)
        scene.pause(2)
        each.close()


def happy_eyeballs(scene: Scene) -> None:
    """A client begins with an address that does not answer, takes another one after 250 ms, and does so often."""
    client = scene.actor(scene.a, "client")
    listener = scene.actor(scene.b, "server").listen(scene.port)
    with scene.b.dropping("input", f"tcp dport {scene.port + 1}"):
        for _ in range(8):
            slow = client.connect(scene.address, scene.port + 1, wait=False)
            scene.pause(0.25)
            fast = client.connect(scene.address, scene.port)
            slow.close()
            served = listener.accept()
            fast.close()
            served.close()


def load(scene: Scene) -> None:
    """wrk at a web server that keeps up."""
    with (
        nginx(scene.b, scene.port, f"server {{ listen {scene.port}; }}", workers=2),
        Program(scene.a, "wrk", "-t1", "-c50", "-d4s", f"http://{scene.address}:{scene.port}/") as clients,
    ):
        clients.wait()


SCENARIOS = (
    Scenario(
        "a program does not accept",
        not_accepting(abort=0, cookies=1),
        wanted=(Wanted(FULL, says=(":{port}", "its limit is 5", "hear nothing"), confidences=("certain",)),),
        allowed=SILENT,
    ),
    Scenario(
        "a program does not accept, without cookies",
        not_accepting(abort=0, cookies=0),
        wanted=(Wanted(FULL, says=(":{port}", "its limit is 5"), confidences=("certain",)),),
        allowed=SILENT,
        alone=True,
    ),
    Scenario(
        "a program does not accept, tcp_abort_on_overflow 1",
        aborting,
        wanted=(Wanted(FULL, within=4, says=(":{port}", "tcp_abort_on_overflow is 1"), confidences=("certain",)),),
        allowed=AFTERMATH,
        alone=True,
    ),
    Scenario(
        "a hanging nginx with a small backlog",
        stopped_nginx,
        wanted=(Wanted(FULL, within=4, says=(":{port}", "its limit is 4", "nginx"), confidences=("certain",)),),
        allowed=AFTERMATH,
        needs=("nginx",),
    ),
    Scenario(
        "a haproxy at its maxconn",
        full_haproxy,
        wanted=(Wanted(FULL, within=5, says=(":{port}", "its limit is 4", "haproxy"), confidences=("certain",)),),
        allowed=AFTERMATH,
        needs=("haproxy",),
    ),
    Scenario("one burst that overflows an accept queue", burst),
    Scenario(
        "a blocked dependency",
        blocked_dependency,
        wanted=(
            Wanted("dependency-silent", host="a", says=(":{port}", "tcp_syn_retries is 1"), confidences=("certain",)),
        ),
    ),
    Scenario(
        "a blocked dependency and an impatient client",
        impatient_client,
        wanted=(
            Wanted("dependency-silent", host="a", says=(":{port}", "by the program itself"), confidences=("certain",)),
        ),
    ),
    Scenario(
        "a dependency that refuses",
        refused_dependency,
        wanted=(Wanted("dependency-refuses", host="a", says=(":{port}", "refused"), confidences=("certain",)),),
    ),
    Scenario("one refused connection", refused_once),
    Scenario("one connection given up", silent_once),
    Scenario("happy eyeballs", happy_eyeballs),
    Scenario("a web server under load", load, needs=("wrk", "nginx")),
)
