"""The hosts, actors and segments that all live tests rest on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import Actor, Connection, Pair, Segment
from tests.hosts.cases.memory import ORPHANS, limited
from tests.hosts.cases.model import machine_lock
from tests.hosts.hosts import await_true
from tests.hosts.segments import checksum, send

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = """
import os, signal
from tests.hosts import Actor, Pair
pair = Pair()
actor, command = Actor(pair.b, "orphan"), pair.a.start("sleep", "60")
actor.listen(80)
print(actor.pid, command.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
LIMIT_LEFT_BEHIND = """
import os, signal
from tests.hosts.cases.memory import ORPHANS, limited
from tests.hosts.cases.model import machine_lock
with machine_lock(alone=True), limited(ORPHANS, int(ORPHANS.read_text()) - 1):
    print(ORPHANS.read_text(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _killed(script: str) -> str:
    """Run a script that kills itself; its output."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    return done.stdout


def test_nothing_outlives_a_killed_test(machine: None) -> None:
    """kill -9 of the test's process ends its actors and commands, the last that held the namespaces."""
    for pid in map(int, _killed(LEFT_BEHIND).split()):
        await_true(lambda pid=pid: not _alive(pid), f"the end of process {pid}")  # type: ignore[misc]


def test_limit_of_the_machine_is_put_back_after_a_kill(machine: None) -> None:
    """kill -9 in the middle of the one case that changes a setting of the whole machine leaves it as it was."""
    before = ORPHANS.read_text()
    assert int(_killed(LIMIT_LEFT_BEHIND)) == int(before) - 1
    await_true(lambda: ORPHANS.read_text() == before, "the limit of before")


def test_limit_of_the_machine_is_held_by_a_shell_alone(
    machine: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the shell is the only command, as in a small guest, the limit is put back at the end and no sooner."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    before = ORPHANS.read_text()
    with machine_lock(alone=True), limited(ORPHANS, int(before) - 1):
        assert int(ORPHANS.read_text()) == int(before) - 1
    assert ORPHANS.read_text() == before
    assert capfd.readouterr().err == ""


def test_hosts_differ_from_each_other_and_from_home(pair: Pair) -> None:
    """Each host is a namespace of its own, and the test stays in the machine's."""
    home = os.stat("/proc/thread-self/ns/net").st_ino
    assert len({home, pair.a.inode, pair.b.inode}) == 3
    assert pair.a.cookie != pair.b.cookie


def test_settings_and_counters_are_the_hosts_own(pair: Pair) -> None:
    """A setting and a counter of one host leave the other alone."""
    pair.b.sysctl("net.ipv4.tcp_fin_timeout", 7)
    assert [host.run("sysctl", "-n", "net.ipv4.tcp_fin_timeout").out for host in (pair.a, pair.b)] == ["60\n", "7\n"]
    send(pair.a, Segment(pair.address(pair.a, 4), 1, pair.address(pair.b, 4), 9, "S"))
    pair.b.await_counter("OutRsts", 1)
    assert pair.a.counters()["OutRsts"] == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("payload", "options"), [(b"", b""), (b"odd", b"\1\1\1")])
def test_raw_segments_are_well_formed(pair: Pair, version: int, payload: bytes, options: bytes) -> None:
    """The kernel takes raw segments without an error, and answers a SYN for a closed port."""
    source, destination = pair.address(pair.a, version), pair.address(pair.b, version)
    send(pair.a, Segment(source, 1, destination, 9, "S", seq=2**32 + 5, payload=payload, options=options))
    pair.b.await_counter("OutRsts", 1)
    counters = pair.b.counters()
    assert (counters["InErrs"], counters["InCsumErrors"]) == (0, 0)


def test_checksum_is_that_of_rfc_1071() -> None:
    """The example of RFC 1071, section 3, sums up to ddf2."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


@pytest.mark.parametrize("hook", ["input", "output"])
def test_dropping_ends_with_its_block(pair: Pair, hook: str) -> None:
    """What is dropped is neither seen nor answered; afterwards all is as before."""
    host = pair.b if hook == "input" else pair.a
    syn = Segment(pair.address(pair.a, 4), 1, pair.address(pair.b, 4), 9, "S")
    with host.dropping(hook, "tcp dport 9"):  # type: ignore[arg-type]
        try:
            send(pair.a, syn)
        except PermissionError:
            assert hook == "output"  # the kernel tells a sender whose segment it drops
    send(pair.a, syn)
    pair.b.await_counter("OutRsts", 1)
    assert pair.b.counters()["InSegs"] == 1


def test_actor_acts_under_its_own_pid_and_name(pair: Pair) -> None:
    """What an actor opens belongs to a process with the actor's pid and name, inside its host."""
    with Actor(pair.b, "server") as server:
        server.listen(8080)
        assert Path(f"/proc/{server.pid}/comm").read_text() == "server\n"
        assert os.stat(f"/proc/{server.pid}/ns/net").st_ino == pair.b.inode
        assert f"pid={server.pid}," in pair.b.run("ss", "-Htlnp", "sport", "=", ":8080").out


def test_error_of_an_operation_is_raised_here(pair: Pair) -> None:
    """A failed operation raises the same error as in the actor, and the actor goes on."""
    with Actor(pair.a, "client") as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(pair.address(pair.b, 4), 9)
        assert client.listen(80).port == 80


def test_dead_actor_is_told_as_such(pair: Pair) -> None:
    """The exit status is known, and further requests fail."""
    with Actor(pair.b, "crasher") as crasher, Actor(pair.b, "exiter") as exiter:
        assert (crasher.crash(), exiter.exit(3)) == (-signal.SIGSEGV, 3)
        with pytest.raises((ConnectionError, BrokenPipeError)):
            crasher.listen(80)


def test_forked_actor_shares_sockets_and_adopts_others(pair: Pair) -> None:
    """A fork accepts on its parent's listener; a third process goes on with the passed descriptor."""
    with Actor(pair.b, "master") as master, Actor(pair.b, "heir") as heir, Actor(pair.a, "client") as client:
        listener = master.listen(8080)
        with master.fork("worker") as worker:
            connection = client.connect(pair.address(pair.b, 4), 8080)
            accepted = Connection(worker, listener.number).accept()
            inherited = heir.adopt(accepted)
        inherited.send(b"still here")
        assert connection.recv() == b"still here"
        assert len({master.pid, worker.pid, heir.pid}) == 3
