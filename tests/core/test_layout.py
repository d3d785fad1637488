"""The mirror of bpf/events.h that the other tests write records with is what a C compiler makes of that header."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.core.fake_ring import HEADER_BYTES
from tests.core.layout import FLAGS, STRUCTS, VIA

HEADER = Path(__file__).parents[2] / "bpf" / "events.h"
CONSTANTS = {
    "RESET_SENT": 1,
    "RESET_RECEIVED": 2,
    "LIFE_PROCESS": 1,
    "LIFE_EXIT": 2,
    "LIFE_LISTEN": 3,
    "LIFE_UNLISTEN": 4,
    "NAME_BYTES": 96,
    "CGROUP_LEVELS": 3,
    "COMMAND_BYTES": 256,
    "TRIGGER_BYTES": 128,
    "TCP_COUNTERS": 16,
    "EXT_COUNTERS": 48,
    **{name: 1 << bit for bit, name in enumerate(FLAGS)},
    **{f"VIA_{name}": number for number, name in enumerate(VIA)},
}


def field(struct: type[ctypes.Structure], name: str) -> tuple[int, int]:
    """Offset and size of a mirror's field."""
    descriptor = getattr(struct, name)
    return descriptor.offset, descriptor.size


def names(struct: type[ctypes.Structure]) -> list[str]:
    """The fields of a mirror."""
    return [each[0] for each in struct._fields_]


def test_the_mirror_is_what_the_compiler_makes_of_the_header(tmp_path: Path) -> None:
    """Each struct's size, each field's place and size, and each constant are the header's."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler (cc, gcc or clang)")
    lines = []
    for kind, struct in STRUCTS.items():
        lines.append(f'printf("{kind} %zu 0\\n", sizeof(struct {kind}));')
        lines += [
            f'printf("{kind}.{name} %zu %zu\\n", offsetof(struct {kind}, {name}), sizeof((({kind} *)0)->{name}));'
            for name in names(struct)
        ]
    lines += [f'printf("{name} %u 0\\n", (unsigned){name});' for name in CONSTANTS]
    types = " ".join(f"typedef struct {kind} {kind};" for kind in STRUCTS)
    includes = "#include <stddef.h>\n#include <stdio.h>\n#include <events.h>\n"
    (tmp_path / "layout.c").write_text(f"{includes}{types}\nint main(void) {{ {' '.join(lines)} }}\n")
    program = tmp_path / "layout"
    subprocess.run(
        [compiler, f"-I{HEADER.parent}", str(tmp_path / "layout.c"), "-o", str(program)], check=True, timeout=60
    )
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=60).stdout

    compiled = {name: (int(first), int(second)) for name, first, second in map(str.split, printed.splitlines())}
    mirrored = {name: (value, 0) for name, value in CONSTANTS.items()}
    for kind, struct in STRUCTS.items():
        mirrored[kind] = (ctypes.sizeof(struct), 0)
        mirrored |= {f"{kind}.{name}": field(struct, name) for name in names(struct)}
    assert compiled == mirrored


def test_no_record_is_longer_than_what_is_mapped_behind_a_ring() -> None:
    """A page, so that a record that begins within the ring can be read to its end."""
    kinds = ("reset_event", "close_event", "process_event", "exit_event", "listen_event", "trigger_event")
    assert all(ctypes.sizeof(STRUCTS[kind]) + HEADER_BYTES <= 4096 for kind in kinds)


def test_the_structs_of_one_ring_are_told_apart_by_length() -> None:
    """The reader knows records by their length alone, so no two that share a ring may be equally long."""
    shared = ("process_event", "exit_event", "listen_event")
    assert len({ctypes.sizeof(STRUCTS[name]) for name in shared}) == len(shared)
