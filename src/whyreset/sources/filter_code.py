"""Instructions of classic BPF while they are put together (networking/filter.rst of the kernel's documentation)."""

from __future__ import annotations

from collections.abc import Iterable

# include/uapi/linux/bpf_common.h: JMP | JA, JMP | JEQ
_JA, _JEQ = 0x05, 0x15


class Code:
    """Instructions with jumps to names that come later."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str]] = []
        self._places: dict[str, int] = {}
        self._names = 0

    def name(self) -> str:
        """A place that is not known yet."""
        self._names += 1
        return f"place {self._names}"

    def place(self, name: str) -> None:
        """The name's place is here."""
        self._places[name] = len(self._lines)

    def add(self, code: int, value: int = 0) -> None:
        self._lines.append((code, value, ""))

    def jump(self, name: str) -> None:
        self._lines.append((_JA, 0, name))

    def when(self, value: int, name: str, code: int = _JEQ) -> None:
        """Goes to the name if A equals the value (or shares a bit with it); else on."""
        self._lines.append((code, value, "next"))
        self.jump(name)

    def unless(self, value: int, name: str, code: int = _JEQ) -> None:
        """Goes to the name if it does not."""
        after = self.name()
        self.when(value, after, code)
        self.jump(name)
        self.place(after)

    def whenever(self, values: Iterable[int], name: str) -> None:
        """Goes to the name if A equals one of the values."""
        for value in values:
            self.when(value, name)

    def assemble(self) -> list[tuple[int, int, int, int]]:
        """Instructions as (code, jump if true, jump if false, value)."""
        out = []
        for at, (code, value, name) in enumerate(self._lines):
            if code == _JA:
                distance = self._places[name] - at - 1
                assert distance >= 0, "a filter only goes on"
                out.append((code, 0, 0, distance))
            else:
                out.append((code, 0, 1 if name else 0, value))
        return out
