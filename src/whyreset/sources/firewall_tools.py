"""The firewall's own tools, run in a namespace: the half of reading its rules that needs rights.

What they say goes to files without a name, which whoever asked reads: the rules are not looked at here.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from whyreset.clock import boottime_ns
from whyreset.sources import diag

if TYPE_CHECKING:
    import subprocess

PATIENCE_SECONDS = 3.0


class Listed(Struct, frozen=True):
    """What one tool said."""

    #: The tool; its exit code, None where it was not waited for any longer.
    name: str
    code: int | None
    #: A descriptor of what it wrote; the reader closes it.
    output: int


class Said(Struct, frozen=True):
    """What all of them said."""

    #: CLOCK_BOOTTIME when they were asked.
    time_ns: int
    listed: tuple[Listed, ...]
    #: What could not be asked, in words.
    unasked: tuple[str, ...]


class Tools(Protocol):
    """The tools for one namespace, and who runs them."""

    def ask(self) -> None:
        """Begins, unless that is under way."""

    def answer(self) -> Said | None:
        """What was said, once; None while it is not complete."""

    def close(self) -> None:
        """Ends what runs."""


class OwnTools:
    """Run by this process.

    Args:
        path: of the namespace; "" for our own.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._asked: list[tuple[str, subprocess.Popen[bytes], int]] = []
        self._asked_ns = 0
        self._unasked: list[str] = []

    def ask(self) -> None:
        if self._asked:
            return
        self._asked_ns, self._unasked = boottime_ns(), []
        try:
            with ExitStack() as stack:
                if self._path:
                    stack.enter_context(diag.inside(self._path))
                self._start("nft", "nft", "-j", "list", "ruleset")
                for version, tool in (("ip", "iptables"), ("ip6", "ip6tables")):
                    if _has_legacy(version):
                        self._start(tool, f"{tool}-legacy-save", "-c")
        except OSError as error:
            self._unasked.append(f"its firewall cannot be asked: {error.strerror}")

    def answer(self) -> Said | None:
        if not self._asked and not self._asked_ns:
            return None
        late = boottime_ns() - self._asked_ns > PATIENCE_SECONDS * 1e9
        if not late and any(process.poll() is None for _, process, _ in self._asked):
            return None
        listed = tuple(Listed(name, _ended(process), output) for name, process, output in self._asked)
        time_ns, self._asked, self._asked_ns = self._asked_ns, [], 0
        return Said(time_ns, listed, tuple(self._unasked))

    def close(self) -> None:
        for _, process, output in self._asked:
            process.kill()
            process.wait()
            os.close(output)
        self._asked = []

    def _start(self, name: str, *command: str) -> None:
        import subprocess  # only where packets are read

        output = os.memfd_create(f"whyreset-{name}", os.MFD_CLOEXEC)
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, close_fds=True
            )
        except OSError as error:
            os.close(output)
            self._unasked.append(f"{name} cannot be run: {error.strerror}")
            return
        self._asked.append((name, process, output))


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    code = process.poll()
    if code is None:
        process.kill()
        process.wait()
    return code


def _has_legacy(version: str) -> bool:
    """Whether the older tables are there; asking their tool would load them."""
    try:
        with open(f"/proc/thread-self/net/{version}_tables_names") as file:
            return bool(file.read().strip())
    except OSError:
        return False
