"""Check who imports whom, the compiled core included: import-linter reads only Python.

It is shown a copy of the package in which each compiled module is a Python module with the same imports; the contracts
stand in pyproject.toml.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHADOW = ROOT / "build/layers"
# «from a.b cimport c» and «import a.b» name the module that matters; what they import from it does not
IMPORT = re.compile(r"^\s*(?:from\s+(whyreset[\w.]*)\s+c?import\b|c?import\s+(whyreset[\w.]*))", re.MULTILINE)


def compiled_imports(source: str) -> str:
    """The imports of a Cython file, as a Python module's text."""
    return "".join(f"import {a or b}\n" for a, b in IMPORT.findall(source))


def main() -> int:
    """The command. Returns its exit code."""
    shutil.rmtree(SHADOW, ignore_errors=True)
    shutil.copytree(ROOT / "src/whyreset", SHADOW / "whyreset", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for path in sorted(SHADOW.rglob("*.p[yx][xd]")):
        with path.with_suffix(".py").open("a") as module:
            module.write(compiled_imports(path.read_text()))
    linter = Path(sys.executable).with_name("lint-imports")
    command = (linter, "--no-cache", "--config", ROOT / "pyproject.toml")
    done = subprocess.run(
        command, cwd=SHADOW, env=os.environ | {"PYTHONPATH": str(SHADOW)}, text=True, capture_output=True, check=False
    )
    if done.returncode:
        print(done.stdout[done.stdout.find("Analyzed") :], done.stderr, sep="", end="", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
