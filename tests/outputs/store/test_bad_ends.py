"""What happens to disks and files: one sentence for each, and nothing of anybody's is overwritten."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests import needs
from tests.outputs import values
from tests.outputs.store.histories import NOW, SECOND, History, read
from whyreset.model import Reset
from whyreset.outputs.store import files
from whyreset.outputs.store.files import StoreError
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.values import Packets, Run

FLOODING = (sys.executable, "-m", "tests.outputs.store.flooding")


def written(path: Path, seconds: int = 30) -> None:
    """A history with something in it."""
    history = History(path)
    for number in range(seconds):
        history.take(values.reset(time_ns=NOW + number * SECOND, last_ns=NOW + number * SECOND, port=number))
    history.end()


def refused(path: Path) -> str:
    """The sentence that an agent is refused with."""
    with pytest.raises(StoreError) as caught:
        History(path)
    said = str(caught.value)
    assert said.count("\n") == 0
    assert not said.endswith(".")
    return said


@pytest.mark.parametrize("content", [b"dear diary\n", b"x", b"\0" * 4096, b"SQLite format 3\0"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Twice, since nothing that the first try leaves may make it ours."""
    path = tmp_path / "diary"
    path.write_bytes(content)
    for _ in range(2):
        assert "no history of whyreset" in refused(path)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["diary"]
    with pytest.raises(StoreError, match="no history"):
        Reader(str(path))


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Though it is one."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE piece (id)")
    other.close()
    before = path.read_bytes()
    assert "another program's database" in refused(path)
    assert path.read_bytes() == before


def test_a_newer_layout_is_left_alone(tmp_path: Path) -> None:
    """Whoever went back to an older version is told; readers too."""
    path = tmp_path / "history.db"
    written(path)
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version={files.LAYOUT + 1}")
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    newer.close()
    before = path.read_bytes()
    assert "newer whyreset" in refused(path)
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="newer whyreset"):
        Reader(str(path))


@pytest.mark.parametrize("where", ["head", "middle", "everywhere", "cut"])
def test_a_damaged_file_is_put_aside(tmp_path: Path, where: str) -> None:
    """It is told under which name; the history begins anew; and of those put aside before, one stays."""
    path = tmp_path / "history.db"
    for _ in range(2):
        written(path, 60)
        content = bytearray(path.read_bytes())
        if where == "head":
            content[:100] = b"\xff" * 100
        elif where == "middle":
            content[100:8192] = os.urandom(8092)
        elif where == "everywhere":
            content[100:] = os.urandom(len(content) - 100)
        else:
            del content[5000:]
        path.write_bytes(content)
        history = History(path)
        (notice,) = history.notices
        assert (notice.name, "damaged" in notice.text, "put aside as" in notice.text) == ("history", True, True)
        aside = Path(notice.text.split("put aside as ")[1].split(",")[0])
        assert aside.read_bytes()[:4096] == bytes(content[:4096])
        history.take(values.reset())
        history.end()
        assert len(read(path, Reset)) == 1
        time.sleep(1.1)  # its name has the second
        assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1
        path.unlink()


def test_damage_while_it_runs(tmp_path: Path) -> None:
    """The disk breaks what is open: the history begins anew, and goes on."""
    path = tmp_path / "history.db"
    history = History(path)
    for _ in range(3):
        history.take(values.reset())
    history.store._writer._tables.checkpoint()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    history.store._writer._tables._connection.execute("PRAGMA shrink_memory")
    for _ in range(12):
        history.take(values.reset(time_ns=history.time_ns, last_ns=history.time_ns), seconds=6)
    history.end()
    assert any("put aside" in notice.text for notice in history.notices)
    assert read(path, Reset)
    assert read(path, Run)


def test_a_file_that_was_taken_away(tmp_path: Path) -> None:
    """Somebody cleaned up: it is made anew and that is said."""
    path = tmp_path / "history.db"
    history = History(path)
    history.take(values.reset())
    for each in tmp_path.iterdir():
        if not each.name.endswith("-lock"):
            each.unlink()
    history.take(values.reset(port=443), seconds=2)
    assert any("taken away" in notice.text for notice in history.notices)
    history.end()
    assert read(path, Reset)


def test_a_killed_agent_loses_seconds_at_most(tmp_path: Path) -> None:
    """Whenever it is killed, also in the middle of a write: the file is whole, and what was handed over is there."""
    path = tmp_path / "history.db"
    for wait in (0.2, 0.5, 1.1):
        with subprocess.Popen([*FLOODING, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline().split()[0] == "1"
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            last = int(process.stdout.read().split()[-1])
        newest = max(read(path, Reset), key=lambda reset: reset.time_ns)
        assert last - newest.number <= 100  # half a second, since it says a second each 5 ms
        run = read(path, Run)[-1]
        assert run.reason == ""
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_disk(tmp_path: Path) -> None:
    """In the middle of things: it is said, nothing stalls, and what was written before can be read."""
    needs.root()
    script = f"mount -t tmpfs -o size=2m none {tmp_path} && cd /proc/self/cwd && {' '.join(FLOODING)} {tmp_path}/h.db 4"
    script += f"; cp {tmp_path}/h.db* /dev/shm/$0/; df --output=avail {tmp_path} >&2"
    kept = Path("/dev/shm") / f"whyreset-test-{os.getpid()}"
    kept.mkdir()
    try:
        argv = ["unshare", "--mount", "sh", "-c", script, kept.name]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr
        assert "there is no room left on the disk" in ended.stdout
        assert "Traceback" not in ended.stderr
        assert float(ended.stdout.split()[-1]) < 0.5
        assert "resets, packets and others lost to the history" in ended.stdout
        assert read(kept / "h.db", Reset)
        assert read(kept / "h.db", Packets)
    finally:
        shutil.rmtree(kept)


def test_a_full_disk_from_the_start(tmp_path: Path) -> None:
    """One sentence."""
    needs.root()
    script = f"mount -t tmpfs -o size=8k none {tmp_path} && {' '.join(FLOODING)} {tmp_path}/h.db 1"
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout == f"cannot use {tmp_path}/h.db: there is no room left on the disk\n"


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    """An agent is refused in one sentence; a reader reads."""
    needs.root()
    written(tmp_path / "history.db")
    for each in tmp_path.iterdir():
        assert each.name in ("history.db", "history.db-lock")
    reading = (
        "import sys; from whyreset.outputs.store.reader import Reader; from whyreset.model import Reset; "
        "print(len(list(Reader(sys.argv[1]).read(Reset))))"
    )
    script = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    script += f" && {sys.executable} -c '{reading}' {tmp_path}/history.db && {' '.join(FLOODING)} {tmp_path}/history.db"
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[0] == "30"
    assert ended.stdout.splitlines()[1].endswith("Read-only file system")
    assert ended.stderr == ""


def test_where_there_is_none(tmp_path: Path) -> None:
    """A reader is told how to get one."""
    with pytest.raises(StoreError, match="run `whyreset agent`"):
        Reader(str(tmp_path / "history.db"))
    assert not list(tmp_path.iterdir())


def test_rows_of_another_version_are_counted(tmp_path: Path) -> None:
    """What cannot be read any more does not hide the rest."""
    path = tmp_path / "history.db"
    written(path)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE piece SET body = x'00' WHERE id = (SELECT min(id) FROM piece WHERE kind = 'reset')")
        other.execute("UPDATE piece SET body = 7 WHERE id = (SELECT max(id) FROM piece WHERE kind = 'reset')")
    other.close()
    with Reader(str(path)) as reader:
        assert 0 < len(list(reader.read(Reset))) < 30
        assert reader.unreadable == 2


def test_a_damaged_file_is_said_to_be_to_readers(tmp_path: Path) -> None:
    """In one sentence."""
    path = tmp_path / "history.db"
    written(path, 60)
    content = bytearray(path.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), Reader(str(path)) as reader:
        list(reader.read(Reset))


def test_a_schema_that_does_something_is_refused(tmp_path: Path) -> None:
    """Root may read what another user wrote: a view in the place of the table runs nothing."""
    path = tmp_path / "history.db"
    written(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("ALTER TABLE piece RENAME TO hidden")
        endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
        other.execute(f"CREATE VIEW piece AS {endless} SELECT id, '' kind, 0 first_ns, 0 last_ns, x'' body FROM n")
    with pytest.raises(StoreError, match="no table"):
        Reader(str(path))


def test_a_log_without_its_file(tmp_path: Path) -> None:
    """Somebody removed the file alone after a crash: what is left of its log is not taken for the new one's."""
    path = tmp_path / "history.db"
    with subprocess.Popen([*FLOODING, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while int(process.stdout.readline().split()[0]) < 40:
            pass
        process.send_signal(signal.SIGKILL)
    path.unlink()
    history = History(path)
    history.take(values.reset())
    history.end()
    assert len(read(path, Reset)) == 1
