"""Next steps name whoever manages a service, in words that a shell takes as they are."""

import shlex

from whyreset.findings import managers
from whyreset.model import Process

ID = "0123456789ab" + "c" * 52
SINCE_NS = 1_795_330_860_000_000_000
AT = "@1795330800"


def commands(**fields: str) -> list[str]:
    """What to do about a process."""
    return [step.command for step in managers.ask(Process(pid=7, **fields), SINCE_NS)]  # type: ignore[arg-type]


def test_a_unit_of_the_system() -> None:
    """Its status, and its journal from a minute before."""
    assert commands(unit="api.service") == ["systemctl status api.service", f"journalctl -u api.service --since {AT}"]


def test_a_unit_of_a_user() -> None:
    """It is its own manager's."""
    cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"
    assert commands(unit="web.service", cgroup=cgroup) == [
        "systemctl --user -M 1000@ status web.service",
        f"journalctl _UID=1000 --user-unit web.service --since {AT}",
    ]


def test_a_container() -> None:
    """Its runtime is told by its control group; the name is what an operator calls it."""
    cgroup = f"/system.slice/docker-{ID}.scope"
    assert commands(container=ID, container_name="shop", cgroup=cgroup)[0] == "docker inspect shop"
    assert commands(container=ID, cgroup=cgroup)[0] == "docker inspect 0123456789ab"
    assert commands(container=ID, cgroup=f"/machine.slice/libpod-{ID}.scope")[0] == "podman inspect 0123456789ab"
    assert commands(container=ID, cgroup="/elsewhere") == []


def test_a_pod() -> None:
    """Kubernetes is asked, also for what it said before its last end."""
    assert commands(pod="uid", container=ID, container_name="shop/web-1/app") == [
        "kubectl -n shop describe pod web-1",
        "kubectl -n shop logs web-1 -c app --previous",
    ]


def test_names_are_quoted() -> None:
    """Whoever names a unit cannot have a command run."""
    name = "a;rm -rf $(x)`y`'.service"
    for command in commands(unit=name):
        assert name in shlex.split(command)


def test_nothing_is_known_of_a_manager() -> None:
    """Then nobody is to be asked."""
    assert commands() == []
