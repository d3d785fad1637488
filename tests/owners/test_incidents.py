"""What logs say of a time that is over, and which of it is near to a surge."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import needs
from whyreset.owners.incidents import incidents
from whyreset.owners.suspects import MOST, suspects
from whyreset.stored import Incident, IncidentKind

BEGIN = 1_700_000_000
SYSTEMD = "_PID=1\n_COMM=systemd\n"
#: Seconds after BEGIN, fields.
ENTRIES: Sequence[tuple[float, str]] = (
    (-400, f"{SYSTEMD}MESSAGE_ID=9d1aaa27d60140bd96365438aad20286\nUNIT=old.service\nMESSAGE=Stopped old.service.\n"),
    (
        -1,
        f"{SYSTEMD}MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15\nUNIT=api.service\n"
        "MESSAGE=api.service: Main process exited, code=killed, status=11/SEGV\n",
    ),
    (-0.5, f"{SYSTEMD}MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c\nUNIT=api.service\nMESSAGE=api.service: Failed.\n"),
    (1, f"{SYSTEMD}MESSAGE_ID=39f53479d3a045ac8e11786248231fbf\nUNIT=apt-daily.service\nMESSAGE=Started apt.\n"),
    (2, "_TRANSPORT=kernel\nMESSAGE=Out of memory: Killed process 911 (hungry) total-vm:1kB\n"),
    (3, "_TRANSPORT=kernel\nMESSAGE=api[912]: segfault at 0 ip 00 sp 00 error 4 in api[1]\n"),
    (4, "_TRANSPORT=kernel\nMESSAGE=usb 1-1: trap of another kind\n"),
    (5, "_TRANSPORT=syslog\nMESSAGE=Out of memory: Killed process 911 (hungry)\n"),
    (6, f"{SYSTEMD}MESSAGE_ID=9d1aaa27d60140bd96365438aad20286\nUNIT=home.mount\nMESSAGE=Unmounted /home.\n"),
    (
        7,
        "_PID=912\n_COMM=systemd\nMESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c\nUNIT=made-up.service\nMESSAGE=Failed.\n",
    ),
    (60, f"{SYSTEMD}MESSAGE_ID=39f53479d3a045ac8e11786248231fbf\nUNIT=api.service\nMESSAGE=Started api.service.\n"),
)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal file with these entries."""
    return write_journal(tmp_path_factory.mktemp("journal") / "test.journal", BEGIN, ENTRIES)


def write_journal(path: Path, begin: float, entries: Sequence[tuple[float, str]]) -> Path:
    """Makes a journal file with systemd's own program."""
    needs.command("journalctl")
    remote = Path("/lib/systemd/systemd-journal-remote")
    if not remote.exists():
        pytest.skip("systemd-journal-remote is not installed")
    export = "\n".join(
        f"__REALTIME_TIMESTAMP={int((begin + after) * 1e6)}\n__MONOTONIC_TIMESTAMP={number + 1}\n"
        f"_BOOT_ID=0123456789abcdef0123456789abcdef\n{fields}"
        for number, (after, fields) in enumerate(entries)
    )
    subprocess.run(
        [str(remote), f"--output={path}", "-"], input=f"{export}\n", text=True, check=True, capture_output=True
    )
    return path


def test_crashes_kills_and_units_are_told(journal: Path) -> None:
    """Of units that may listen, by systemd's and the kernel's own words; of that time only, in their order."""
    found, missing = incidents(BEGIN - 300, BEGIN + 120, journal=str(journal), boot_ns=0)
    assert missing is None
    assert [(each.kind, each.unit) for each in found] == [
        ("crash", "api.service"),
        ("failed", "api.service"),
        ("started", "apt-daily.service"),
        ("out-of-memory", ""),
        ("crash", ""),
        ("started", "api.service"),
    ]
    assert found[0].time_ns == (BEGIN - 1) * 1_000_000_000
    assert found[0].text == "api.service: Main process exited, code=killed, status=11/SEGV"


def test_a_folder_of_journals_is_read_too(journal: Path) -> None:
    """As journalctl does."""
    found, _ = incidents(BEGIN - 300, BEGIN + 120, journal=str(journal.parent), boot_ns=0)
    assert len(found) == 6


def test_a_journal_that_tells_nothing_of_that_time_is_said(journal: Path) -> None:
    """That is not the same as a quiet time."""
    found, missing = incidents(BEGIN + 1000, BEGIN + 2000, journal=str(journal), boot_ns=0)
    assert not found
    assert missing is not None
    assert "the journal holds nothing of that time" in missing.why
    assert incidents(BEGIN, BEGIN + 1, journal="/none", boot_ns=0)[1] is not None


def incident(at: float, kind: IncidentKind, unit: str = "api.service") -> Incident:
    """One, so many seconds after a surge began."""
    return Incident(time_ns=round((BEGIN + at) * 1e9), log="journal", kind=kind, unit=unit, text="")


def near(*those: Incident, seconds: float = 60, step: int = 1) -> list[tuple[str, str, float]]:
    """Which of them are near to a surge of that length."""
    found = suspects(those, BEGIN, BEGIN + seconds, step=step)
    return [(each.incident.kind, each.near, round(each.offset, 1)) for each in found]


def test_what_crashed_before_and_came_back_at_the_end_is_told_so() -> None:
    """In the order of time."""
    assert near(incident(61, "started"), incident(-2, "crash")) == [("crash", "begin", -2), ("started", "end", 1)]


def test_what_only_started_explains_nothing() -> None:
    """Timers start units all the time."""
    assert not near(incident(-1, "started", "apt-daily.service"))


def test_what_is_long_before_or_after_is_left_out() -> None:
    """Two minutes before, half a minute after; with a coarse step that much more."""
    assert not near(incident(-130, "crash"), incident(95, "crash"))
    assert near(incident(-130, "crash"), step=15) == [("crash", "begin", -130)]


def test_of_many_those_that_say_most_are_kept() -> None:
    """Ends before beginnings, near before far."""
    crowd = [incident(10 + number / 10, "restart", f"{number}.service") for number in range(50)]
    found = near(*crowd, incident(-3, "out-of-memory"))
    assert len(found) == MOST
    assert found[0] == ("out-of-memory", "begin", -3)
