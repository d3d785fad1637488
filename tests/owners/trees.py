"""Made-up trees of processes, and real children."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

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
