"""Trees of processes and control groups: made-up ones, and real ones in the kernel, with children in them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

SECONDS = 20.0


def wait_for(what: Callable[[], object]) -> None:
    """Waits until `what` is true; fails after SECONDS."""
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


class FakeProc:
    """A tree like /proc's, with what the kernel would write there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self,
        pid: int,
        *,
        tick: int = 1000,
        comm: bytes = b"nginx",
        exe: str | None = "/usr/sbin/nginx",
        command: bytes = b"nginx\0-g\0daemon off;\0",
        cgroup: bytes = b"0::/system.slice/nginx.service\n",
        state: str = "S",
        flags: int = 0x400000,
        threads: int = 1,
        parent: int = 1,
    ) -> Path:
        """Makes (or replaces) a process."""
        directory = self.root / str(pid)
        (directory / "ns").mkdir(parents=True, exist_ok=True)
        numbers = f"{parent} 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 {threads} 0 {tick} 0 0".encode()
        (directory / "stat").write_bytes(b"%d (%b) %b %b\n" % (pid, comm, state.encode(), numbers))
        (directory / "cmdline").write_bytes(command)
        (directory / "cgroup").write_bytes(cgroup)
        for link, to in (("exe", exe), ("ns/net", "net:[4026531840]")):
            (directory / link).unlink(missing_ok=True)
            if to is not None:
                (directory / link).symlink_to(to)
        return directory

    def remove(self, pid: int) -> None:
        """Ends a process."""
        (self.root / str(pid)).rename(self.root / f"gone-{time.monotonic_ns()}")


class Start(Protocol):
    """Starts children that are killed at the end of the test."""

    def __call__(self, *words: str, user: int | None = None) -> subprocess.Popen[bytes]:
        """Starts a program with a pipe as its input, and waits until it runs."""


def end_child(child: subprocess.Popen[bytes]) -> None:
    """Kills and reaps a child, unless that is done."""
    if child.poll() is None:
        child.send_signal(signal.SIGKILL)
    child.wait(SECONDS)
    if child.stdin:
        child.stdin.close()


class Groups:
    """Control groups made in one hierarchy, and children in them."""

    def __init__(self, mount: Path, cleanup: ExitStack) -> None:
        self._mount = mount
        self._cleanup = cleanup
        self._top = f"whyreset-test-{os.getpid()}-{time.monotonic_ns()}"
        self._made: set[Path] = set()

    def enter(self, child: subprocess.Popen[bytes], path: str) -> str:
        """Moves a child into a group, made if need be; gives the path that /proc then shows."""
        directory = self._mount
        for part in (self._top, *path.split("/")):
            directory /= part
            if directory not in self._made:
                directory.mkdir()
                self._made.add(directory)
                self._cleanup.callback(remove_group, directory)
        self._cleanup.callback(end_child, child)  # a group with processes cannot be removed
        (directory / "cgroup.procs").write_text(str(child.pid))
        return f"/{self._top}/{path}"


def remove_group(directory: Path) -> None:
    """Removes a control group once its last process is gone from it."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            directory.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.002)
        else:
            return


def hierarchy(kind: str, option: str) -> Path:
    """Where a writable control-group hierarchy is mounted; skips where there is none."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, found, options, *_ = line.split(" ")
        if found == kind and {"rw", option} <= set(options.split(",")) and os.access(where, os.W_OK):
            return Path(where)
    pytest.skip(f"no writable {kind} hierarchy with {option}")
