"""What alerts remember across restarts, in a file: written whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from whyreset.alerts.alerting import AlertState
from whyreset.model import Notice

_EVERY_SECONDS = 60.0
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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateFileError(f"{path} is not what alerts have saved ({error}); remove it to begin anew") from error


def save(path: Path, state: AlertState) -> None:
    """Saves it; after a crash there is the old content or the new.

    Raises:
        StateFileError: it cannot be written.
    """
    content = msgspec.json.encode(state)
    beside = path.with_name(f".{path.name}.new")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StateFileError(f"cannot write {path}: {error.strerror}") from error


class Memory:
    """Keeps the state in a file, if there is one.

    Args:
        name: the file; None for nothing to be kept.
    """

    def __init__(self, name: str | None) -> None:
        self._path = Path(name) if name is not None else None
        self._saved_at: float | None = None
        self.boot = boot_id()

    def load(self) -> AlertState | None:
        """What was kept."""
        return load(self._path) if self._path is not None else None

    def keep(self, state: Callable[[], AlertState], now: float, *, at_once: bool = False) -> list[Notice]:
        """Saves once a minute; a notice where that fails.

        Args:
            state: gives what is to be kept.
            now: seconds of a clock that never goes back.
            at_once: also before the minute is over.
        """
        if self._path is None:
            return []
        if self._saved_at is None:
            self._saved_at = now
        if not at_once and now - self._saved_at < _EVERY_SECONDS:
            return []
        self._saved_at = now
        try:
            save(self._path, state())
        except StateFileError as error:
            return [Notice(time_ns=time.time_ns(), name="state", text=f"what is usual here is not remembered: {error}")]
        return []
