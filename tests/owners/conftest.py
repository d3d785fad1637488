"""What the tests of owners start from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts.groups import Groups, hierarchy
from tests.owners.trees import FakeProc, Start, end_child, wait_for
from whyreset.owners.processes import Processes


@pytest.fixture
def fake_proc(tmp_path: Path) -> FakeProc:
    """An empty made-up /proc."""
    root = tmp_path / "proc"
    root.mkdir()
    return FakeProc(root)


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    """What must be undone, in reverse order, also when the test fails."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def v2(cleanup: ExitStack) -> Groups:
    """Control groups v2."""
    return _groups("cgroup2", "rw", cleanup)


@pytest.fixture
def v1(cleanup: ExitStack) -> Groups:
    """Control groups v1, the pids controller."""
    return _groups("cgroup", "pids", cleanup)


def _groups(kind: str, option: str, cleanup: ExitStack) -> Groups:
    mount = hierarchy(kind, option)
    if mount is None:
        pytest.skip(f"no writable {kind} hierarchy with {option}")
    return cleanup.enter_context(Groups(mount))


@pytest.fixture
def start(cleanup: ExitStack) -> Start:
    """Starts children."""

    def run(*words: str, user: int | None = None) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(words, stdin=subprocess.PIPE, user=user)
        cleanup.callback(end_child, child)
        wait_for(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes().startswith(os.fsencode(words[0])))
        return child

    return run


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A made-up host with two users."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\nbad\nme:x:{os.getuid()}:0::/:\nwww:x:33:33::/:\n")
    return tmp_path


@pytest.fixture
def table(fake_proc: FakeProc, host: Path) -> Processes:
    """An empty table."""
    return Processes(str(fake_proc.root), host=str(host))
