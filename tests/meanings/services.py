"""Scenarios of services: gone, restarted, missing, crashing."""

import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
from tests.hosts.servers import haproxy, nginx, redis
from tests.meanings.scenario import Scenario, Scene, Wanted


def refuse(scene: Scene, port: int, count: int, pause: float = 0.02) -> None:
    """Clients on host a try a port so many times."""
    client = scene.actor(scene.a, "client")
    for _ in range(count):
        attempt = client.socket()
        try:
            attempt.connect(scene.address, port)
        except ConnectionRefusedError:
            pass
        attempt.close()
        time.sleep(pause)


def serve(scene: Scene, port: int) -> Program:
    """Python's own web server."""
    return Program(scene.b, "python3", "-m", "http.server", str(port), port=port)


class Knocking:
    """A process on host a that connects to a port ten times a second, whatever comes of it, until it is closed."""

    def __init__(self, scene: Scene, port: int) -> None:
        script = (
            "import socket, sys, time\n"
            "while True:\n"
            "    with socket.socket() as attempt:\n"
            "        attempt.connect_ex((sys.argv[1], int(sys.argv[2])))\n"
            "    time.sleep(0.1)\n"
        )
        self._process = scene.a.start(sys.executable, "-c", script, scene.address, str(port))

    def poll(self) -> int | None:
        """Its status; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def knocking(scene: Scene, port: int = 0) -> Knocking:
    """A client that never gives up."""
    return Knocking(scene, port or scene.port)


def crash(scene: Scene) -> None:
    """A web server dies of SIGSEGV, and clients go on asking for it."""
    with serve(scene, scene.port) as server:
        server.kill(signal.SIGSEGV)
        await_true(lambda: not scene.b.tcp_states(scene.port), "the port to be closed")
        scene.mark()
        refuse(scene, scene.port, 20)


def planned_restart(scene: Scene) -> None:
    """A web server is told to end and started again a second later; clients ask all the time."""
    asking = knocking(scene)
    with serve(scene, scene.port) as server:
        scene.pause(0.3)
        server.end(signal.SIGTERM)
        scene.mark()
        scene.pause(1)
    with serve(scene, scene.port):
        scene.pause(1)
    asking.close()


def restart_loop(scene: Scene) -> None:
    """A server that fails soon after its start is started again and again."""
    asking = knocking(scene)
    for _ in range(5):
        with serve(scene, scene.port) as server:
            scene.pause(0.5)
            server.end(signal.SIGABRT)
        scene.pause(0.3)
        if asking.poll() is not None:
            raise RuntimeError("nobody asks any more")
    asking.close()
    scene.mark()


def rolling_restart(scene: Scene) -> None:
    """Three instances of one server are restarted, one after the other."""
    asking = [knocking(scene, port) for port in scene.ports[:3]]
    with ExitStack() as stack:
        running = [stack.enter_context(serve(scene, port)) for port in scene.ports[:3]]
        scene.pause(0.5)
        for port, server in zip(scene.ports[:3], running, strict=True):
            server.end(signal.SIGTERM)
            scene.pause(0.3)
            stack.enter_context(serve(scene, port))
            scene.pause(0.5)
        scene.mark()
        scene.pause(1)
    for each in asking:
        each.close()


def work_on_the_host(scene: Scene) -> None:
    """Somebody restarts four services one after the other, as an upgrade does; clients ask for them all the time."""
    one, two, three, four = scene.ports[:4]
    rules = f"frontend f\n  bind :{three}\n  http-request return status 200\n"
    starts: tuple[Callable[[], AbstractContextManager[Program]], ...] = (
        lambda: serve(scene, one),
        lambda: nginx(scene.b, two, f"server {{ listen {two}; }}"),
        lambda: haproxy(scene.b, three, rules),
        lambda: redis(scene.b, four),
    )
    asking = [knocking(scene, port) for port in scene.ports[:4]]
    with ExitStack() as stack:
        running = [stack.enter_context(start()) for start in starts]
        scene.pause(0.5)
        for start, server in zip(starts, running, strict=True):
            server.end(signal.SIGTERM)
            scene.pause(0.5)
            stack.enter_context(start())
        scene.mark()
        scene.pause(1)
        for each in asking:
            each.close()


def never_there(scene: Scene) -> None:
    """One client asks again and again for what nobody offers."""
    refuse(scene, scene.port, 7, pause=2.1)
    scene.mark()
    refuse(scene, scene.port, 1)


def elsewhere(scene: Scene) -> None:
    """A server listens on loopback alone, and a client asks at the host's address."""
    command = ("python3", "-m", "http.server", "--bind", "127.0.0.1", str(scene.port))
    with Program(scene.b, *command, port=scene.port):
        refuse(scene, scene.port, 7, pause=2.1)
        scene.mark()
        refuse(scene, scene.port, 1)


def one_of_two(scene: Scene) -> None:
    """Of two that listen on one port (SO_REUSEPORT) one dies; the other serves on."""
    one, two = scene.actor(scene.b, "one"), scene.actor(scene.b, "two")
    for server in (one, two):
        listener = server.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(scene.port)
        listener.listen(64)
    client = scene.actor(scene.a, "client")
    for _ in range(10):
        client.connect(scene.address, scene.port)
    one.kill(signal.SIGKILL)
    for _ in range(10):
        client.connect(scene.address, scene.port)


def cron(scene: Scene) -> None:
    """Every few seconds a burst of short connections, as scripts make them."""
    with serve(scene, scene.port):
        for _ in range(4):
            for _ in range(10):
                url = f"http://{scene.address}:{scene.port}/"
                scene.a.run("curl", "--silent", "--output", "/dev/null", url)
            scene.pause(1)


def browsing(scene: Scene) -> None:
    """A browser: several connections at once, kept alive, some of them left in the midst of an answer."""
    with nginx(scene.b, scene.port, f"server {{ listen {scene.port}; }}", large_bytes=512 << 10):
        browser = scene.actor(scene.a, "browser")
        for page in range(6):
            connections = [browser.connect(scene.address, scene.port) for _ in range(6)]
            for connection in connections:
                connection.send(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
                assert connection.recv()
            for number, connection in enumerate(connections):
                if (number + page) % 3:
                    connection.shutdown()
                    while connection.recv(16384):
                        pass
                connection.close()
            scene.pause(scene.random.uniform(0.2, 1.0))


SCENARIOS = (
    Scenario(
        "a service crashes",
        crash,
        wanted=(Wanted("service-down", within=1.0, says=("SIGSEGV", ":{port}")),),
    ),
    Scenario(
        "a service is restarted as planned",
        planned_restart,
        wanted=(Wanted("service-down", within=1.0, says=("http.server", ":{port}"), closes=True),),
    ),
    Scenario(
        "a service restarts in a loop",
        restart_loop,
        wanted=(Wanted("service-flapping", says=("SIGABRT", ":{port}")),),
        allowed=frozenset({"service-down"}),
    ),
    Scenario(
        "three instances are restarted in turn",
        rolling_restart,
        wanted=(Wanted("deploy", says=("Rolling restart of http.server",)),),
        allowed=frozenset({"service-down"}),
    ),
    Scenario(
        "four services are restarted one after the other",
        work_on_the_host,
        wanted=(Wanted("self-inflicted", says=("4 services", "redis-server", "haproxy")),),
        allowed=frozenset({"service-down", "deploy"}),
        alone=True,  # what belongs together is asked of all services of a host
        needs=("nginx", "haproxy", "redis-server"),
    ),
    Scenario(
        "a client wants what was never there",
        never_there,
        wanted=(Wanted("service-missing", says=(":{port}", "wants it")),),
    ),
    Scenario(
        "a service listens on loopback alone",
        elsewhere,
        wanted=(Wanted("service-missing", says=("127.0.0.1", ":{port}")),),
    ),
    Scenario("one of two listeners of a port dies", one_of_two, allowed=frozenset({"worker-crash"})),
    Scenario("scripts ask in bursts", cron, needs=("curl",)),
    Scenario("a browser leaves early", browsing, needs=("nginx",)),
)
