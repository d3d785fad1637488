"""`watch` and `capture` run by root are two processes: what each of them is, and how they end together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.cli.whyreset import COMMAND, is_one_sentence, run
from tests.hosts import Host, Watch
from tests.hosts.hosts import await_true
from tests.kernel_objects import held, held_by_watch, keeper_of, left

NOBODY = "65534"

#: Says what is imported, and which files are opened, after rights were given up.
AUDIT = """
import os, sys
late = []
def see(event, words):
    if os.geteuid() == 0:
        return
    if event == "import":
        late.append(words[0])
    elif event == "open" and isinstance(words[0], str) and not words[0].startswith(("/proc/", "/etc/passwd")):
        late.append(words[0])
sys.addaudithook(see)
from whyreset.cli import main
try:
    main()
finally:
    print("late:", *sorted(set(late)), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def _needs() -> None:
    needs.program()


@pytest.fixture
def host() -> Iterator[Host]:
    """A host of our own."""
    with Host("a") as alone:
        yield alone


def status(pid: int) -> dict[str, str]:
    """What /proc says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_what_reads_and_shows_has_no_rights(machine: None) -> None:
    """Nobody's user and groups, no capability in any set, no new privileges; all rights are the other's."""
    with Watch() as watch:
        worker = status(watch.process.pid)
        keeper = status(keeper_of(watch.process.pid) or 0)
    assert worker["Uid"].split() == [NOBODY] * 4
    assert worker["Groups"] == ""
    assert {int(worker[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert worker["NoNewPrivs"] == keeper["NoNewPrivs"] == "1"
    assert keeper["Uid"].split() == ["0"] * 4


def test_only_the_keeper_holds_programs(machine: None) -> None:
    """The other has maps to read."""
    with Watch() as watch:
        assert held(watch.process.pid)["map"]
        assert not held(watch.process.pid)["prog"]
        assert not held(watch.process.pid)["link"]


@pytest.mark.parametrize("options", [(), ("--packets",), ("--demo",)], ids=["plain", "packets", "demo"])
def test_a_watch_whose_keeper_is_killed_ends_with_a_sentence(machine: None, options: tuple[str, ...]) -> None:
    """At once, and nothing stays in the kernel."""
    argv = [*COMMAND, "watch", "--json", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        keeper = keeper_of(process.pid)
        assert keeper
        ours = held_by_watch(process.pid)
        os.kill(keeper, signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert is_one_sentence(err), err
    assert f"the process with its rights (pid {keeper}) has ended" in err
    await_true(lambda: not left(ours), "the kernel to free what the watch held")


def test_the_user_can_be_chosen(machine: None) -> None:
    """By --user; what is wrong with it is said in a sentence."""
    with Watch("--user", "daemon") as watch:
        assert status(watch.process.pid)["Uid"].split() == ["1"] * 4
    for user, words in {"root": "may not be root", "nosuch": "there is no user"}.items():
        refused = run("watch", "--user", user)
        assert refused.returncode == 1
        assert is_one_sentence(refused.stderr), refused.stderr
        assert words in refused.stderr


def test_only_root_chooses_a_user() -> None:
    """Others are who they are."""
    refused = run("watch", "--user", "daemon", before=["setpriv", "--reuid", NOBODY, "--clear-groups"])
    assert refused.returncode == 1
    assert "only root" in refused.stderr


def test_root_who_may_not_change_its_user_gives_up_the_rest(machine: None) -> None:
    """As in a container without CAP_SETUID: the same user, no capability."""
    argv = ["setpriv", "--bounding-set=-setuid", *COMMAND, "watch", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["tier"] != "counters"
        worker = status(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert worker["Uid"].split() == ["0"] * 4
    assert {int(worker[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert process.returncode == 0


def test_who_believes_a_watch_whose_user_is_nobody(host: Host) -> None:
    """It is asked at a socket that root has opened; others of that user are neither answered nor believed."""
    with host.inside():
        watch = Watch()
        with watch:
            answer = json.loads(run("who", "1", "--json").stdout)
            stranger = json.loads(
                run("who", "1", "--json", before=["setpriv", "--reuid", NOBODY, "--clear-groups"]).stdout
            )
    assert "watched_since" in answer
    assert "watched_since" not in stranger


WORDS = {
    "json": ("--json",),
    "plain": ("--plain", "--demo"),
    "packets": ("--json", "--packets", "--demo"),
    "tier packets": ("--json", "--tier", "packets"),
    "evidence": ("--json", "--evidence", "{tmp}/evidence", "--state", "{tmp}/state.json", "--demo"),
}


@pytest.mark.parametrize("words", WORDS.values(), ids=list(WORDS))
def test_nothing_is_imported_without_rights(machine: None, tmp_path: Path, words: tuple[str, ...]) -> None:
    """The program may be installed where only root reads; so all of it is read before."""
    argv = [sys.executable, "-c", AUDIT, "watch", "--duration", "2", *(each.format(tmp=tmp_path) for each in words)]
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "late:"


def test_a_capture_is_root_s_file_though_nobody_writes_it(machine: None, tmp_path: Path) -> None:
    """In a folder that only root may enter; and its files rotate."""
    os.chmod(tmp_path, 0o700)
    path = tmp_path / "x.pcapng"
    ended = run("capture", "-o", str(path), "--duration", "0.5")
    assert ended.returncode == 0, ended.stderr
    found = path.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)
    assert found.st_size > 100
