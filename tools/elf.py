"""Relocatable ELF files (64 bits, little endian): read, leave sections out, write.

That is what `strip` does; here it needs no LLVM, and makes the same bytes everywhere. Source: elf(5).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQ")

SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS, SHT_REL = 2, 3, 8, 9
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00
STB_LOCAL, STT_FILE = 0, 4


@dataclass(frozen=True)
class Section:
    """One section; `link` and `info` are indices into the object's sections, as its type says."""

    name: str
    type: int
    flags: int
    link: int
    info: int
    align: int
    entry_bytes: int
    data: bytes


@dataclass(frozen=True)
class Object:
    """A relocatable object: its file header and its sections, the empty first one included."""

    header: tuple[bytes | int, ...]
    sections: tuple[Section, ...]

    @classmethod
    def parse(cls, image: bytes) -> "Object":
        """Read an object file. Raises ValueError when it is of another kind."""
        header = HEADER.unpack_from(image)
        if header[0][:6] != b"\x7fELF\x02\x01" or header[1] != 1:
            raise ValueError("not a relocatable 64-bit little-endian ELF file")
        table_offset, count, names_index = header[6], header[12], header[13]
        rows = [SECTION.unpack_from(image, table_offset + i * SECTION.size) for i in range(count)]
        contents = [b"" if row[1] == SHT_NOBITS else image[row[4] : row[4] + row[5]] for row in rows]
        return cls(
            header,
            tuple(
                Section(
                    string_at(contents[names_index], row[0]), row[1], row[2], row[6], row[7], row[8], row[9], content
                )
                for row, content in zip(rows, contents, strict=True)
            ),
        )

    def data(self, name: str) -> bytes:
        """The content of the section of that name. Raises KeyError when there is none."""
        for section in self.sections:
            if section.name == name:
                return section.data
        raise KeyError(name)

    def with_data(self, name: str, data: bytes) -> "Object":
        """The same object with another content of one section."""
        return replace(self, sections=tuple(replace(s, data=data) if s.name == name else s for s in self.sections))

    def keep(self, wanted: Callable[[Section], bool]) -> "Object":
        """The same object with only the wanted sections, and without the symbols of the others.

        Raises ValueError when a relocation that stays needs a symbol that goes.
        """
        kept = [i for i, section in enumerate(self.sections) if i == 0 or wanted(section)]
        place = {old: new for new, old in enumerate(kept)}
        symtab_index = next(i for i in kept if self.sections[i].type == SHT_SYMTAB)
        symtab = self.sections[symtab_index]
        strings = StringTable()
        symbols: list[bytes] = []
        renumbered: dict[int, int] = {}
        locals_count = 0
        for number, symbol in enumerate(SYMBOL.iter_unpack(symtab.data)):
            name, kind, other, index, value, size = symbol
            gone = index != SHN_UNDEF and index < SHN_LORESERVE and index not in place
            if gone or kind & 15 == STT_FILE:
                continue
            renumbered[number] = len(symbols)
            locals_count += kind >> 4 == STB_LOCAL
            name = strings.add(string_at(self.sections[symtab.link].data, name))
            symbols.append(SYMBOL.pack(name, kind, other, place.get(index, index), value, size))
        sections = []
        for i in kept:
            section = self.sections[i]
            if i == symtab_index:
                section = replace(section, info=locals_count, data=b"".join(symbols))
            elif i == symtab.link:
                for other_index in kept:
                    strings.add(self.sections[other_index].name)
                section = replace(section, data=strings.data())
            elif section.type == SHT_REL:
                section = replace(section, info=place[section.info], data=renumber(section, renumbered))
            sections.append(replace(section, link=place.get(section.link, 0)))
        names_index = place[symtab.link]
        return Object((*self.header[:13], names_index), tuple(sections))

    def image(self) -> bytes:
        """The object as a file. Sections follow each other in their order, then the table of sections."""
        names_index = self.header[13]
        assert isinstance(names_index, int)
        names = self.sections[names_index].data
        body = bytearray(HEADER.size)
        rows = []
        for section in self.sections:
            body.extend(bytes(-len(body) % max(section.align, 1)))
            rows.append(
                SECTION.pack(
                    names.index(section.name.encode() + b"\0"),
                    section.type,
                    section.flags,
                    0,
                    len(body) if section.type else 0,
                    len(section.data),
                    section.link,
                    section.info,
                    section.align,
                    section.entry_bytes,
                )
            )
            body.extend(section.data)
        body.extend(bytes(-len(body) % 8))
        body[: HEADER.size] = HEADER.pack(*self.header[:6], len(body), *self.header[7:12], len(rows), names_index)
        return bytes(body) + b"".join(rows)


class StringTable:
    """Strings ended by NUL, each once; the empty one has offset 0."""

    def __init__(self) -> None:
        self._offsets = {"": 0}
        self._data = bytearray(1)

    def add(self, text: str) -> int:
        """The offset of a string, which is added unless it is there."""
        if text not in self._offsets:
            self._offsets[text] = len(self._data)
            self._data += text.encode() + b"\0"
        return self._offsets[text]

    def data(self) -> bytes:
        """The table as it stands in the file."""
        return bytes(self._data)


def string_at(table: bytes, offset: int) -> str:
    """The string at that offset of a string table."""
    return table[offset : table.index(b"\0", offset)].decode()


def renumber(relocations: Section, symbols: dict[int, int]) -> bytes:
    """A relocation section's content with its symbols' new numbers."""
    rows = []
    for offset, info in RELOCATION.iter_unpack(relocations.data):
        if info >> 32 not in symbols:
            raise ValueError(f"{relocations.name} needs a symbol of a section that is left out")
        rows.append(RELOCATION.pack(offset, symbols[info >> 32] << 32 | info & 0xFFFFFFFF))
    return b"".join(rows)
