"""BTF, the type information of BPF objects: leave out the source lines, which nothing but a verifier's log shows.

Source: the kernel's Documentation/bpf/btf.rst.
"""

import struct
from collections.abc import Callable, Iterator

from tools.elf import StringTable, string_at

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, header's length; types and strings: offset, length
EXT_HEADER = struct.Struct("<HBBIIIIIII")  # the same, then function, line and relocation records: offset, length
TYPE_BYTES = 12
NAME = struct.Struct("<I")

# by kind: (bytes after the type's first three words, bytes of each of its members); see struct btf_type
SHAPES = {
    1: (4, 0),  # INT
    2: (0, 0),  # PTR
    3: (12, 0),  # ARRAY
    4: (0, 12),  # STRUCT
    5: (0, 12),  # UNION
    6: (0, 8),  # ENUM
    7: (0, 0),  # FWD
    8: (0, 0),  # TYPEDEF
    9: (0, 0),  # VOLATILE
    10: (0, 0),  # CONST
    11: (0, 0),  # RESTRICT
    12: (0, 0),  # FUNC: its count is its linkage
    13: (0, 8),  # FUNC_PROTO
    14: (4, 0),  # VAR
    15: (0, 12),  # DATASEC
    16: (0, 0),  # FLOAT
    17: (4, 0),  # DECL_TAG
    18: (0, 0),  # TYPE_TAG
    19: (0, 12),  # ENUM64
}
MEMBERS_WITHOUT_NAME = {15}


def without_lines(btf: bytes, ext: bytes) -> tuple[bytes, bytes]:
    """The contents of .BTF and .BTF.ext without the records of source lines, and without their text.

    Function records stay, since the kernel asks for them where a function is called back, and CO-RE's relocations.
    Raises ValueError for anything this program does not know, rather than guess its length.
    """
    magic, version, flags, header_bytes, types_offset, types_bytes, strings_offset, strings_bytes = HEADER.unpack_from(
        btf
    )
    if (magic, version, flags) != (MAGIC, 1, 0):
        raise ValueError("not BTF version 1")
    types = bytearray(btf[header_bytes + types_offset :][:types_bytes])
    old_strings = btf[header_bytes + strings_offset :][:strings_bytes]
    strings = StringTable()

    def move(data: bytearray, offset: int) -> None:
        (old,) = NAME.unpack_from(data, offset)
        NAME.pack_into(data, offset, strings.add(string_at(old_strings, old)))

    for offset in names_of_types(types):
        move(types, offset)
    ext = _ext_without_lines(ext, move)
    table = strings.data()
    header = HEADER.pack(MAGIC, 1, 0, HEADER.size, 0, len(types), len(types), len(table))
    return header + types + table, ext


def names_of_types(types: bytes | bytearray) -> Iterator[int]:
    """Where in the types' bytes a name's offset stands: of each type and of each member."""
    at = 0
    while at < len(types):
        info = struct.unpack_from("<I", types, at + 4)[0]
        kind, count = info >> 24 & 31, info & 0xFFFF
        if kind not in SHAPES:
            raise ValueError(f"unknown kind of BTF type: {kind}")
        yield at
        extra_bytes, member_bytes = SHAPES[kind]
        members = at + TYPE_BYTES + extra_bytes
        members_end = members + count * member_bytes
        if member_bytes and kind not in MEMBERS_WITHOUT_NAME:
            yield from range(members, members_end, member_bytes)
        at = members_end


def _ext_without_lines(ext: bytes, move: Callable[[bytearray, int], None]) -> bytes:
    magic, version, flags, header_bytes, *areas = EXT_HEADER.unpack_from(ext)
    if (magic, version, flags) != (MAGIC, 1, 0):
        raise ValueError("not .BTF.ext version 1")
    functions, _, relocations = (
        bytearray(ext[header_bytes + areas[i] :][: areas[i + 1]]) for i in range(0, len(areas), 2)
    )
    for area, named_word in ((functions, None), (relocations, 2)):
        for offset in _names_of_records(area, named_word):
            move(area, offset)
    end = len(functions)
    header = EXT_HEADER.pack(MAGIC, 1, 0, EXT_HEADER.size, 0, end, end, 0, end, len(relocations))
    return bytes(header + functions + relocations)


def _names_of_records(area: bytes | bytearray, named_word: int | None) -> Iterator[int]:
    """Where in an area of .BTF.ext a string's offset stands: sections' names, and one word of each record if any."""
    if not area:
        return
    (record_bytes,) = struct.unpack_from("<I", area)
    at = 4
    while at < len(area):
        yield at
        (count,) = struct.unpack_from("<I", area, at + 4)
        at += 8
        if named_word is not None:
            yield from range(at + 4 * named_word, at + 4 * named_word + count * record_bytes, record_bytes)
        at += count * record_bytes
