"""The lock files: which version of each package is installed, and the digests of its files.

`python -m tools.lock` makes them anew from pyproject.toml, keeping versions that still fit; with `--check` it only
says, without a network, whether they were made from pyproject.toml as it is. They name no place to fetch from: that is
pip's own setting.
"""

import argparse
import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Made by `make lock` from pyproject.toml; its requirements' digest: "


def wanted() -> dict[Path, list[str]]:
    """What pyproject.toml asks for, by lock file: all of it; what building and running need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    dev = [*run, *project["project"]["optional-dependencies"]["dev"]]
    return {ROOT / "requirements/dev.txt": sorted(dev), ROOT / "requirements/run.txt": sorted(run)}


def header(requirements: list[str]) -> str:
    """A lock file's first line, which tells what it was made from."""
    return HEADER + hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:16] + "\n"


def resolve(requirements: list[str], path: Path, constraints: list[Path]) -> str:
    """The lock's text, for every supported Python and processor at once. Raises CalledProcessError."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--output-file", str(path), "--quiet"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header"]
    command += [argument for constraint in constraints for argument in ("--constraint", str(constraint))]
    subprocess.run(command, input="\n".join(requirements), text=True, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return path.read_text()


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="lock", description="Make the lock files.")
    parser.add_argument("--check", action="store_true", help="only say whether they are up to date")
    arguments = parser.parse_args()
    made: list[Path] = []
    for path, requirements in wanted().items():
        if not arguments.check:
            path.parent.mkdir(exist_ok=True)
            text = resolve(requirements, path, made)
            path.write_text(header(requirements) + text)
            made.append(path)
        elif not path.exists() or not path.read_text().startswith(header(requirements)):
            print(
                f"{path.relative_to(ROOT)} was not made from pyproject.toml as it is: run `make lock`", file=sys.stderr
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
