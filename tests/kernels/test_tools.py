"""The tools that boot other kernels: the archive that they start with, and the table of what came of it."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.hosts.cases import CASES
from tools.kernels import __main__ as command
from tools.kernels import image, results
from tools.kernels.image import Entries, archive
from tools.kernels.packages import Kernel


def unpacked(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Modes and contents by name, as the kernel reads them (Documentation/driver-api/early-userspace/buffer-format)."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_bytes = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_bytes - 1].decode()
        start = (at + 110 + name_bytes + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        assert name not in found
        found[name] = (mode, data[start : start + size])
        at = (start + size + 3) // 4 * 4


def test_archive_holds_files_links_and_the_folders_above_them(tmp_path: Path) -> None:
    """Each once, folders before what is in them, programs executable."""
    (tmp_path / "tool").write_bytes(b"\x7fELF")
    entries: Entries = {
        "/usr/bin/tool": tmp_path / "tool",
        "/init": b"#!x",
        "/bin": "usr/bin",
        "/tmp": None,
        "/dev/console": (5, 1),
    }
    found = unpacked(b"".join(archive(entries)))
    assert list(found) == ["bin", "dev", "dev/console", "init", "tmp", "usr", "usr/bin", "usr/bin/tool"]
    assert stat.S_ISLNK(found["bin"][0])
    assert stat.S_ISCHR(found["dev/console"][0])
    assert found["bin"][1] == b"usr/bin"
    assert found["usr/bin/tool"] == (stat.S_IFREG | 0o755, b"\x7fELF")
    assert all(stat.S_ISDIR(found[name][0]) for name in ("tmp", "usr", "usr/bin"))


LOST = {"source": "kernel", "why": "this kernel gives none", "lost": "certainty"}
START = {"release": "6.1.0-1-amd64", "tier": "functions", "missing": [LOST, {"source": "x", "why": "y", "lost": "z"}]}
RIGHT = {"case": "01", "version": 4, "outcome": "right", "told": ["closed-port (certain)"], "words": [], "unseen": 0}
UNSEEN = {"case": "04a", "version": 4, "outcome": "right", "told": [], "words": [], "unseen": 1}
SILENT = {"case": "04d", "version": 4, "outcome": "right", "told": [], "words": [], "unseen": 0}
SKIPPED = {"case": "14a", "version": 4, "outcome": "skipped", "words": ["nft"]}
WRONG = {"case": "02", "version": 6, "outcome": "wrong", "told": ["x"], "words": ["y"], "unseen": 0}


def test_results_survive_a_machine_that_was_stopped(tmp_path: Path) -> None:
    """A line that was cut is left out; a case that was run again counts as it came out last."""
    path = tmp_path / "results"
    path.write_text("\n".join(map(json.dumps, (START, WRONG, RIGHT, {**WRONG, "outcome": "right"}))) + '\n{"case": "0')
    run = results.gather(results.read(path))
    assert run is not None
    assert run.wrong() == []
    assert set(run.cases) == {("01", 4), ("02", 6)}
    assert results.gather(results.read(tmp_path / "nothing")) is None


def test_table_says_what_each_case_was_told_as(tmp_path: Path) -> None:
    """Also silence, what is not seen, what the machine lacks, and what went wrong."""
    run = results.gather([START, RIGHT, UNSEEN, SILENT, SKIPPED, WRONG])
    assert run is not None
    page = tmp_path / "page.md"
    page.write_text(f"before\n{results.BEGIN}what was there\n{results.END}after\n")
    results.write(page, [run])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "what was there" not in text
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[-1].strip("| ") for line in text.splitlines()}
    assert {case.id for case in CASES} <= rows.keys()
    assert rows["01"] == "closed-port (certain)"
    assert rows["04a"] == "1 unseen"
    assert rows["04d"] == "nothing"
    assert rows["14a"] == "skipped: no nft"
    assert rows["02"] == "**wrong**"
    assert rows["03a"] == "not run"
    assert "| 6.1.0-1-amd64 | functions | certainty | this kernel gives none |" in text


def test_a_tier_that_was_asked_for_is_said_to_be() -> None:
    """A kernel's second run says nothing of what that kernel lacks."""
    runs = [results.gather([{**START, "tier": tier}]) for tier in ("functions", "drops")]
    best, asked = results.kernels([run for run in runs if run]).splitlines()[2:]
    assert best.endswith("this kernel gives none |")
    assert asked.endswith("it was asked for, and stands for kernels that have no more |")


def test_table_has_no_column_for_a_kernel_on_which_nothing_can_be_told() -> None:
    """What it lacks is said in a table of its own."""
    run = results.gather([{**START, "tier": "counters"}])
    assert run is not None
    assert "counters" in results.kernels([run])
    assert "counters" not in results.table([run])


def test_what_was_told_already_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was cut goes on where it was; what was wrong is tried again."""
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "digest", lambda: "digest")
    monkeypatch.setattr(image, "build", lambda *_: None)
    asked: list[str] = []

    def boot(kernel: Kernel, archive: Path, log: Path, told: Path, *, words: str, seconds: float) -> bool:
        asked.append(words)
        told.write_text("\n".join(map(json.dumps, (START, RIGHT, WRONG))) + "\n")
        return True

    monkeypatch.setattr(command, "boot", boot)
    kernel = Kernel("6.1.0-1-amd64", tmp_path)
    for _ in range(2):
        run = command.run(kernel, "", ["01-v4", "02-v6"])
        assert run is not None
        assert len(run.wrong()) == 1
    assert ["CASES=01-v4,02-v6" in asked[0], "CASES=02-v6" in asked[1]] == [True, True]


def test_digest_changes_with_what_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of other sources are not taken for these."""
    monkeypatch.setattr(command, "ROOT", tmp_path)
    (tmp_path / "src/whyreset").mkdir(parents=True)
    (tmp_path / "src/whyreset/a.py").write_text("1")
    first = command.digest()
    os.utime(tmp_path / "src/whyreset/a.py", (1, 1))
    assert command.digest() == first
    (tmp_path / "src/whyreset/a.py").write_text("2")
    assert command.digest() != first
