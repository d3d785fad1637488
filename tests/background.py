"""Tests that are minutes of computing: begun with the session, behind all others, and asked for at its end.

The other tests mostly wait for something, so this costs little time. A test says what it needs by the marker
`background(MODULE)`, a module that can be run, and gets it by the fixture of that name (see conftest.py).
"""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Background:
    """A module at work, at the lowest priority, with all that it starts in a process group of its own."""

    def __init__(self, module: str) -> None:
        # what it does is not what these tests are to cover, and it is slow enough
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._process = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-m", module],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            process_group=0,  # in this session still, or the scheduler may give it half of the machine (autogroup)
        )

    def end(self, timeout: float) -> tuple[int, str]:
        """Its exit code and what it printed; TimeoutExpired where it takes longer than so many seconds from now."""
        code = self._process.wait(timeout)
        self._out.seek(0)
        return code, self._out.read().decode("utf-8", "replace")

    def close(self) -> None:
        """Ends it where it has not ended."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._out.close()
