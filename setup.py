"""The compiled core: each src/whyreset/core/*.pyx is an extension module. All else stands in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

EVENTS = "bpf/events.h"  # what the kernel program writes and the core reads: one definition for both


def extensions() -> list[Extension]:
    """One for each file, built anew when the file, a .pxd or the events' definition changes."""
    shared = [EVENTS, *sorted(map(str, Path("src/whyreset").rglob("*.pxd")))]
    return [
        Extension(
            f"whyreset.core.{source.stem}",
            [str(source)],
            include_dirs=["bpf"],
            depends=shared,
            extra_compile_args=["-O3", "-Wall"],
        )
        for source in sorted(Path("src/whyreset/core").glob("*.pyx"))
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        quiet=True,
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": 3},
    )
)
