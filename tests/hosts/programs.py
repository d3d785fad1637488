"""Real programs inside a host, each with files and a folder of its own, ended by pid.

Never a system service: each is our child and dies with this process, however that ends.
"""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tests.hosts.hosts import Host, await_true

START_SECONDS = 20.0


def children_of(pid: int) -> list[int]:
    """The pids of a process's children, none where it is gone; those that its first thread has forked."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def as_user(user: str | None) -> list[str]:
    """What to put before a command that is to run as another user."""
    # the kernel forgets the signal of the parent's death when a process changes its user: ask for it again
    return ["setpriv", f"--reuid={user}", "--regid", user, "--clear-groups", "--pdeathsig", "KILL"] if user else []


class Program:
    """A program inside a host: it listens on `port` when the constructor returns.

    Args:
        command: what to run; `{folder}` stands for its own folder, in files too.
        port: where it is going to listen; None: nowhere.
        user: whom it runs as; its folder is theirs.
        files: what is in its folder, by name.
        brood: its children would outlive it; as the first process of a pid namespace it takes them along.

    Raises TimeoutError with what it said when it does not listen within START_SECONDS, RuntimeError when it ended.
    """

    def __init__(
        self,
        host: Host,
        *command: str,
        port: int | None = None,
        user: str | None = None,
        files: Mapping[str, str] | None = None,
        brood: bool = False,
    ) -> None:
        self.host = host
        self._folder = tempfile.TemporaryDirectory(prefix="whyreset-")
        self.folder = Path(self._folder.name)
        for name, text in (files or {}).items():
            (self.folder / name).write_text(text.replace("{folder}", str(self.folder)))
        if user:
            owner = pwd.getpwnam(user)
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self._said = self.folder / "said"
        with self._said.open("w") as output:
            self._process = host.start(
                *as_user(user),
                *(["unshare", "--pid", "--fork", "--kill-child=KILL"] if brood else []),
                *(word.replace("{folder}", str(self.folder)) for word in command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        self.pid = self._process.pid
        try:
            if brood:
                self.await_true(lambda: bool(children_of(self._process.pid)), "its first process")
                [self.pid] = children_of(self._process.pid)
            if port is not None:
                self.await_true(lambda: "LISTEN" in host.tcp_states(port), f"a listener on port {port}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill it, if it still lives, and take its folder away."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def children(self) -> list[int]:
        """Its children's pids (workers, backends)."""
        return children_of(self.pid)

    def said(self) -> str:
        """What it wrote on its standard output and error."""
        return self._said.read_text()

    def await_true(self, condition: Callable[[], bool], what: str, timeout: float = START_SECONDS) -> None:
        """Wait for a condition while the program lives."""

        def holds() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._process.args!r} ended ({self._process.returncode}): {self.said()}")
            return condition()

        try:
            await_true(holds, what, timeout)
        except TimeoutError as error:
            error.add_note(self.said())
            raise

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        if self._process.poll() is None:
            os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status as subprocess tells it."""
        self.kill(number)
        return self.wait()

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end; its exit status."""
        return self._process.wait(timeout)
