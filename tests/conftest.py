"""Fixtures for tests against real hosts. What a machine lacks skips the tests that need it, and is named."""

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.hosts import Pair, Watch
from tests.hosts.cases.model import machine_lock

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}  # include/uapi/linux/capability.h
_OF_HOSTS = ("tests/live/", "tests/hosts/")
#: Of these what sees its own hosts alone, and mostly waits.
_WAITING = ("tests/live/test_packets_tier.py", "tests/live/test_extcap.py")
COMMANDS = {"ip": "iproute2", "nft": "nftables", "setpriv": "util-linux"}


class Apart(LoadScopeScheduling):  # type: ignore[misc]
    """Tests of real hosts in one worker, one after the other: what one provokes is no other's. The rest by files."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "hosts" if file.startswith(_OF_HOSTS) and file not in _WAITING else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Apart:
    """Which tests run beside which."""
    return Apart(config, log)


def what_is_missing() -> list[str]:
    """Name what this machine lacks for real hosts and for seeing the kernel's events there."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    effective = int(status["CapEff"], 16)
    missing = [f"the right {name}" for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    missing += [
        f"the command {name} (package {package})" for name, package in COMMANDS.items() if not shutil.which(name)
    ]
    if not Path("/sys/kernel/btf/vmlinux").exists():
        missing.append("the kernel's BTF (/sys/kernel/btf/vmlinux)")
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        missing.append("libbpf.so.1 (package libbpf1)")
    return missing


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that can make hosts and see their resets."""
    if missing := what_is_missing():
        pytest.skip("this machine lacks " + ", ".join(missing))


@pytest.fixture
def pair(machine: None) -> Iterator[Pair]:
    """Two fresh hosts; no other test changes a setting of the whole machine meanwhile."""
    with machine_lock(alone=False), Pair() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def watch(machine: None) -> Iterator[Watch]:
    """The command at work, one for all tests of a module; floods of other tests find room in its ring, too."""
    with Watch("--ring-kib", "16384") as running:
        yield running
