import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyreset.alerts.alerting import AlertState, SavedSpace
from whyreset.alerts.streams import Stream
from whyreset.alerts.surge import Baseline
from whyreset.statefile import Memory, StateFileError, boot_id, load, save

STATE = AlertState(
    boot="b",
    spaces=[SavedSpace(cookie=1, sent=[Stream(name="all", baseline=Baseline(mean=5.5, seconds=600))], received=[])],
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """By its owner alone."""
    path = tmp_path / "state.json"
    assert load(path) is None
    save(path, STATE)
    assert load(path) == STATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A link is not followed, and what was saved before stays."""
    path = tmp_path / "state.json"
    save(path, STATE)
    (tmp_path / ".state.json.new").symlink_to("/dev/full")
    with pytest.raises(StateFileError, match="cannot write"):
        save(path, AlertState())
    assert load(path) == STATE


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing half-written is left."""
    path = tmp_path / "state.json"
    save(path, STATE)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateFileError, match=r"cannot write .*: No space left on device"):
        save(path, AlertState())
    assert load(path) == STATE
    assert os.listdir(tmp_path) == ["state.json"]


def test_where_it_cannot_be_written_is_said_before_watching(tmp_path: Path) -> None:
    """Not a minute later, when the person is gone."""
    with pytest.raises(StateFileError, match="there is no folder"):
        Memory(str(tmp_path / "nowhere/state.json")).load()
    with pytest.raises(StateFileError, match="it is a folder"):
        Memory(str(tmp_path)).load()
    if os.geteuid():
        with pytest.raises(StateFileError, match="not writable for this user"):
            Memory("/proc/state.json").load()


#: What a hostile file could make later computations fail with.
HOSTILE = [
    b'{"spaces": [{"cookie": 1, "sent": [{"name": "all", "baseline": {"%s": %s}}], "received": []}]}' % (key, value)
    for key in (b"mean", b"seconds", b"long_mean", b"variance", b"spread_seconds")
    for value in (b"-1", b"1e40", b"1e999", b"null")
]
HOSTILE += [
    b'{"lives": {"lives": [{"number": 1, %s "signal": {"rule": "x", "netns_cookie": 1, "netns": 1, "status": %s}}]}}'
    % each
    for each in (
        (b"", b"99"),
        (b"", b"-3"),
        (b'"status": 5,', b"3"),
        (b'"since": 1e300,', b"3"),
        (b'"due": -1,', b"3"),
        (b'"told_status": 7,', b"3"),
        (b'"raised": [1, 2, 3, 4, 5, 6, 7],', b"3"),
        (b'"number": -5,', b"3"),
    )
]
HOSTILE += [b"[" * 100_000, b'{"spaces": ' + b"[" * 100_000]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"spaces": 5}', b"\xff\xfe", b"null", *HOSTILE])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """With a sentence that says what to do."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError, match=r"is not what alerts have saved \(.*\); remove it to begin anew"):
        load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is what may not be read."""
    with pytest.raises(StateFileError, match="cannot read"):
        load(tmp_path)


def test_it_is_kept_once_a_minute_and_at_the_end(tmp_path: Path) -> None:
    """Not each second."""
    path = tmp_path / "state.json"
    memory = Memory(str(path))
    assert memory.load() is None
    for now in (0.0, 30.0, 59.0):
        assert memory.keep(lambda: STATE, now) == []
    assert not path.exists()
    memory.keep(lambda: STATE, 60.0)
    assert load(path) == STATE
    path.unlink()
    memory.keep(lambda: STATE, 61.0)
    assert not path.exists()
    memory.keep(lambda: STATE, 62.0, at_once=True)
    assert memory.load() == STATE


def test_it_is_kept_soon_after_an_alert_changed(tmp_path: Path) -> None:
    """So that whoever is killed and started again tells nothing twice; but never more often than each five seconds."""
    saved: list[float] = []
    memory = Memory(str(tmp_path / "state.json"))

    def keep(now: float, *, changed: bool = False) -> None:
        def state() -> AlertState:
            saved.append(now)
            return STATE

        memory.keep(state, now, changed=changed)

    keep(0.0)
    keep(2.0, changed=True)
    keep(4.9)
    keep(5.0)
    keep(6.0, changed=True)
    keep(7.0, changed=True)
    keep(10.0)
    keep(69.9)
    keep(70.0)
    assert saved == [5.0, 10.0, 70.0]


def test_a_disk_that_stays_full_is_tried_once_a_minute(tmp_path: Path) -> None:
    """However often alerts change meanwhile, and each time it is told."""
    memory = Memory(str(tmp_path / "nowhere/state.json"))
    told = [now for now in range(200) if memory.keep(lambda: STATE, float(now), changed=True)]
    assert told == [5, 65, 125, 185]


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """As a notice: watching goes on."""
    memory = Memory(str(tmp_path / "nowhere/state.json"))
    (notice,) = memory.keep(lambda: STATE, 0.0, at_once=True)
    assert "cannot write" in notice.text


def test_without_a_file_nothing_is_kept() -> None:
    """And nothing is asked."""
    memory = Memory(None)
    assert memory.load() is None
    assert memory.keep(lambda: pytest.fail("asked"), 1e9, at_once=True) == []


def test_a_boot_has_a_name() -> None:
    """The same all the time."""
    assert boot_id() == boot_id() != ""


@given(st.binary(max_size=200))
def test_no_content_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """It is a state or it is refused."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        assert isinstance(load(path), AlertState)
    except StateFileError as error:
        assert str(path) in str(error)  # noqa: PT017  both outcomes are right
