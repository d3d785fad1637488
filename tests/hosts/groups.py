"""Control groups of a test's own, made in the kernel's hierarchies like those of systemd, Docker or Kubernetes."""

import os
import time
from pathlib import Path
from typing import Self

from tests.hosts.hosts import await_true


class Groups:
    """Control groups in one hierarchy; `close` removes them all, once their last process is gone."""

    def __init__(self, mount: Path) -> None:
        self._top = mount / f"whyreset-test-{os.getpid()}-{time.monotonic_ns()}"
        self._mount = mount
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def make(self, path: str) -> Path:
        """Make a group, with those above it; its directory."""
        directory = self._top.parent
        for part in (self._top.name, *path.split("/")):
            directory /= part
            if directory not in self._made:
                directory.mkdir()
                self._made.append(directory)
        return directory

    def enter(self, pid: int, path: str) -> str:
        """Move a process into a group, made if need be; the path that /proc then shows."""
        directory = self.make(path)
        (directory / "cgroup.procs").write_text(str(pid))
        return f"/{directory.relative_to(self._mount)}"

    def limit(self, path: str, size: int) -> None:
        """Let a group of v1, made if need be, have so many bytes of memory, swap included."""
        directory = self.make(path)
        (directory / "memory.limit_in_bytes").write_text(str(size))
        if (with_swap := directory / "memory.memsw.limit_in_bytes").exists():
            with_swap.write_text(str(size))

    def close(self) -> None:
        """Remove the groups; waits for processes in them that are ending."""
        while self._made:
            directory = self._made.pop()
            await_true(lambda: _removed(directory), f"the end of the processes in {directory}", 20)  # noqa: B023


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return False
    return True


def hierarchy(kind: str, option: str) -> Path | None:
    """Where a writable hierarchy is mounted: of kind `cgroup2`, or `cgroup` with a controller; None if nowhere."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, found, options, *_ = line.split(" ")
        if found == kind and {"rw", option} <= set(options.split(",")) and os.access(where, os.W_OK):
            return Path(where)
    return None
