"""The small C programs beside this file, each built when it is first asked for."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
BUILT = SOURCES.parents[1] / "build"


def built(name: str) -> Path:
    """The program made of `name`.c; it is made again when its source is newer.

    Raises subprocess.CalledProcessError with what the compiler said, FileNotFoundError without a compiler.
    """
    source, program = SOURCES / f"{name}.c", BUILT / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-static", "-o", str(program), str(source)], check=True)
    return program
