"""Fail where a file is longer than it should be: a module that fits in the head stays one thing."""

import sys
import tomllib
from pathlib import Path

FOLDERS = ("src", "tests", "tools", "benchmarks", "bpf")
SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".sh", ".html", ".js", ".css"}
VENDORED = "vendor"


def lengths(root: Path) -> dict[str, int]:
    """Lines of each source file, by its path below root; neither vendored files nor C that Cython made."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            generated = path.suffix == ".c" and path.with_suffix(".pyx").exists()
            if path.suffix in SUFFIXES and VENDORED not in path.parts and not generated:
                found[path.relative_to(root).as_posix()] = path.read_bytes().count(b"\n")
    return found


def main() -> int:
    """The command. Returns its exit code."""
    root = Path(__file__).resolve().parent.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["whyreset"]["size"]
    most = settings.pop("most_lines")
    found = lengths(root)
    too_long = {path: lines for path, lines in found.items() if lines > most and path not in settings}
    needless = [path for path in settings if found.get(path, 0) <= most]
    for path, lines in too_long.items():
        print(f"{path}: {lines} lines, more than {most}: divide it, or name it in pyproject.toml with the reason")
    for path in needless:
        print(f"{path}: need not stand in pyproject.toml any more, it is short enough")
    return 1 if too_long or needless else 0


if __name__ == "__main__":
    sys.exit(main())
