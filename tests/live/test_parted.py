"""`watch` and `capture` run by root are two processes: what each of them is, and how they end together."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import needs
from tests.cli.test_missing import as_nobody
from tests.cli.whyreset import COMMAND, is_one_sentence, run
from tests.hosts import Host, Watch
from tests.hosts.hosts import await_true
from tests.kernel_objects import held, held_by_watch, keeper_of, left

NOBODY = "65534"

#: Says what is imported, and which files are opened, after rights were given up.
AUDIT = """
import os, sys
DATA = ("/proc/", "/etc/passwd", "/var/lib/whyreset/")
late = []
def see(event, words):
    if os.geteuid() == 0:
        return
    if event == "import":
        late.append(words[0])
    elif event == "open" and isinstance(words[0], str) and not words[0].startswith(DATA):
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
    refused = run("watch", "--user", "daemon", before=as_nobody())
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
            stranger = json.loads(run("who", "1", "--json", before=as_nobody()).stdout)
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


def test_a_capture_imports_nothing_without_rights(host: Host, tmp_path: Path) -> None:
    """Also not to say what many resets mean."""
    argv = [sys.executable, "-c", AUDIT, "capture", "-o", str(tmp_path / "x.pcapng"), "--duration", "3"]
    with host.inside():
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    with process:
        while process.poll() is None:
            for port in range(1, 5):
                with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                    probe.connect_ex(("127.0.0.1", port))
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert said.splitlines()[-1] == "late:"


def test_an_agents_history_is_its_unprivileged_half_s(machine: None) -> None:
    """Which keeps it in a folder of its own; root reads it."""
    with TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        store = Path(place, "home", "history.db")
        argv = [*COMMAND, "agent", "--json", "--store", str(store)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            assert status(process.pid)["Uid"].split() == [NOBODY] * 4
            assert keeper_of(process.pid)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        assert {each.stat().st_uid for each in (store.parent, *store.parent.iterdir())} == {int(NOBODY)}
        assert {each.name for each in store.parent.iterdir()} >= {"history.db", "alerts.json"}
        assert run("history", "--store", str(store)).returncode == 0


def test_an_agent_that_cannot_come_to_its_history_says_so(machine: None, tmp_path: Path) -> None:
    """What is in the way, and what to do."""
    os.chmod(tmp_path, 0o700)
    (tmp_path / "precious").touch()
    refused = run("agent", "--store", str(tmp_path / "history.db"))
    assert refused.returncode == 1
    assert is_one_sentence(refused.stderr), refused.stderr
    assert "may not write to" in refused.stderr
    assert tmp_path.stat().st_uid == 0


def test_a_capture_is_root_s_file_though_nobody_writes_it(machine: None, tmp_path: Path) -> None:
    """In a folder that only root may enter; and its files rotate."""
    os.chmod(tmp_path, 0o700)
    path = tmp_path / "x.pcapng"
    ended = run("capture", "-o", str(path), "--duration", "0.5")
    assert ended.returncode == 0, ended.stderr
    found = path.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)
    assert found.st_size > 100
