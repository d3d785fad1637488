"""The compiled core again under AddressSanitizer: no test of it reads or writes a byte outside of its tables."""

import os
import subprocess
import sys

import pytest

from tests.core.sanitized import ROOT, sanitizer


@pytest.mark.timeout(1500)
def test_the_core_stays_within_its_tables() -> None:
    """Every test of rings, groups, captures and noise passes on a core whose every access is checked."""
    if isinstance(missing := sanitizer(), str):
        pytest.skip(missing)
    # what it does is not what these tests are to cover, and it is slow enough
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))}
    ended = subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "tests.core.sanitized"],
        check=False,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1400,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
