"""A namespace that is being looked at: what leads to it, and until when it is used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.hosts import Host
from whyreset.sources import diag
from whyreset.sources.namespaces import Namespace


@pytest.fixture
def host(machine: None) -> Iterator[Host]:
    """A namespace without any process, which only this one holds."""
    with Host("held") as made:
        yield made


@pytest.fixture
def inhabitants(host: Host) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes in it."""
    made = [host.start("sleep", "60") for _ in range(2)]
    yield made
    for process in made:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """It is gone."""
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


def test_it_is_used_as_long_as_a_process_is_in_it(host: Host, inhabitants: list[subprocess.Popen[str]]) -> None:
    """Also when the one by which it was found has ended; those that only hold it do not count."""
    namespace = Namespace(f"/proc/{inhabitants[0].pid}/ns/net")
    namespace.open()
    for process in inhabitants:
        assert namespace.is_used()
        end(process)
        with diag.inside(namespace.path):
            assert diag.here() == (host.inode, host.cookie)
    assert not namespace.is_used()
    namespace.close()
    namespace.close()


def test_a_path_that_leads_elsewhere_by_now_is_not_followed(
    host: Host, inhabitants: list[subprocess.Popen[str]], tmp_path: os.PathLike[str]
) -> None:
    """A pid is soon another process's."""
    name = os.path.join(tmp_path, "net")
    os.symlink(f"/proc/{inhabitants[0].pid}/ns/net", name)
    namespace = Namespace(name)
    namespace.open()
    os.unlink(name)
    os.symlink("/proc/self/ns/net", name)
    assert namespace.is_used()
    for process in inhabitants:
        end(process)
    assert not namespace.is_used()
    with diag.inside(namespace.path):
        assert diag.here()[0] == host.inode
    namespace.close()


def test_our_own_needs_no_holding() -> None:
    """It has no path, and is always used."""
    own = Namespace()
    own.open()
    assert own.is_used()
    assert own.path == ""
    own.close()


def test_one_that_is_not_there_keeps_its_path_for_whoever_says_so() -> None:
    """Opening it raises."""
    namespace = Namespace("/run/netns/nowhere")
    with pytest.raises(FileNotFoundError):
        namespace.open()
    assert namespace.path == "/run/netns/nowhere"
