"""Fuzz the compiled core's reading of captures: libFuzzer, AddressSanitizer, coverage.

`python -m tools.fuzz [SECONDS]` (60). It begins with what earlier runs found (build/fuzz/corpus). An input that
fails is kept; `python -m tools.fuzz FILE` tries it again. Exits with 1 where something was found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build/fuzz"
#: clang's sanitizers without its linking, since the program that loads the modules has them.
CHECKED = ["-g", "-O1", "-fsanitize=address,bounds,shift,null,fuzzer-no-link", "-fno-sanitize-recover=all"]
BUILD = f"""
from pathlib import Path
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    name="whyreset",
    package_dir={{"": "src"}},
    packages=["whyreset"],
    ext_modules=cythonize(
        [
            Extension(
                f"whyreset.core.{{source.stem}}",
                [str(source)],
                include_dirs=["bpf"],
                extra_compile_args={CHECKED!r},
                extra_link_args=["-fsanitize=address,fuzzer-no-link"],
            )
            for source in sorted(Path("src/whyreset/core").glob("*.pyx"))
        ],
        include_path=["src"],
        quiet=True,
    ),
)
"""
#: Bytes of an input, seconds for one, megabytes for all.
MOST_BYTES, MOST_SECONDS, MOST_MEGABYTES = 8192, 20, 1500
#: libFuzzer's exit code after SIGINT (FuzzerOptions.h).
INTERRUPTED = 72


def build() -> Path:
    """The fuzzer and the modules that it loads; what has not changed is not built again."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for part in ("src", "bpf"):
        ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "build")
        shutil.copytree(ROOT / part, PLACE / part, ignore=ignored, dirs_exist_ok=True)
    (PLACE / "build.py").write_text(BUILD)
    compiler = {**os.environ, "CC": "clang", "LDSHARED": "clang -shared"}
    command = [sys.executable, "build.py", "-q", "build_ext", "--inplace", "-j", str(os.cpu_count() or 1)]
    subprocess.run(command, cwd=PLACE, env=compiler, check=True)
    harness = ROOT / "tests/fuzz/harness.c"
    program = PLACE / "fuzz"
    paths, library = sysconfig.get_paths(), sysconfig.get_config_var("LIBDIR")
    link = [f"-L{library}", f"-Wl,-rpath,{library}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", "-rdynamic"]
    flags = ["-g", "-O1", "-Wall", "-fsanitize=fuzzer,address,undefined"]
    subprocess.run(["clang", *flags, f"-I{paths['include']}", str(harness), "-o", str(program), *link], check=True)
    return program


def main() -> int:
    """The command. Returns its exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "60"
    if shutil.which("clang") is None:
        print("clang is not installed", file=sys.stderr)
        return 1
    program = build()
    from tests.fuzz import seeds

    seeds.write(PLACE / "seeds")
    seeds.write_dictionary(PLACE / "captures.dict")
    (PLACE / "corpus").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "FUZZ_PYTHON": sys.executable,
        "PYTHONPATH": f"{PLACE / 'src'}:{ROOT}",
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    limits = [f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}", f"-artifact_prefix={PLACE}/found-"]
    if wanted.isdigit():
        limits += [
            f"-max_total_time={wanted}",
            f"-max_len={MOST_BYTES}",
            f"-dict={PLACE}/captures.dict",
            "-print_final_stats=1",
        ]
        inputs = [str(PLACE / "corpus"), str(PLACE / "seeds")]
    else:
        inputs = [wanted]
    done = subprocess.run([str(program), *limits, *inputs], cwd=ROOT, env=environment, check=False)
    if done.returncode == INTERRUPTED:
        print("nothing was found until it was interrupted", file=sys.stderr)
        return 0
    if done.returncode:
        print("something was found: the input's place stands above", file=sys.stderr)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
