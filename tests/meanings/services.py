"""Scenarios of services: gone, restarted, missing, crashing."""

import signal
import time

from tests.hosts.hosts import await_true
from tests.hosts.programs import Program
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


def crash(scene: Scene) -> None:
    """A web server dies of SIGSEGV, and clients go on asking for it."""
    with serve(scene, scene.port) as server:
        server.kill(signal.SIGSEGV)
        await_true(lambda: not scene.b.tcp_states(scene.port), "the port to be closed")
        scene.mark()
        refuse(scene, scene.port, 20)


SCENARIOS = (
    Scenario(
        "a service crashes",
        crash,
        wanted=(Wanted("service-down", within=1.0, says=("SIGSEGV", ":{port}")),),
    ),
)
