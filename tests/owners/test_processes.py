"""The table of processes, against a made-up /proc: what it holds, completes, keeps apart and forgets."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.owners.told import ID, LATER, START, end, told
from tests.owners.trees import FakeProc
from whyreset.model import Process
from whyreset.owners.processes import CONTAINER_NAMES_MAX, REFRESH_NS, Processes
from whyreset.owners.procfs import TICK_NS

# ---- what is known of one ----


def test_a_living_process_is_completed_from_proc(table: Processes, fake_proc: FakeProc) -> None:
    """The kernel tells a beginning; the path, the whole command line, the user, the unit come from /proc."""
    fake_proc.add(911, parent=5)
    table.seen(told())
    assert table.get((911, START)) == Process(
        pid=911,
        start_ns=START,
        comm="nginx",
        exe="/usr/sbin/nginx",
        command=("nginx", "-g", "daemon off;"),
        uid=os.getuid(),
        user="root" if os.getuid() == 0 else "me",
        unit="nginx.service",
        cgroup="/system.slice/nginx.service",
        netns=7,
        parent_pid=5,
    )


def test_a_dead_process_is_what_the_kernel_told(table: Processes) -> None:
    """Of a process that was gone before anyone looked, everything told is kept, and the names that follow from it."""
    table.seen(told(cgroup="system.slice/web.service", parent_pid=5))
    assert table.get((911, START)) == told(
        cgroup="system.slice/web.service", parent_pid=5, unit="web.service", user="www"
    )
    assert not table.alive((911, START))


def test_a_process_never_told_of_is_read_from_proc(table: Processes, fake_proc: FakeProc) -> None:
    """A process that is asked for first is looked up, with its namespace; one that is not there is not made up."""
    fake_proc.add(911)
    found = table.get((911, START))
    assert found
    assert (found.comm, found.start_ns, found.netns) == ("nginx", START, 4026531840)
    assert table.get((912, START)) is None
    assert len(table) == 1


def test_start_0_is_whoever_has_the_pid_now(table: Processes, fake_proc: FakeProc) -> None:
    """Without a start the present process answers, with its start; the next to get that pid is another one."""
    assert table.get((911, 0)) is None
    fake_proc.add(911)
    first = table.get((911, 0))
    assert first
    assert first.start_ns == 1000 * TICK_NS
    assert table.alive((911, 0))
    fake_proc.add(911, tick=5000, comm=b"other")
    second = table.get((911, 0))
    assert second
    assert (second.comm, second.start_ns) == ("other", 5000 * TICK_NS)
    assert table.get((911, START)) == table.get((911, first.start_ns)) != second


def test_an_exact_start_and_a_tick_are_one_process(table: Processes, fake_proc: FakeProc) -> None:
    """/proc knows starts to the tick, the kernel to the nanosecond: both find one entry, which keeps the exact one."""
    fake_proc.add(911)
    assert table.get((911, 0))
    found = table.get((911, START))
    assert found
    assert found.start_ns == START
    assert table.get((911, 1000 * TICK_NS)) == found
    assert len(table) == 1
    for first, then in ((0, START), (START, 1000 * TICK_NS)):
        fake_proc.add(912)
        assert table.get((912, first))
        table.seen(told(912, then))
        assert table.get((912, 1000 * TICK_NS)).start_ns == START  # type: ignore[union-attr]


def test_a_reused_pid_never_lies(table: Processes, fake_proc: FakeProc) -> None:
    """When a pid has come to another process, the first stays who it was, and nothing of the second is mixed in."""
    table.seen(told(unit=""))
    fake_proc.add(911, tick=5000, comm=b"other", exe="/usr/bin/other", command=b"other\0")
    first, second = table.refresh((911, START), 10 * REFRESH_NS), table.get((911, LATER))
    assert first == told(user="www")
    assert second
    assert (second.comm, second.exe) == ("other", "/usr/bin/other")
    assert not table.alive((911, START))
    assert table.alive((911, LATER))
    table.ended(end(code=9))
    assert table.get((911, LATER)) == second


def test_exec_makes_it_another_program(table: Processes, fake_proc: FakeProc) -> None:
    """A shell that execs another program keeps pid and start; name, path and arguments become the new program's."""
    table.seen(told(comm="bash", exe="bash", command=("bash", "run.sh")))
    table.seen(told(comm="sleep", exe="sleep", command=()))
    found = table.get((911, START))
    assert found
    assert (found.comm, found.exe, found.command) == ("sleep", "sleep", ())
    assert len(table) == 1


def test_a_dying_child_is_what_its_parent_is(table: Processes) -> None:
    """Its memory is gone when it is told of; by fork alone it ran its parent's program, if it is called so too."""
    table.seen(told(comm="gunicorn", exe="python3", command=("python3", "app.py")))
    child: dict[str, Any] = {"comm": "gunicorn", "exe": "", "command": (), "parent_pid": 911, "parent_start_ns": START}
    table.seen(told(pid=912, **child))
    table.seen(told(pid=913, **child | {"parent_start_ns": 0}))
    table.seen(told(pid=914, **child | {"parent_start_ns": LATER}))
    table.seen(told(pid=915, **child | {"comm": "another"}))
    commands = [found.command for pid in range(912, 916) if (found := table.get((pid, START)))]
    assert commands == [("python3", "app.py"), (), (), ()]


def test_what_was_read_in_full_is_not_cut_by_what_is_told_later(table: Processes, fake_proc: FakeProc) -> None:
    """The kernel tells ends and beginnings; once the whole is known, being told of the same again loses none of it."""
    fake_proc.add(911, cgroup=f"5:memory:/docker/{ID}\n0::/system.slice/containerd.service\n".encode())
    table.seen(told())
    whole = table.get((911, START))
    fake_proc.remove(911)
    table.seen(told(uid=None, netns=0, cgroup=f"docker/{ID}"))
    assert table.get((911, START)) == whole
    table.seen(Process(pid=911, start_ns=START, comm="nginx"))
    assert table.get((911, START)) == whole
    # of two hierarchies the kernel tells one, and not the one that names the container
    table.seen(told(uid=None, cgroup="system.slice/containerd.service"))
    found = table.get((911, START))
    assert found
    assert found.container == ID
    # it was moved
    table.seen(told(cgroup=f"system.slice/docker-{'0a1b' * 16}.scope"))
    found = table.get((911, START))
    assert found
    assert found.container == "0a1b" * 16


def test_the_end_is_noted_and_stays(table: Processes, fake_proc: FakeProc) -> None:
    """An ended process keeps all that was known of it and how it ended, whatever is told or asked afterwards."""
    fake_proc.add(911)
    table.seen(told())
    table.ended(end(code=9, out_of_memory=True))
    found = table.get((911, START))
    assert found
    assert (found.exe, found.exit_code, found.out_of_memory, found.ended_ns) == ("/usr/sbin/nginx", 9, True, 9_000)
    assert not table.alive((911, START))  # though /proc may show it until it is reaped
    assert table.refresh((911, START), 10 * REFRESH_NS) == found
    fake_proc.add(911, comm=b"going")
    table.seen(told())
    found = table.get((911, START))
    assert found
    assert (found.comm, found.exit_code) == ("nginx", 9)


@pytest.mark.parametrize("ask", [lambda t: t.seen(told()), lambda t: t.get((911, START))], ids=["told", "asked"])
def test_an_end_may_come_before_the_process(table: Processes, ask: Callable[[Processes], object]) -> None:
    """A process that closes its first socket while it exits is told of after its end."""
    table.ended(end(code=3 << 8))
    ask(table)
    found = table.get((911, START))
    assert found
    assert found.exit_code == 3 << 8
    assert not table.alive((911, START))


def test_a_living_process_is_read_again_once_a_second(table: Processes, fake_proc: FakeProc) -> None:
    """`refresh` shows what exec changed, but looks at most once a second; `get` does not look again."""
    fake_proc.add(911)
    seen: list[str] = []
    for now_ns, comm in ((0, b"a"), (REFRESH_NS - 1, b"b"), (REFRESH_NS, b"c"), (REFRESH_NS + 1, b"d")):
        if not seen:
            assert table.get((911, START))
        fake_proc.add(911, comm=comm)
        found = table.refresh((911, START), now_ns)
        assert found == table.get((911, START))
        seen.append(found.comm if found else "")
    assert seen == ["a", "a", "c", "c"]


def test_refresh_knows_what_it_never_saw(table: Processes, fake_proc: FakeProc) -> None:
    """To refresh an unknown process is to get it."""
    assert table.refresh((911, START), 0) is None
    fake_proc.add(911)
    assert table.refresh((911, START), 0)


# ---- /proc's odd cases ----


@pytest.mark.parametrize("missing", ["cmdline", "exe", "cgroup", "ns/net"])
def test_a_process_may_vanish_in_the_middle(table: Processes, fake_proc: FakeProc, missing: str) -> None:
    """What cannot be read any more is what was told, and the rest is read."""
    (fake_proc.add(911, comm=b"read") / missing).unlink()
    table.seen(told(netns=0, cgroup="system.slice/told.service"))
    found = table.get((911, START))
    assert found
    assert found.comm == "read"
    as_told = {
        "cmdline": found.command == ("nginx", "-g"),
        "exe": found.exe == "nginx",
        "cgroup": found.unit == "told.service",
        "ns/net": found.netns == 0,
    }
    del as_told["cmdline" if missing == "exe" else "exe"]  # without a path there may be no memory to read from
    assert [file for file, true in as_told.items() if true] == ([missing] if missing in as_told else [])


def test_a_kernel_thread_has_no_program(table: Processes, fake_proc: FakeProc) -> None:
    """No path, no arguments, the root group: it is known by its name."""
    fake_proc.add(911, comm=b"kworker/0:1-events", exe=None, command=b"", cgroup=b"0::/\n")
    found = table.get((911, START))
    assert found
    assert (found.comm, found.exe, found.command, found.unit) == ("kworker/0:1-events", "", (), "")


def test_an_empty_command_line_is_believed_of_another_program_only(table: Processes, fake_proc: FakeProc) -> None:
    """Within exec a command line reads as empty: what was told of that program stays, what was another's does not."""
    fake_proc.add(911, command=b"")
    table.seen(told())
    assert table.get((911, START)).command == ("nginx", "-g")  # type: ignore[union-attr]
    fake_proc.add(911, command=b"\0\0", exe="/usr/bin/other")
    assert table.refresh((911, START), 0).command == ()  # type: ignore[union-attr]


def test_a_zombie_is_dead_and_keeps_what_was_known(table: Processes, fake_proc: FakeProc) -> None:
    """A zombie has lost its program and its groups, which says nothing of what it was; it does not run."""
    fake_proc.add(911)
    table.seen(told())
    before = table.get((911, START))
    fake_proc.add(911, state="Z", exe=None, command=b"", cgroup=b"5:pids:/\n0::/\n")
    assert not table.alive((911, START))
    assert table.refresh((911, START), REFRESH_NS) == before


def test_a_leader_may_end_before_its_threads(table: Processes, fake_proc: FakeProc) -> None:
    """A zombie leader with living threads is a living process."""
    fake_proc.add(911, state="Z", threads=3)
    assert table.alive((911, START))


def test_an_exiting_process_has_left_its_groups(table: Processes, fake_proc: FakeProc) -> None:
    """Between its exit and its death v1's groups read as the root: the unit that was told stays."""
    fake_proc.add(911, flags=0x4, cgroup=b"1:name=systemd:/\n")
    table.seen(told(cgroup="system.slice/nginx.service"))
    found = table.get((911, START))
    assert found
    assert found.unit == "nginx.service"


@pytest.mark.parametrize("comm", [b") S 1 (", b"a b", b"(", b"\xff\xfe", b"x\\n\\\\y", b""])
def test_any_name_is_read_from_stat(table: Processes, fake_proc: FakeProc, comm: bytes) -> None:
    """A process that calls itself like the fields that follow is still found by its true start, under its own name."""
    fake_proc.add(911, comm=comm)
    found = table.get((911, START))
    assert found
    assert found.comm == comm.replace(b"\\n", b"\n").replace(b"\\\\", b"\\").decode("utf-8", "backslashreplace")
    assert found.parent_pid == 1


def test_a_deleted_program_keeps_its_path(table: Processes, fake_proc: FakeProc) -> None:
    """After an upgrade the old program still runs; the path is that of the file it was."""
    fake_proc.add(911, exe="/usr/sbin/nginx (deleted)")
    found = table.get((911, START))
    assert found
    assert found.exe == "/usr/sbin/nginx"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE])
def test_what_cannot_be_told_changes_nothing(
    table: Processes, fake_proc: FakeProc, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """With /proc hidden or descriptors used up, what is known stays, and the living are not said to be dead."""
    fake_proc.add(911)
    table.seen(told())
    before = table.get((911, START))

    def fail(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        assert table.alive((911, START))
        assert not table.alive((912, START))
        assert table.get((912, 0)) is None
        assert table.refresh((911, START), 0) == before
    fake_proc.add(911, comm=b"again")
    found = table.refresh((911, START), REFRESH_NS)
    assert found
    assert found.comm == "again"


def test_no_descriptor_is_left_open(table: Processes, fake_proc: FakeProc) -> None:
    """However a reading goes, its descriptors are closed."""
    fake_proc.add(1)
    fake_proc.add(2, exe=None)
    (fake_proc.add(3) / "stat").write_bytes(b"nothing")
    (fake_proc.add(4) / "stat").unlink()
    (fake_proc.root / "5").write_bytes(b"no directory")
    before = os.listdir("/proc/self/fd")
    for pid in range(7):
        table.seen(told(pid))
        table.get((pid, 0))
        table.alive((pid, START))
        table.refresh((pid, START), 0)
    assert len(os.listdir("/proc/self/fd")) == len(before)


# ---- users and containers ----


def test_users_follow_the_passwd_file(table: Processes, host: Path) -> None:
    """A user made after the start has its name at the next look; a number without a name has none."""
    table.seen(told(uid=1234))
    assert table.get((911, START)).user == ""  # type: ignore[union-attr]
    new = host / "etc/passwd.new"
    new.write_text("app:x:1234:1::/:\n\x1b[31m:x:5:1::/:\nlate:x:1234:1::/:\n")
    new.rename(host / "etc/passwd")
    table.seen(told(uid=1234))
    assert table.get((911, START)).user == "app"  # type: ignore[union-attr]
    table.seen(told(912, uid=5))
    assert table.get((912, START)).user == ""  # type: ignore[union-attr]
    (host / "etc/passwd").unlink()
    table.seen(told(913, uid=1234))
    assert table.get((913, START)).user == "app"  # type: ignore[union-attr]


def docker(host: Path, name: str) -> None:
    """Writes Docker's state of container ID."""
    file = host / f"var/lib/docker/containers/{ID}/config.v2.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"Name": f"/{name}"}))


def test_a_container_has_id_name_and_users_of_its_own(table: Processes, host: Path) -> None:
    """A process in a container is called by it, and the host's name for its user number is not used."""
    docker(host, "web")
    table.seen(told(cgroup=f"system.slice/docker-{ID}.scope"))
    found = table.get((911, START))
    assert found
    assert (found.container, found.container_name, found.user, found.uid) == (ID, "web", "", 33)


def test_a_container_that_a_user_made_up_borrows_no_name(table: Processes, host: Path) -> None:
    """Below a user's manager anyone may call a group like a container of the system's."""
    docker(host, "web")
    table.seen(told(cgroup=f"user@1000.service/app.slice/docker-{ID}.scope"))
    found = table.get((911, START))
    assert found
    assert (found.container, found.container_name) == (ID, "")


def test_a_containers_name_is_read_once_and_again_while_it_is_missing(
    table: Processes, fake_proc: FakeProc, host: Path
) -> None:
    """Siblings share one look; a runtime that writes its state late is asked again by `refresh`."""
    group = f"0::/docker/{ID}\n".encode()
    fake_proc.add(911, cgroup=group)
    fake_proc.add(912, cgroup=group)
    assert table.get((911, START)).container_name == ""  # type: ignore[union-attr]
    docker(host, "web")
    assert table.get((912, START)).container_name == ""  # type: ignore[union-attr]
    assert table.refresh((911, START), 0).container_name == "web"  # type: ignore[union-attr]
    docker(host, "renamed")
    assert table.refresh((912, START), 0).container_name in ("web", "renamed")  # type: ignore[union-attr]


def test_a_container_that_is_gone_keeps_its_name(table: Processes, host: Path) -> None:
    """A container that is removed at its end was known by name, and its last process is still told by it."""
    docker(host, "web")
    table.seen(told(cgroup=f"docker/{ID}"))
    shutil.rmtree(host / "var")
    for number in range(CONTAINER_NAMES_MAX):  # so that the look-ups of before are forgotten
        table.seen(told(5, cgroup=f"docker/{number:064x}"))
    table.ended(end())
    assert table.get((911, START)).container_name == "web"  # type: ignore[union-attr]
    table.seen(told(5, cgroup=f"docker/{ID}"))
    assert table.get((5, START)).container_name == ""  # type: ignore[union-attr]
