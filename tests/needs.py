"""What tests need of the machine; where it is missing they are skipped and say what it is."""

import os
import shutil

import pytest

from whyreset.sources.program import Program


def root() -> None:
    """Skip unless this is root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def program() -> None:
    """Skip where the kernel program cannot run."""
    root()
    if missing := Program.can_run():
        pytest.skip(missing.why)


def command(name: str) -> str:
    """The path of a command; skip where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
