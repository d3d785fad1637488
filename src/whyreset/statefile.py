"""What alerts remember across restarts, in a file: written whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from whyreset.alerts.alerting import AlertState
from whyreset.files import OWN, Files
from whyreset.model import Notice

_EVERY_SECONDS = 60.0
#: When an alert changed it is saved as soon as so many seconds have passed since the last time.
_SOON_SECONDS = 5.0
_MOST_BYTES = 64 << 20


class StateFileError(Exception):
    """The file cannot be used; a sentence."""


def boot_id() -> str:
    """Identifies this boot of the host; "" where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def load(path: Path) -> AlertState | None:
    """What was saved; None where there is nothing yet.

    Raises:
        StateFileError: there is something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        if len(content) > _MOST_BYTES:
            raise msgspec.DecodeError("it is too large")
        return msgspec.json.decode(content, type=AlertState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StateFileError(f"{path} is not what alerts have saved ({error}); remove it to begin anew") from error


def save(path: Path, state: AlertState, files: Files = OWN) -> None:
    """Saves it whole or not at all.

    Args:
        files: puts it there.
    Raises:
        StateFileError: it cannot be written.
    """
    try:
        files.put(str(path), msgspec.json.encode(state))
    except OSError as error:
        raise StateFileError(f"cannot write {path}: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Whether the file could be written, as far as that can be told beforehand.

    Raises:
        StateFileError: it cannot.
    """
    if path.is_dir():
        raise StateFileError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise StateFileError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StateFileError(f"cannot write {path}: the folder {path.parent} is not writable for this user")


class Memory:
    """Keeps the state in a file, if there is one.

    Args:
        name: the file; None for nothing to be kept.
        files: puts there what is kept.
    """

    def __init__(self, name: str | None, files: Files = OWN) -> None:
        self._files = files
        self._path = Path(name) if name is not None else None
        self._saved_at: float | None = None
        self._changed = self._failed = False
        self.boot = boot_id()

    def load(self) -> AlertState | None:
        """What was kept."""
        if self._path is None:
            return None
        check_writable(self._path)
        return load(self._path)

    def keep(
        self, state: Callable[[], AlertState], now: float, *, changed: bool = False, at_once: bool = False
    ) -> list[Notice]:
        """Saves once a minute, and soon after an alert changed; a notice where that fails.

        Args:
            state: gives what is to be kept.
            now: seconds of a clock that never goes back.
            changed: something happened to an alert.
            at_once: whatever the time.
        """
        if self._path is None:
            return []
        if self._saved_at is None:
            self._saved_at = now
        self._changed = self._changed or changed
        # where it failed, trying more often helps nobody
        wait = _SOON_SECONDS if self._changed and not self._failed else _EVERY_SECONDS
        if not at_once and now - self._saved_at < wait:
            return []
        self._saved_at, self._changed, self._failed = now, False, False
        try:
            save(self._path, state(), self._files)
        except StateFileError as error:
            self._failed = True
            return [
                Notice(
                    time_ns=time.time_ns(),
                    name="state",
                    text=f"what is usual here, and which alerts are on, is not remembered: {error}",
                )
            ]
        return []
