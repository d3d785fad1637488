"""Runs the command."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

COMMAND = (sys.executable, "-m", "whyreset")


def run(
    *words: str, before: Sequence[str] = (), timeout: float = 60.0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """The command with these words to its end; `before` is what starts it (setpriv, unshare).

    It is not measured for coverage: without rights it could not write what was measured, and would say so.
    """
    options.setdefault("env", {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")})
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run([*before, *COMMAND, *words], check=False, text=True, timeout=timeout, **{**pipes, **options})


def is_one_sentence(text: str) -> bool:
    """What a person is told: one line that begins with our name, without a full stop, and no traceback."""
    return (
        text.startswith("whyreset: ")
        and text.endswith("\n")
        and text.count("\n") == 1
        and text[len("whyreset: ")].islower() | text.startswith("whyreset: --")
        and not text.endswith(".\n")
        and "Traceback" not in text
    )
