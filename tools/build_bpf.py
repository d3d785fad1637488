"""Build the kernel program: `python -m tools.build_bpf` writes the object, with `--check` compares it instead.

The compiler is the one that PyPI's ziglang ships, pinned in requirements/dev.txt, so that everybody gets the same
bytes: no path and no version of the machine's own tools enters the object.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.btf import without_lines
from tools.elf import Object, Section

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "bpf/whyreset.bpf.c"
OBJECT = ROOT / "src/whyreset/sources/whyreset.bpf.o"
FLAGS = ("-target", "bpfel-freestanding", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-Ibpf/vendor")
LEFT_OUT = (".debug", ".rel.debug", ".eh_frame", ".rel.eh_frame", ".rel.BTF", ".llvm_addrsig", ".comment")


def compile_source(root: Path) -> bytes:
    """The object as the compiler writes it. Raises CalledProcessError after the compiler has said what is wrong."""
    cache = os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(ROOT / "build/zig"))
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "whyreset.bpf.o")
        command = (sys.executable, "-m", "ziglang", "cc", *FLAGS, "-c", SOURCE, "-o", str(output))
        subprocess.run(command, cwd=root, env=environment, check=True)
        return output.read_bytes()


def shrink(image: bytes) -> bytes:
    """The object without what the loader does not use: debugging sections, source lines."""
    whole = Object.parse(image)
    btf, ext = without_lines(whole.data(".BTF"), whole.data(".BTF.ext"))
    return whole.keep(_is_used).with_data(".BTF", btf).with_data(".BTF.ext", ext).image()


def _is_used(section: Section) -> bool:
    return not section.name.startswith(LEFT_OUT)


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="build_bpf", description="Build the kernel program's object.")
    parser.add_argument("--check", action="store_true", help="only compare the committed object with its source")
    parser.add_argument("--output", type=Path, default=OBJECT, help="where to write it")
    arguments = parser.parse_args()
    try:
        image = shrink(compile_source(ROOT))
    except subprocess.CalledProcessError:
        return 1
    if not arguments.check:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_bytes(image)
    elif not arguments.output.exists() or arguments.output.read_bytes() != image:
        print(f"{arguments.output.name} differs from {SOURCE}: run `make bpf` and commit it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
