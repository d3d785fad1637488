"""Scenarios of health checks."""

from collections.abc import Callable

from tests.hosts.servers import haproxy, nginx
from tests.meanings.scenario import Scenario, Scene, Wanted

_RULES = """
frontend front
  bind :{front}
  default_backend checked
backend checked
  {option}
  server one {address}:{port} check inter 1s
"""


def checker(option: str) -> Callable[[Scene], None]:
    """A balancer on host a checks a web server on host b every second."""

    def play(scene: Scene) -> None:
        with nginx(scene.b, scene.port, f"server {{ listen {scene.port}; location / {{ return 200 hello; }} }}"):
            front = scene.port + 1
            rules = _RULES.format(front=front, option=option, address=scene.address, port=scene.port)
            with haproxy(scene.a, front, rules):
                scene.pause(8.5)
                scene.mark()

    return play


SCENARIOS = (
    Scenario(
        "checks by connection alone",
        checker(""),
        wanted=(Wanted("health-check", host="a", says=("haproxy", "{port}", "every 1.0 s")),),
        # at the server only a counter moves, which others move too
        allowed=frozenset({"health-check"}),
        needs=("haproxy", "nginx"),
    ),
    Scenario(
        "checks by a request",
        # of some the answer is there in time for an orderly close: whether six resets come is chance
        checker("option httpchk\n  http-check send meth GET uri / ver HTTP/1.1 hdr Host checked"),
        allowed=frozenset({"health-check"}),
        needs=("haproxy", "nginx"),
    ),
)
