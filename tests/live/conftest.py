"""What the live tests start from."""

from collections.abc import Iterator

import pytest

from tests.hosts.cases import Stage
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
