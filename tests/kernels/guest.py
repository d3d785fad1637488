"""Runs the ground truth on the kernel that was booted for it, and says as JSON lines what each case was told as.

The environment, which comes from the kernel's command line, chooses: TIER (the best if it is missing), CASES (all).
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.hosts import Watch
from tests.hosts.cases import CASES, Case, Missing, Version, run
from tests.hosts.cases.compare import Line

Result = dict[str, Any]


def say(**values: object) -> None:
    """One line for the host."""
    print(json.dumps(values), flush=True)


def chosen() -> Iterator[tuple[Case, Version]]:
    """The cases to run: CASES holds their numbers with the version, for example 04a-v6."""
    wanted = {word for word in os.environ.get("CASES", "").split(",") if word}
    for case in CASES:
        for version in case.versions:
            if not wanted or f"{case.id}-v{version}" in wanted:
                yield case, version


def verdict(line: Line) -> str:
    """In short what a reset was told as."""
    cause, certainty = str(line["cause"]), line["certainty"]
    return (
        cause
        + ("" if cause == certainty else f" ({certainty})")
        + (", received" if line["direction"] == "received" else "")
    )


def provoke(watch: Watch, case: Case, version: Version) -> Result:
    """Provoke one case; what came of it."""
    try:
        told = run(watch, case, version)
    except Missing as missing:
        return {"outcome": "skipped", "words": [str(missing)]}
    except Exception as error:
        return {"outcome": "failed", "words": [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])]}
    lines = [line for host in told.lines.values() for line in host]
    verdicts = {verdict(line) for line in lines if line["direction"] == "sent" or "twin" not in line}
    outcome = "wrong" if told.wrong else "right"
    return {"outcome": outcome, "words": told.wrong, "told": sorted(verdicts), "unseen": told.unseen}


def provoke_patiently(watch: Watch, case: Case, version: Version) -> Result:
    """The same, again where it went wrong: an emulated machine may stop in between for longer than any real one."""
    began = time.monotonic()
    result = provoke(watch, case, version)
    if again := result["outcome"] in ("wrong", "failed"):
        result = provoke(watch, case, version)
    return {**result, "again": again, "seconds": round(time.monotonic() - began, 1)}


def introduce(start: Line) -> None:
    """Say which kernel this is, and what can be known on it."""
    say(release=platform.release(), version=platform.version(), tier=start["tier"], missing=start["missing"])


def count_only(refusal: str) -> int:
    """Where no reset can be told, the command still counts; its start line says so."""
    command = [sys.executable, "-m", "whyreset", "watch", "--json", "--duration", "1"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    if ended.returncode or not lines or lines[0]["tier"] != "counters":
        say(release=platform.release(), failed=refusal + ended.stderr)
        return 1
    introduce(lines[0])
    return 0


def main() -> int:
    """The command. Returns its exit code."""
    options = ["--tier", os.environ["TIER"].replace("_", " ")] if os.environ.get("TIER") else []
    # so that each kernel's verifier reads what copies the segments that provoke resets, too
    options += ["--evidence", "/tmp/evidence"]
    try:
        watch = Watch(*options)
    except (RuntimeError, TimeoutError) as error:
        return count_only(str(error))
    with watch:
        introduce(watch.start)
        for case, version in chosen():
            say(case=case.id, version=version, **provoke_patiently(watch, case, version))
        say(losses=watch.losses())
    return 0


if __name__ == "__main__":
    sys.exit(main())
