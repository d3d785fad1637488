"""What the live tests start from."""

import os
from collections.abc import Iterator

import pytest

from tests.hosts import Host, Pair
from tests.hosts.cases import Stage
from tests.hosts.cases.model import machine_lock
from tests.hosts.groups import Groups, hierarchy


@pytest.fixture
def stage(machine: None) -> Iterator[Stage]:
    """Two fresh hosts with IPv4 between them, and actors that end with the test."""
    with Stage(4) as hosts:
        yield hosts


@pytest.fixture
def v2() -> Iterator[Groups]:
    """Control groups v2."""
    yield from _groups("cgroup2", "rw")


@pytest.fixture
def v1() -> Iterator[Groups]:
    """Control groups v1 of the memory controller."""
    yield from _groups("cgroup", "memory")


def _groups(kind: str, option: str) -> Iterator[Groups]:
    mount = hierarchy(kind, option)
    if mount is None:
        pytest.skip(f"this machine lacks a writable {kind} hierarchy with {option}")
    with Groups(mount) as groups:
        yield groups


@pytest.fixture
def router(machine: None) -> Iterator[tuple[Host, Host, Host]]:
    """A client, a host with a bridge, and a container behind that: 192.0.2.1 — 192.0.2.2 | 172.30.0.1 — 172.30.0.2."""
    with machine_lock(alone=False), Pair() as pair, Host("c") as container:
        host, path = pair.b, f"/proc/{os.getpid()}/fd/{container.descriptor}"
        host.run("ip", "link", "add", "br0", "type", "bridge")
        host.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", path)
        host.run("ip", "link", "set", "veth0", "master", "br0", "up")
        host.run("ip", "addr", "add", "172.30.0.1/24", "dev", "br0")
        host.run("ip", "link", "set", "br0", "up")
        container.run("ip", "addr", "add", "172.30.0.2/24", "dev", "eth0")
        container.run("ip", "link", "set", "eth0", "up")
        container.run("ip", "route", "add", "default", "via", "172.30.0.1")
        host.sysctl("net.ipv4.ip_forward", 1)
        yield pair.a, host, container
