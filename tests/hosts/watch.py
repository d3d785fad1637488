"""Watch: runs `whyreset watch --json` beside the hosts and answers what it said about them."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from tests.hosts.actor_process import PATIENCE
from tests.hosts.hosts import Host

Line = dict[str, Any]
T = TypeVar("T")
MOST_LINES = 200_000
MARK_AGAIN_SECONDS = 2.0
MARKER = "127.0.0.77"  # closed ports here are asked only by `Watch.settle`
COMMAND = (sys.executable, "-m", "whyreset")


class Watch:
    """A running `watch --json`, by default with `--each`; from the constructor's return on, every reset will be seen.

    Lines are collected by a thread, at most MOST_LINES of them. Tests ask only about their own hosts, since other
    things on the machine reset too. Hosts are told apart by net cookie, since inode numbers are used again at once.
    """

    def __init__(
        self, *options: str, command: Sequence[str] = COMMAND, start_timeout: float = 20.0, each: bool = True
    ) -> None:
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.unreadable: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by stop()
        self._said = ""
        argv = ["setpriv", "--pdeathsig", "TERM", *command, "watch", "--json", *(["--each"] if each else []), *options]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.start = self.wait(lambda lines: next((x for x in lines if x["type"] == "start"), None), start_timeout)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for text in output:
                try:
                    line = json.loads(text)
                    line["type"]
                except (ValueError, KeyError, TypeError):
                    line = None
                with self._changed:
                    if line is None:
                        self.unreadable.append(text)
                    else:
                        self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stderr(self) -> str:
        """What the command has said on its standard error."""
        if not self._errors.closed:
            self._errors.seek(0)
            self._said = self._errors.read()
        return self._said

    def wait(self, condition: Callable[[deque[Line]], T | None], timeout: float = 10.0) -> T:
        """Wait until `condition(lines)` is true and return what it gave.

        Raises TimeoutError after so many seconds, RuntimeError when the command ended or wrote what is no JSON line.
        """
        deadline = time.monotonic() + timeout * PATIENCE
        with self._changed:
            while not (result := condition(self.lines)):
                if self.unreadable:
                    raise RuntimeError(f"whyreset wrote what is no JSON line: {self.unreadable[0]!r}")
                if self._ended:
                    raise RuntimeError(f"whyreset ended: {self.stderr()}")
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"whyreset did not say it within {timeout} s; {self.stderr()}")
            return result

    def resets(self, host: Host) -> list[Line]:
        """The reset lines of a host so far, in order, without those that `settle` made."""
        with self._changed:
            return [
                line
                for line in self.lines
                if _of(line, host, "reset") and MARKER not in (line.get("src"), line.get("dst"))
            ]

    def losses(self) -> list[Line]:
        """What the command said of itself so far: notices, and counts with something lost."""
        with self._changed:
            return [line for line in self.lines if line["type"] == "notice" or line.get("lost")]

    def wait_resets(self, host: Host, count: int, timeout: float = 10.0) -> list[Line]:
        """Wait until so many resets of a host were told (a line with a count stands for so many)."""
        with suppress(TimeoutError):
            self.wait(lambda _: sum(line["count"] for line in self.resets(host)) >= count, timeout)
        return self.resets(host)

    def settle(self, host: Host, timeout: float = 10.0) -> list[Line]:
        """Wait until all that happened on a host before this call has been told, so that silence is silence.

        Provokes one more reset there (a closed port of MARKER) and waits for its lines: the kernel's events come in
        order, and of one visit what was sent is told before what was received. Returns the host's other resets.
        """
        return self.told(host, timeout=timeout)[host.name]

    def told(self, *hosts: Host, timeout: float = 10.0) -> dict[str, list[Line]]:
        """Settle several hosts at once; the resets of each by its name."""
        marks = {host: {self._mark(host, timeout * PATIENCE)} for host in hosts}
        deadline = time.monotonic() + timeout * PATIENCE

        def told(lines: deque[Line], host: Host) -> bool:
            # received, not sent: of one visit to the kernel's records what was sent is written first
            resets = (line for line in reversed(lines) if _of(line, host, "reset") and line["direction"] == "received")
            return any(line.get("src") == MARKER and line.get("dport") in marks[host] for line in resets)

        while True:
            try:
                self.wait(lambda lines: all(told(lines, host) for host in hosts), min(timeout, MARK_AGAIN_SECONDS))
                return {host.name: self.resets(host) for host in hosts}
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
                for host in hosts:  # in a flood the ring has no room for resets that anyone can provoke
                    marks[host].add(self._mark(host, timeout * PATIENCE))

    def _mark(self, host: Host, timeout: float) -> int:
        """Have a closed port of MARKER refuse; the port that tried."""
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout)
            probe.bind((MARKER, 0))
            with suppress(ConnectionRefusedError):
                probe.connect((MARKER, 1))
            return int(probe.getsockname()[1])

    def settle_account(self, host: Host, timeout: float = 10.0) -> Line:
        """Settle, then wait for a newer count line of this host that closes: counted == seen. Returns that line."""
        self.settle(host, timeout)
        sent = host.counters()["OutRsts"]

        def closed(lines: deque[Line]) -> Line | None:
            latest = next((x for x in reversed(lines) if _of(x, host, "count")), None)
            return latest if latest and latest["counted"] == latest["seen"] == sent else None

        return self.wait(closed, timeout)

    def stop(self, number: signal.Signals = signal.SIGINT, timeout: float = 10.0) -> Line | None:
        """End the command by a signal; returns its `end` line, if it wrote one. The exit code is in `process`."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._reader.join(timeout * PATIENCE)
            self.stderr()  # keep what it said
            self._errors.close()
        return next((line for line in reversed(self.lines) if line["type"] == "end"), None)


def _of(line: Line, host: Host, kind: str) -> bool:
    return (
        line["type"] == kind
        and line.get("netns") == host.inode
        and line.get("netns_cookie", host.cookie) == host.cookie
    )
