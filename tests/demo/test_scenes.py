"""Every scene, played for real: the causes, owners and ends that its story is told for, and an account that closes."""

from collections import Counter, deque
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hosts.watch import Line, Watch
from whyreset import causes
from whyreset.demo.scenes import SCENES
from whyreset.outputs.sentences import SAYINGS

SEGV, KILL = "killed by SIGSEGV", "killed by SIGKILL"


class Told(NamedTuple):
    """What is said of one reset. `port` is the server's."""

    netns: str
    direction: str
    cause: str
    port: int
    owner: str | None = None
    exit: str | None = None
    closer: str | None = None


def sent(cause: str, port: int, owner: str | None = None, ended: str | None = None, closer: str | None = None) -> Told:
    """A reset that the server sends."""
    return Told("demo-server", "sent", cause, port, owner, ended, closer)


def received(cause: str, port: int, owner: str) -> Told:
    """A reset that a client receives."""
    return Told("demo-clients", "received", cause, port, owner)


def left(cause: str, port: int, owner: str, server: str) -> dict[Told, int]:
    """A client resets its own connection to a server."""
    return {
        Told("demo-clients", "sent", cause, port, owner, None, owner): 1,
        Told("demo-server", "received", cause, port, server): 1,
    }


SCANNED = 40
PROBED = (21, 23, 25, 53, 110, 111, 135, 139)
#: What one playing of each scene makes; the scan's ports are all told as port 0.
EXPECTED: dict[str, dict[Told, int]] = {
    "crash": {sent("closed-port", 8080, "api", SEGV): 10, received("closed-port", 8080, "web"): 10},
    "monitoring": {sent("closed-port", 9100): 3, received("closed-port", 9100, "prometheus"): 3},
    "upload": {
        sent("unread-data", 8443, "uploads", closer="uploads"): 3,
        received("unread-data", 8443, "backup"): 3,
    },
    "killed": {sent("unread-data", 8000, "shop", KILL, "shop"): 3, received("unread-data", 8000, "web"): 3},
    "stale": {sent("data-after-close", 8080, "api"): 3, received("data-after-close", 8080, "web"): 3},
    "impatient": {
        sent("linger-zero", 443, "balancer", closer="balancer"): 4,
        received("linger-zero", 443, "browser"): 4,
    },
    "full-queue": {sent("accept-queue-full", 8090, "tickets"): 3, received("accept-queue-full", 8090, "browser"): 3},
    "deploy": {sent("not-accepted", 8000, "shop", closer="shop"): 4, received("not-accepted", 8000, "web"): 4},
    "scan": {sent("closed-port", 0): SCANNED},
    "probe": {sent("scan-probe", port): 3 for port in PROBED},
    "lost-state": {sent("half-open", 5432, "database"): 2, received("half-open", 5432, "web"): 2},
    "unreachable": {sent("keepalive-timeout", 8883, "push"): 1},
    "download": left("unread-data", 8081, "browser", "files"),
    "disconnect": left("disconnect", 5432, "pooler", "database"),
    "destroyed": {
        sent("destroyed", 3389, "desktop", closer="ss"): 1,
        received("destroyed", 3389, "viewer"): 1,
    },
    "same-port": {
        Told("demo-clients", "sent", "time-wait-reuse", 2525, "backup"): 1,
        sent("closed-port", 2525, "mail"): 1,
        received("closed-port", 2525, "backup"): 1,
    },
}


def told(line: Line, scene: str) -> Told:
    """What a line says."""
    server_speaks = (line["netns_name"] == "demo-server") == (line["direction"] == "sent")
    port = 0 if scene == "scan" else line["sport" if server_speaks else "dport"]
    owner, closer = line.get("owner", {}), line.get("closer", {})
    kind = (line["netns_name"], line["direction"], line["cause"])
    return Told(*kind, port, owner.get("comm"), owner.get("exit"), closer.get("comm"))


def counted(lines: "deque[Line]", scene: str) -> "Counter[Told]":
    """How often each thing was said of the demo's namespaces."""
    out: Counter[Told] = Counter()
    for line in lines:
        if line["type"] == "reset" and line.get("netns_name", "").startswith("demo-"):
            out[told(line, scene)] += line["count"]
    return out


def test_each_scene_is_expected_and_tells_its_causes() -> None:
    """What a scene says that it shows is what is expected of it, and there are a dozen causes."""
    assert {scene.name: set(scene.causes) for scene in SCENES} == {
        name: {each.cause for each in expected if each.direction == "sent"} for name, expected in EXPECTED.items()
    }
    shown = {cause for scene in SCENES for cause in scene.causes}
    assert len(shown) >= 12
    assert shown <= {module.NAME for module in causes.CAUSES}


@pytest.mark.parametrize("scene", list(EXPECTED))
def test_a_scene_is_explained(machine: None, scene: str) -> None:
    """Nothing but what is expected is said of its namespaces, at least one playing of it, and each count is seen."""
    expected = EXPECTED[scene]
    with Watch("--scene", scene) as watch:
        watch.wait(lambda lines: all(counted(lines, scene)[each] >= many for each, many in expected.items()))
        watch.stop()
        assert set(counted(watch.lines, scene)) == set(expected)
        accounts = {
            line["netns_name"]: line for line in watch.lines if line["type"] == "count" and "netns_name" in line
        }
        assert accounts.keys() >= {each.netns for each in expected}
        for account in accounts.values():
            assert account["counted"] == account["seen"] == account["explained"]
        assert not [line for line in watch.lines if line["type"] == "notice" and "cannot be played" in line["text"]]


def test_no_scene_leaves_anything_for_the_next(machine: None) -> None:
    """All scenes after one another, and the first once more: every reset is one that some scene is told for."""
    expected = {each for scene in EXPECTED.values() for each in scene}
    scanned = {each for each in expected if each.port}
    with Watch("--demo") as watch:
        watch.wait(lambda lines: counted(lines, "")[sent("closed-port", 8080, "api", SEGV)] > 10, timeout=60)
        watch.stop()
        said = counted(watch.lines, "")
    strange = {each for each in said if each not in scanned and each._replace(port=0) != sent("closed-port", 0)}
    assert not strange
    assert scanned <= set(said)


def test_each_scene_is_documented() -> None:
    """docs/demo.md has a row for each, in the order of playing and in the same words."""
    page = Path(__file__).parents[2] / "docs/demo.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    said = [(scene.name, scene.text, ", ".join(f"`{cause}`" for cause in scene.causes)) for scene in SCENES]
    assert rows == [f"| `{name}` | {text} | {shown} |" for name, text, shown in said]


def test_each_scene_has_its_screen() -> None:
    """docs/screens.md shows them all, in today's words; `make screens` makes it anew."""
    page = (Path(__file__).parents[2] / "docs/screens.md").read_text()
    for scene in SCENES:
        _, _, shown = page.partition(f"## {scene.name}: {scene.text}\n\n```\n")
        screen = shown.partition("```")[0]
        assert all(SAYINGS[cause].what in screen.replace("closed ports", "closed port") for cause in scene.causes), (
            scene
        )
