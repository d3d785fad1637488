"""Captures, handed to the core block by block.

What a person can do wrong (no such file, a directory, no permission, not a capture, a damaged one) becomes one sentence
with the byte where it was found; what came before that byte has been read by then and is valid.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from whyreset.core.segments import Analyzer
from whyreset.sources.files import STDIN, Capture, CaptureError


class Damage(Struct, frozen=True, kw_only=True):
    """One file that could not be read to its end, and why."""

    path: str
    #: Where in the (decompressed) capture; None where it could not even be opened.
    byte: int | None
    #: One sentence without its full stop.
    text: str

    def __str__(self) -> str:
        name = "standard input" if self.path == STDIN else self.path
        return f"{name}: {self.text}" + ("" if self.byte is None else f", at byte {self.byte:,}")


def read(paths: list[str], analyzer: Analyzer) -> Iterator[Damage | int]:
    """Feeds files to the analyzer one after the other; connections are carried from one to the next.

    Yields, after each block, how many bytes of the file on disk have been read so far; a `Damage` where a file cannot
    be read (further). The caller takes what is complete whenever it likes (`analyzer.take`), and calls
    `analyzer.finish` at the end.
    """
    for index, path in enumerate(paths):
        if index:
            analyzer.begin()
        yield from _read_file(path, analyzer)


def _read_file(path: str, analyzer: Analyzer) -> Iterator[Damage | int]:
    try:
        capture = Capture(path)
        try:
            for block in capture.blocks():
                if not analyzer.feed(block.data):
                    break
                yield block.read_bytes
        finally:
            capture.close()
    except CaptureError as error:
        yield Damage(path=path, byte=analyzer.consumed or None, text=str(error))
        return
    analyzer.end()
    if problem := analyzer.problem:
        yield Damage(path=path, byte=problem.byte, text=problem.text)
