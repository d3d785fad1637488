"""The history over time: what was kept is read, the bound holds, and what goes wrong is said and harms nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.outputs import values
from tests.outputs.store.histories import NOW, SECOND, History, packets, read
from whyreset.model import Alert, Count, Notice, Reset
from whyreset.outputs.store import SIZE_MIN, files
from whyreset.outputs.store.files import StoreError
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.store import WAITING_MAX, Store
from whyreset.outputs.store.values import Packets, Run


def at(time_ns: int, **fields: Any) -> Reset:
    """A reset of that moment."""
    return values.reset(time_ns=time_ns, last_ns=time_ns, **fields)


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    """By type and time, while it is written and after that; with when the agent ran, and why it ended."""
    path = tmp_path / "deep" / "history.db"
    history = History(path)
    history.take(at(NOW), values.alert(time_ns=NOW), values.notice(time_ns=NOW), values.count(time_ns=NOW))
    assert read(path, Reset) == [at(NOW)]
    history.pass_time(19)
    history.take(at(NOW + 20 * SECOND), packets(NOW + 20 * SECOND, [b"x" * 60]))
    history.end("SIGTERM")
    assert history.notices == []
    assert [each.time_ns for each in read(path, Reset)] == [NOW, NOW + 20 * SECOND]
    assert read(path, Reset, NOW + SECOND) == [at(NOW + 20 * SECOND)]
    assert read(path, Reset, 0, NOW + SECOND) == [at(NOW)]
    assert (len(read(path, Alert)), len(read(path, Count)), len(read(path, Notice))) == (1, 1, 1)
    assert read(path, Packets) == [packets(NOW + 20 * SECOND, [b"x" * 60])]
    (run,) = read(path, Run)
    assert (run.start_ns, run.reason, run.tier) == (NOW, "SIGTERM", "reasons")
    assert run.last_ns == history.time_ns


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Packets and command lines are nobody else's business."""
    path = tmp_path / "new" / "history.db"
    history = History(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    history.end()


def test_the_next_agent_goes_on(tmp_path: Path) -> None:
    """What the one before kept is still there, and the time between is in neither's run."""
    path = tmp_path / "history.db"
    for start in (NOW, NOW + 600 * SECOND):
        history = History(path, begun_ns=start)
        history.take(at(start))
        history.end()
    assert len(read(path, Reset)) == 2
    with Reader(str(path)) as reader:
        one, other = reader.runs()
    assert one.last_ns < other.start_ns


def test_the_bound_holds_in_a_flood(tmp_path: Path) -> None:
    """Minutes of resets of every kind and of packets that cannot be compressed: file, log and all stay below it.

    The oldest is what goes, and each kind keeps its share.
    """
    path = tmp_path / "history.db"
    history = History(path, size=SIZE_MIN)
    most = 0
    for second in range(150):
        now = history.time_ns
        resets = [at(now, port=port, owner=values.owner(pid=second * 300 + port)) for port in range(300)]
        frames = packets(now, (os.urandom(100) for _ in range(800)))
        history.take(*resets, frames, values.count(time_ns=now, netns_cookie=second), values.alert(time_ns=now))
        most = max(most, files.size_of(str(path)))
    assert SIZE_MIN * 0.7 < most <= SIZE_MIN
    with Reader(str(path)) as reader:
        begun = reader.begins_ns(Packets)
    assert NOW < begun < history.time_ns - 20 * SECOND
    kept = read(path, Packets)
    assert [each.frames[0][0] for each in kept] == sorted(each.frames[0][0] for each in kept)
    assert kept[-1].frames[0][0] >= history.time_ns - 2 * SECOND
    assert read(path, Alert)
    history.end()
    assert files.size_of(str(path)) <= SIZE_MIN


def test_a_smaller_size_makes_the_file_smaller(tmp_path: Path) -> None:
    """The newest stays."""
    path = tmp_path / "history.db"
    history = History(path, size=4 * SIZE_MIN)
    for _ in range(150):
        history.take(packets(history.time_ns, (os.urandom(100) for _ in range(1500))))
    history.end()
    assert files.size_of(str(path)) > 1.5 * SIZE_MIN
    last = history.time_ns
    history = History(path, size=SIZE_MIN, begun_ns=last + SECOND)
    assert files.size_of(str(path)) <= SIZE_MIN
    history.end()
    kept = read(path, Packets)
    assert kept[-1].frames[0][0] >= last - 2 * SECOND


def test_a_reader_that_stays_does_not_make_it_grow(tmp_path: Path) -> None:
    """The log cannot begin anew while somebody holds an old state: then rows wait, and go on when that one has gone."""
    path = tmp_path / "history.db"
    history = History(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM piece").fetchall()
    for _ in range(60):
        history.take(packets(history.time_ns, (os.urandom(100) for _ in range(600))), seconds=2)
        assert files.size_of(str(path)) <= SIZE_MIN
    other.close()
    assert any("reads it" in notice.text for notice in history.notices)
    history.take(at(history.time_ns), seconds=10)
    history.pass_time(10)
    assert read(path, Reset)
    history.end()


def test_the_clock_may_be_set_back(tmp_path: Path) -> None:
    """What came later is written later, whatever it is called; nothing is lost or merged over hours."""
    path = tmp_path / "history.db"
    history = History(path)
    history.take(at(history.time_ns))
    history.pass_time(11, clock=-3600)
    history.take(at(history.time_ns))
    history.end()
    assert history.notices == []
    first, second = read(path, Reset)
    assert first.time_ns - second.time_ns == 3599 * SECOND
    (run,) = read(path, Run)
    assert run.last_ns >= run.start_ns


def test_one_agent_a_file(tmp_path: Path) -> None:
    """The second is told who has it; when that one ends it may have it."""
    path = tmp_path / "history.db"
    script = (
        "import sys, time; from whyreset.outputs.store.files import Lock; l = Lock(sys.argv[1]); "
        "print('held', flush=True); sys.stdin.read()"
    )
    History(path).end()
    argv = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert files.holder(str(path)) == other.pid
        with pytest.raises(StoreError, match=f"process {other.pid}"):
            History(path)
        other.communicate("")
    assert files.holder(str(path)) == 0
    History(path).end()


def test_what_a_disk_does_not_take_is_bounded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs: no call waits for it, memory is bounded, and what had no room is said to be lost."""
    path = tmp_path / "history.db"
    history = History(path)
    monkeypatch.setattr(history.store._writer, "outcome", lambda patience=0.0: None)
    monkeypatch.setattr(history.store._writer, "_busy", True)
    longest = 0.0
    for second in range(400):
        began = time.perf_counter()
        history.store.take([packets(NOW, (bytes(100) for _ in range(300)))], history.now_ns)
        history.notices += history.store.tick(history.now_ns, history.time_ns)
        longest = max(longest, time.perf_counter() - began)
        history.now_ns += SECOND
        assert history.store.waiting_bytes <= WAITING_MAX + (1 << 20), second
    assert sum(notice.count for notice in history.notices if notice.name == "history-lost") > 50_000
    assert "too slow" in history.notices[0].text
    assert longest < 0.5


@pytest.mark.parametrize("reason", ["SIGTERM", "duration"])
def test_an_end_in_order_loses_nothing(tmp_path: Path, reason: str) -> None:
    """Also what came in the last moment."""
    path = tmp_path / "history.db"
    history = History(path)
    for number in range(20):
        history.store.take([at(NOW + number, port=number)], history.now_ns)
    history.end(reason)
    assert [each.name for each in path.parent.iterdir() if each.suffix != ".db"] == ["history.db-lock"]
    assert len(read(path, Reset)) == 20


def test_what_is_of_no_kind_is_a_mistake(tmp_path: Path) -> None:
    """Of whoever calls: nothing vanishes in silence."""
    history = History(tmp_path / "history.db")
    with pytest.raises(KeyError):
        history.store.take([Store], 0)
    history.end()
