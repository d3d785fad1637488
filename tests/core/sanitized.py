"""`python -m tests.core.sanitized`: builds the core under AddressSanitizer and runs the tests of its tables on that.

Its access to memory is checked one by one: none is outside of its tables. It takes minutes of computing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where it is built; what has not changed since the last time is not built again.
PLACE = ROOT / "build/sanitized"
NAMES = (
    *("hostile", "drains", "ring", "groups", "limits", "joins", "twins", "memory", "lives", "attempts"),
    *("hostile_captures", "formats", "fragments", "conversations", "alike", "distinct", "tape", "merge", "live"),
    "contacts",
)
BUILD = """
from pathlib import Path
from Cython.Build import cythonize
from setuptools import Extension, setup

# without debugging information: the names of functions are enough, and it doubles the time
checked = ["-g0", "-O1", "-fsanitize=address,bounds,shift,null", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
setup(
    name="whyreset",
    package_dir={"": "src"},
    packages=["whyreset"],
    ext_modules=cythonize(
        [
            Extension(
                f"whyreset.core.{source.stem}",
                [str(source)],
                include_dirs=["bpf"],
                depends=["bpf/events.h", *sorted(map(str, Path("src/whyreset/core").glob("*.pxd")))],
                extra_compile_args=checked,
                extra_link_args=checked,
            )
            for source in Path("src/whyreset/core").glob("*.pyx")
        ],
        include_path=["src"],
        quiet=True,
    ),
)
"""
#: Runs pytest, but only where the sanitizer and the core built with it are really there.
RUN = """
import ctypes, sys, pytest, whyreset.core.records as records
ctypes.CDLL(None).__asan_init
assert records.__file__.startswith(sys.argv[1]), records.__file__
sys.exit(pytest.main(sys.argv[2:]))
"""


def sanitizer() -> Path | str:
    """The run-time library of the compiler that builds the core, or what is missing."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return "gcc is not installed"
    asked = [compiler, "-print-file-name=libasan.so"]
    library = Path(subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout.strip())
    return library if library.is_absolute() else "gcc's libasan is not installed"


def build() -> None:
    """Leaves the core, built with checks, below PLACE. CalledProcessError where it cannot be built."""
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "build")
    for part in ("src", "bpf"):
        shutil.copytree(ROOT / part, PLACE / part, ignore=ignored, dirs_exist_ok=True)
    for source in PLACE.rglob("src/**/*.p[yx]*"):
        if not (ROOT / source.relative_to(PLACE)).exists():
            source.unlink()
    (PLACE / "build.py").write_text(BUILD)
    command = [sys.executable, "build.py", "-q", "build_ext", "--inplace", "-j", str(os.cpu_count() or 1)]
    subprocess.run(command, check=True, cwd=PLACE, env={**os.environ, "CC": "gcc"})


def main() -> int:
    """Builds and runs; pytest's exit code."""
    library = sanitizer()
    if isinstance(library, str):
        print(library, file=sys.stderr)
        return 1
    build()
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "PYTHONPATH": f"{PLACE / 'src'}:{ROOT}",
        "PYTHONMALLOC": "malloc",
    }
    tests = [str(Path(__file__).with_name(f"test_{name}.py")) for name in NAMES]
    options = ["-q", "--capture=sys"]  # the sanitizer writes to the descriptor
    options += ["--rootdir", str(ROOT), "-o", f"cache_dir={PLACE}/cache"]
    run = [sys.executable, "-c", RUN, str(PLACE), *options, *tests]
    return subprocess.run(run, check=False, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
