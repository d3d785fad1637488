"""The table of processes against the kernel: real processes, threads, namespaces and control groups."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts.groups import Groups
from tests.hosts.pids import process_with_pid
from tests.owners.trees import Start, wait_for
from whyreset.model import Process, ProcessEnd
from whyreset.owners.processes import REFRESH_NS, Processes
from whyreset.owners.procfs import TICK_NS
from whyreset.words import describe_exit, name

ID = "4f3c" * 16
UID = "2c48913c-b29f-11e7-9350-020968147796"
#: The system call that ends one thread, by machine.
EXIT = {"x86_64": 60, "aarch64": 93}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_numbers = pytest.mark.skipif(platform.machine() not in EXIT, reason="system calls' numbers are not known here")


@pytest.fixture
def table(tmp_path: Path) -> Processes:
    """An empty table over the kernel's /proc and a made-up host."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:\napp:x:61234:1::/:\n")
    return Processes(host=str(tmp_path))


def comm_of(pid: int) -> str:
    """The name that the kernel shows."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def known(table: Processes, pid: int) -> Process:
    """The process that has the pid now."""
    found = table.get((pid, 0))
    assert found
    return found


def test_a_child_is_known_in_full(table: Processes, start: Start) -> None:
    """Path, command line, parent, namespace and start are those that the kernel has."""
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    child = start("sleep", "600")
    found = known(table, child.pid)
    assert found.comm == "sleep"
    assert found.exe == os.path.realpath(shutil.which("sleep") or "")
    assert found.command == ("sleep", "600")
    assert found.parent_pid == os.getpid()
    assert found.uid == os.geteuid()
    assert found.netns == Path("/proc/self/ns/net").stat().st_ino
    assert before_ns - TICK_NS <= found.start_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert name(found) == f"sleep[{child.pid}]"
    assert table.alive((child.pid, found.start_ns))
    assert table.get((child.pid, found.start_ns - 10 * TICK_NS)) is None
    assert not table.alive((child.pid, found.start_ns - 10 * TICK_NS))


def test_exec_under_one_pid_is_followed(table: Processes, start: Start) -> None:
    """A shell that becomes another program keeps pid and start; the next look shows what it became."""
    child = start("bash", "-c", "read; exec sleep 600")
    shell = known(table, child.pid)
    key = (child.pid, shell.start_ns)
    assert (shell.comm, table.refresh(key, 0)) == ("bash", shell)
    assert child.stdin
    child.stdin.write(b"\n")
    child.stdin.flush()
    wait_for(lambda: comm_of(child.pid) == "sleep")
    wait_for(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes())
    assert table.refresh(key, REFRESH_NS - 1) == shell
    program = table.refresh(key, REFRESH_NS)
    assert program
    assert (program.comm, program.command, program.start_ns) == ("sleep", ("sleep", "600"), shell.start_ns)
    assert program.exe.endswith("/sleep")


def test_a_killed_child_is_dead_before_it_is_reaped(table: Processes, start: Start) -> None:
    """A zombie does not live, is still known by all it was, and its end can be told."""
    child = start("sleep", "600")
    found = known(table, child.pid)
    key = (child.pid, found.start_ns)
    os.kill(child.pid, signal.SIGKILL)
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not table.alive(key)
    assert table.refresh(key, 0) == found
    _, status = os.waitpid(child.pid, 0)
    child.returncode = -signal.SIGKILL  # it was reaped here, for the status as the kernel gives it
    table.ended(ProcessEnd(pid=key[0], start_ns=key[1], exit_code=status, out_of_memory=False, time_ns=1))
    ended = table.get(key)
    assert ended
    assert (ended.command, describe_exit(ended)) == (("sleep", "600"), "killed by SIGKILL")


@pytest.mark.parametrize(
    ("script", "words"),
    [("exit 0", "exited normally"), ("exit 3", "exited with status 3"), ("kill -SEGV $$", "killed by SIGSEGV")],
)
def test_an_end_is_told_as_wait_gives_it(start: Start, script: str, words: str) -> None:
    """The kernel's own exit codes come out in words, also where a core was dumped."""
    child = start("bash", "-c", f"ulimit -c 0; read; {script}")
    assert child.stdin
    child.stdin.close()
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0
    assert describe_exit(Process(pid=child.pid, exit_code=status)) == words


@needs_root
def test_a_pid_that_is_given_again_is_another_process(table: Processes, start: Start, cleanup: ExitStack) -> None:
    """Two real processes with one pid, one after the other, are two: neither has anything of the other."""
    first = start("sleep", "600")
    old = known(table, first.pid)
    first.kill()
    first.wait()
    end_tick = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK_NS
    wait_for(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK_NS > end_tick)
    try:
        cleanup.enter_context(process_with_pid(first.pid))
    except OSError as error:
        pytest.skip(f"the pid cannot be chosen here: {error}")
    new = known(table, first.pid)
    assert new.start_ns > old.start_ns
    assert new.command != old.command
    assert table.get((first.pid, old.start_ns)) == old
    assert table.refresh((first.pid, old.start_ns), 0) == old
    assert not table.alive((first.pid, old.start_ns))
    assert table.alive((first.pid, new.start_ns))
    # asked for by a table that never saw it, the first is not there
    assert Processes().get((first.pid, old.start_ns)) is None


@needs_numbers
def test_a_leader_that_ended_before_its_threads_is_alive(table: Processes, start: Start) -> None:
    """While one thread runs, the process does, though its leader is a zombie; what it was is kept."""
    number = EXIT[platform.machine()]
    child = start(
        sys.executable,
        "-c",
        "import ctypes, sys, threading\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        f"ctypes.CDLL(None).syscall({number}, 0)",
    )
    found = known(table, child.pid)
    wait_for(lambda: ") Z " in Path(f"/proc/{child.pid}/stat").read_text())
    assert table.alive((child.pid, found.start_ns))
    again = table.refresh((child.pid, found.start_ns), 0)
    assert again
    assert (again.exe, again.command) == (found.exe, found.command)


def test_a_program_may_be_replaced_while_it_runs(table: Processes, start: Start, tmp_path: Path) -> None:
    """The path of a program whose file was deleted is the path that it had."""
    program = tmp_path / "server"
    shutil.copy2(shutil.which("sleep") or "", program)
    child = start(str(program), "600")
    program.unlink()
    assert known(table, child.pid).exe == str(program)


@needs_root
def test_the_user_is_the_effective_one(table: Processes, start: Start) -> None:
    """A process that runs as another user has that user's number and name."""
    found = known(table, start("sleep", "600", user=61234).pid)
    assert (found.uid, found.user) == (61234, "app")


@needs_root
def test_a_process_in_other_namespaces_is_known_from_outside(table: Processes, start: Start) -> None:
    """A process that is pid 1 of its own namespace, with a network of its own, is found by the host's pid."""
    outer = start("unshare", "--pid", "--net", "--fork", "--kill-child", "sleep", "600")
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    wait_for(lambda: children.read_text().strip() and comm_of(int(children.read_text())) == "sleep")
    inner = known(table, int(children.read_text()))
    assert inner.comm == "sleep"
    assert inner.netns not in (0, Path("/proc/self/ns/net").stat().st_ino)


def test_kernel_threads_are_known_by_name(table: Processes) -> None:
    """A kernel thread has a name, no path and no arguments, and lives."""
    try:
        is_kernel = comm_of(2) == "kthreadd"
    except OSError:
        is_kernel = False
    if not is_kernel:
        pytest.skip("kernel threads cannot be seen from this pid namespace")
    found = known(table, 2)
    assert (found.comm, found.exe, found.command) == ("kthreadd", "", ())
    assert table.alive((2, found.start_ns))


def test_processes_that_come_and_go_are_read_without_error(table: Processes) -> None:
    """Children read in every moment of their short lives are the child, before or after its exec, or nobody."""
    for _ in range(100):
        keys = set()
        with subprocess.Popen(["true"]) as child:
            while child.poll() is None:
                if found := table.get((child.pid, 0)):
                    table.refresh((child.pid, found.start_ns), time.monotonic_ns())
                    keys.add((found.pid, found.start_ns))
        assert len(keys) <= 1
        assert not any(table.alive(key) for key in keys)


# ---- control groups in the kernel ----


@needs_root
@pytest.mark.parametrize(
    ("path", "unit", "container", "pod"),
    [
        ("system.slice/nginx.service", "nginx.service", "", ""),
        (r"system.slice/system-x.slice/x@a\x2db.service/worker", r"x@a\x2db.service", "", ""),
        ("user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo.service", "", ""),
        (f"system.slice/docker-{ID}.scope", "", ID, ""),
        (f"machine.slice/libpod-{ID}.scope/container", "", ID, ""),
        (
            "kubepods.slice/kubepods-burstable.slice/"
            f"kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
            "",
            ID,
            UID,
        ),
        ("lxc.payload.web/system.slice/nginx.service", "nginx.service", "web", ""),
    ],
)
def test_a_process_in_a_group_of_v2(
    table: Processes, start: Start, v2: Groups, path: str, unit: str, container: str, pod: str
) -> None:
    """A real process in a real tree like systemd's, Docker's, podman's, Kubernetes' or LXC's is placed by it."""
    child = start("sleep", "600")
    whole = v2.enter(child.pid, path)
    found = known(table, child.pid)
    assert (found.cgroup, found.unit, found.container, found.pod) == (whole, unit, container, pod)


@needs_root
@pytest.mark.parametrize(
    ("path", "container", "pod"), [(f"docker/{ID}", ID, ""), (f"kubepods/burstable/pod{UID}/{ID}", ID, UID)]
)
def test_a_process_in_a_group_of_v1(
    table: Processes, start: Start, v1: Groups, path: str, container: str, pod: str
) -> None:
    """The cgroupfs driver's trees in v1's controllers are understood too."""
    child = start("sleep", "600")
    whole = v1.enter(child.pid, path)
    found = known(table, child.pid)
    assert (found.cgroup, found.container, found.pod) == (whole, container, pod)


@needs_root
def test_a_process_in_groups_of_both(table: Processes, start: Start, v1: Groups, v2: Groups, tmp_path: Path) -> None:
    """On a hybrid host the container of one hierarchy wins over its daemon's unit in the other, and has its name."""
    state = tmp_path / f"var/lib/docker/containers/{ID}/config.v2.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"Name": "/web"}))
    child = start("sleep", "600")
    v2.enter(child.pid, "system.slice/containerd.service")
    before = known(table, child.pid)
    assert before.unit == "containerd.service"
    whole = v1.enter(child.pid, f"docker/{ID}")
    after = table.refresh((child.pid, before.start_ns), 0)
    assert after
    assert (after.cgroup, after.container, after.container_name) == (whole, ID, "web")


@needs_root
def test_a_dead_process_keeps_its_group(table: Processes, start: Start, v1: Groups) -> None:
    """v1 shows a zombie in the root group; the container that it died in stays known."""
    child = start("sleep", "600")
    v1.enter(child.pid, f"docker/{ID}")
    found = known(table, child.pid)
    child.kill()
    assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    again = table.refresh((child.pid, found.start_ns), 0)
    assert again
    assert again.container == ID
