"""Capture files as blocks of bytes: what compresses them, and what goes wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from whyreset.sources.files import BLOCK_BYTES, Capture, CaptureError, zstd

DATA = os.urandom(400_000) + bytes(2_000_000)
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(zstd().compress(data, options={zstd().CompressionParameter.checksum_flag: 1})),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
EACH_PACKER = pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)


def unpacked(path: Path) -> tuple[bytes, str]:
    """All that can be read, and the error at its end."""
    data = bytearray()
    capture = Capture(str(path))
    try:
        for block in capture.blocks():
            assert 0 < len(block.data) <= BLOCK_BYTES
            data += block.data
    except CaptureError as error:
        return bytes(data), str(error)
    finally:
        capture.close()
    return bytes(data), ""


@EACH_PACKER
def test_compression_is_told_from_the_first_bytes(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Whatever the file's name; two that were put together are read as one."""
    path = tmp_path / "capture"
    path.write_bytes(pack(DATA))
    assert unpacked(path) == (DATA, "")
    path.write_bytes(pack(DATA) + pack(b"more"))
    assert unpacked(path) == (DATA + b"more", "")


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "plain"])
def test_what_comes_before_a_break_is_read(name: str, tmp_path: Path) -> None:
    """A compressed file that was cut gives what is there, and says that it breaks off."""
    path = tmp_path / "capture"
    path.write_bytes(PACKERS[name](DATA)[:300_000])
    data, error = unpacked(path)
    assert DATA.startswith(data)
    assert len(data) > 100_000 or name == "bzip2"  # its blocks are of 900 kB
    assert error == "it breaks off: its compressed data has no end"


@pytest.mark.parametrize("name", ["gzip", "zstd", "xz"])
def test_damage_is_said(name: str, tmp_path: Path) -> None:
    """Bytes that were changed give one sentence."""
    packed = bytearray(PACKERS[name](DATA))
    packed[1000:1100] = bytes(100)
    path = tmp_path / "capture"
    path.write_bytes(packed)
    assert unpacked(path)[1].startswith("it ")


def test_empty_file_has_no_blocks(tmp_path: Path) -> None:
    """It is the core that calls it empty."""
    path = tmp_path / "capture"
    path.touch()
    assert unpacked(path) == (b"", "")


def test_position_is_that_on_disk(tmp_path: Path) -> None:
    """Of a compressed file too, so that time left can be told."""
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(DATA))
    capture = Capture(str(path))
    positions = [block.read_bytes for block in capture.blocks()]
    capture.close()
    assert positions == sorted(positions)
    assert positions[-1] == capture.size == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "it is a directory: name the captures in it"),
        ("nothing", "it cannot be opened: No such file or directory"),
        ("nul\0byte", "it cannot be opened: embedded null byte"),
    ],
)
def test_what_cannot_be_opened_gets_a_sentence(name: str, said: str, tmp_path: Path) -> None:
    """What is wrong, and what to do."""
    with pytest.raises(CaptureError) as caught:
        Capture(os.path.join(tmp_path, name))
    assert str(caught.value) == said


def test_terminal_and_closed_input_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types a capture."""

    class Terminal:
        """Standard input of a person."""

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(CaptureError, match="it is a terminal"):
        Capture("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CaptureError, match="closed"):
        Capture("-")


def test_mark_may_come_byte_by_byte(tmp_path: Path) -> None:
    """A pipe may give so little at first that it tells nothing yet."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    packed = gzip.compress(DATA)

    def feed() -> None:
        with pipe.open("wb", buffering=0) as out:
            for at in range(8):
                out.write(packed[at : at + 1])
                time.sleep(0.002)  # most likely read by then; where not, the test proves less
            out.write(packed[8:])

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert unpacked(pipe) == (DATA, "")
    feeder.join()


def test_bomb_is_read_block_by_block(tmp_path: Path) -> None:
    """A small file that unpacks into a large one never is in memory as a whole."""
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(bytes(64 << 20)))
    assert path.stat().st_size < 100_000
    capture = Capture(str(path))
    try:
        assert max(len(block.data) for block in capture.blocks()) <= BLOCK_BYTES
    finally:
        capture.close()
