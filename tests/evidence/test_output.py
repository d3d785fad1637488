"""A file of evidence holds whole blocks, whatever happens, and writes over nothing."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.packets import NOW, SECOND, analyze
from tests.evidence.frames import frame
from whyreset.evidence.frames import Frame
from whyreset.evidence.output import GoneError, Output, OutputError
from whyreset.evidence.writer import Known, Rotation, Where, Words, Writer

WORDS = Words(application="whyreset 1")
MANY = Known(comments=("x" * 1000,))
#: How large a file may be.
SMALL = 50_001


def where(seen: Frame) -> Where:
    """The interface of every packet."""
    return Where(name=f"eth{seen.interface}")


def packets(path: Path) -> int:
    """How many a file holds; every byte of it is read."""
    read = analyze(path.read_bytes())
    assert read.problem is None
    return read.summary().packets


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond SMALL, as on a full disk; for a moment, or pytest's own could not either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    """Only force writes over it."""
    path = tmp_path / "x.pcapng"
    path.write_text("precious")
    with pytest.raises(OutputError, match="is there already: name another, or add --force"):
        Output(str(path))
    assert path.read_text() == "precious"
    out = Output(str(path), force=True)
    out.add(b"new")
    out.close()
    assert path.read_text() == "new"


def test_a_link_is_a_file_that_is_there(tmp_path: Path) -> None:
    """Nobody can make us write elsewhere by a link that leads nowhere yet."""
    (tmp_path / "x.pcapng").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is there already"):
        Output(str(tmp_path / "x.pcapng"))
    assert not (tmp_path / "elsewhere").exists()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Packets are nobody else's business."""
    Output(str(tmp_path / "x.pcapng")).close()
    assert stat.S_IMODE((tmp_path / "x.pcapng").stat().st_mode) == 0o600


@pytest.mark.parametrize("path", ["/nowhere/x.pcapng", "/proc/x.pcapng"])
def test_a_place_that_cannot_be_is_one_sentence(path: str) -> None:
    """What is wrong, in the system's words."""
    with pytest.raises(OutputError, match=f"^cannot write {path}: "):
        Output(path)


def test_a_full_disk_costs_no_whole_block(tmp_path: Path) -> None:
    """What did not fit is taken off again, and what was written before is readable to its last byte."""
    path = tmp_path / "x.pcapng"
    writer = Writer(str(path), words=WORDS, where=where)

    def fill() -> None:
        for count in range(1000):
            writer.add(frame(), MANY, NOW)
            writer.flush(NOW + count)

    said = r"the file may not grow any more: what was written of .* can be read"
    with small_files(), pytest.raises(OutputError, match=said):
        fill()
    writer.close()
    assert SMALL - 1500 < path.stat().st_size < SMALL
    assert packets(path) > 30


def test_a_full_disk_in_the_midst_of_many_blocks(tmp_path: Path) -> None:
    """The same where the blocks are written in one piece."""
    path = tmp_path / "x.pcapng"
    writer = Writer(str(path), words=WORDS, where=where)
    for _ in range(60):
        writer.add(frame(), MANY, NOW)
    with small_files(), pytest.raises(OutputError, match="may not grow"):
        writer.flush(NOW)
    writer.close()
    assert SMALL - 1500 < path.stat().st_size < SMALL
    assert packets(path) > 30


def test_whoever_is_killed_leaves_whole_blocks(tmp_path: Path) -> None:
    """What was flushed is there after SIGKILL, and nothing in part."""
    path = tmp_path / "x.pcapng"
    program = (
        "import os, signal, sys\n"
        "from tests.core.packets import NOW\n"
        "from tests.evidence.frames import frame\n"
        "from tests.evidence.test_output import MANY, WORDS, where\n"
        "from whyreset.evidence.writer import Writer\n"
        "writer = Writer(sys.argv[1], words=WORDS, where=where)\n"
        "for count in range(100): writer.add(frame(), MANY, NOW)\n"
        "writer.flush(NOW)\n"
        "writer.add(frame(), MANY, NOW)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert packets(path) == 100


def test_a_reader_that_has_gone_is_told() -> None:
    """Of a pipe; not by a signal."""
    before = os.dup(1)
    read, write = os.pipe()
    os.dup2(write, 1)
    try:
        out = Output("-")
    finally:
        os.dup2(before, 1)
        for each in (before, read, write):
            os.close(each)
    out.add(b"x")
    with pytest.raises(GoneError, match="whoever read standard output has gone"):
        out.flush()


def test_files_are_rotated_by_size(tmp_path: Path) -> None:
    """Each file can be read by itself, and only the last ones are kept; others' files stay."""
    (tmp_path / "x-00001.pcap").write_text("precious")
    writer = Writer(str(tmp_path / "x.pcapng"), words=WORDS, where=where, rotation=Rotation(size=5000, files=2))
    for count in range(20):
        writer.add(frame(interface=count % 2), MANY, NOW)
    writer.end(NOW, dropped=0)
    kept = sorted(tmp_path.glob("*.pcapng"))
    assert [path.name for path in kept] == ["x-00003.pcapng", "x-00004.pcapng"]
    assert [packets(path) for path in kept] == [5, 5]
    assert (tmp_path / "x-00001.pcap").read_text() == "precious"
    assert writer.packets == 20


def test_files_are_rotated_by_time(tmp_path: Path) -> None:
    """After so many seconds another is begun, by its first packet."""
    writer = Writer(str(tmp_path / "x.pcapng"), words=WORDS, where=where, rotation=Rotation(seconds=10))
    for seconds in (0, 9, 10, 25):
        writer.add(frame(), MANY, NOW + seconds * SECOND)
    writer.end(NOW, dropped=0)
    assert [packets(path) for path in sorted(tmp_path.glob("*.pcapng"))] == [2, 1, 1]


def test_what_waits_is_written_after_a_second(tmp_path: Path) -> None:
    """Not for each packet, but soon."""
    path = tmp_path / "x.pcapng"
    writer = Writer(str(path), words=WORDS, where=where)
    writer.flush(NOW)
    writer.add(frame(), Known(), NOW)
    writer.flush(NOW + SECOND - 1, every_ns=SECOND)
    assert packets(path) == 0
    writer.flush(NOW + SECOND, every_ns=SECOND)
    assert packets(path) == 1
    writer.close()
