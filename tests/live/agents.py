"""Runs `whyreset agent` beside the hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.cli.whyreset import COMMAND
from tests.hosts import Host
from tests.hosts.actor_process import PATIENCE

Line = dict[str, Any]


def inside(host: Host) -> tuple[str, ...]:
    """Starts a command in a host's network namespace."""
    return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{host.descriptor}")


class Agent:
    """A running agent; from the constructor's return on, everything is attached.

    Args:
        store: its history.
        options: more words for it.
        before: what starts it.
        env: more of its environment.
    """

    def __init__(
        self, store: Path, *options: str, before: Sequence[str] = (), env: dict[str, str] | None = None
    ) -> None:
        self.store = store
        argv = ["setpriv", "--pdeathsig", "TERM", *before, *COMMAND, "agent", "--json", "--store", str(store), *options]
        self.process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
        )
        # what hangs says so: its pipes close
        self._timer = threading.Timer(120 * PATIENCE, self.process.kill)
        self._timer.start()
        assert self.process.stdout
        said = self.process.stdout.readline()
        if not said:
            self.process.wait()
            raise RuntimeError(f"the agent ended: {self.process.stderr.read() if self.process.stderr else ''}")
        self.start: Line = json.loads(said)
        self.lines: list[Line] = [self.start]
        self.errors = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self._timer.cancel()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it by a signal; its exit code."""
        self.process.send_signal(number)
        said, self.errors = self.process.communicate(timeout=30 * PATIENCE)
        self.lines += [json.loads(line) for line in said.splitlines()]
        self._timer.cancel()
        return self.process.returncode
