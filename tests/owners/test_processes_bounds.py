"""The table of processes never grows beyond its bounds, whatever other processes say of themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.owners.told import LATER, START, end, told
from tests.owners.trees import FakeProc
from whyreset.owners.processes import COMMANDS_MAX, CONTAINER_NAMES_MAX, ENDS_MAX, Processes
from whyreset.owners.procfs import ARGUMENT_MAX, ARGUMENTS_MAX, COMMAND_MAX


@pytest.mark.parametrize(("newcomers", "kept"), [(0, [1, 2, 3, 4]), (1, [2, 3, 4]), (2, [2, 3]), (4, [2, 3])])
def test_the_living_do_not_crowd_out_the_dead(fake_proc: FakeProc, newcomers: int, kept: list[int]) -> None:
    """A full table forgets those of the fuller half that were used least lately, and counts them."""
    table = Processes(str(fake_proc.root), capacity=4)
    for pid in (1, 2, 3, 4):
        table.seen(told(pid))
    table.ended(end(2))
    table.ended(end(3))
    for pid in range(5, 5 + newcomers):
        table.seen(told(pid))
    assert (len(table), table.forgotten) == (4, newcomers)
    assert [pid for pid in (1, 2, 3, 4) if table.get((pid, START))] == kept


@pytest.mark.parametrize(
    "ask",
    [lambda t: t.alive((1, START)), lambda t: t.refresh((1, START), 0)],
    ids=["alive", "refresh"],
)
def test_who_is_found_gone_counts_as_dead(fake_proc: FakeProc, ask: Callable[[Processes], object]) -> None:
    """A process that nobody said had ended has its place among the dead, once a look has found it gone."""
    table = Processes(str(fake_proc.root), capacity=2)
    for pid in (1, 2):
        fake_proc.add(pid)
        table.seen(told(pid))
    fake_proc.remove(1)
    assert table.get((2, START))
    ask(table)
    table.seen(told(3))
    assert table.get((1, START))


def test_note_reads_nothing_and_changes_nothing(fake_proc: FakeProc) -> None:
    """A process noted in passing is known by what was said, until someone asks for more."""
    table = Processes(str(fake_proc.root))
    fake_proc.add(1)
    table.note(told(1, comm="early", exe=""))
    noted = table.get((1, START))
    assert noted is not None
    assert (noted.comm, noted.exe) == ("early", "")
    table.note(told(1, comm="later"))
    assert table.get((1, START)) == noted
    refreshed = table.refresh((1, START), 0)
    assert refreshed is not None
    assert refreshed.exe


@pytest.mark.parametrize(
    "hostile",
    [
        {"command": tuple("ab" for _ in range(ARGUMENTS_MAX))},
        {"command": ("\U0001f600" * 1000,)},
        {"exe": "/" * 4096},
        {"cgroup": "x" * 4096},
    ],
    ids=["many", "wide", "exe", "cgroup"],
)
def test_texts_are_bounded_together(fake_proc: FakeProc, hostile: dict[str, Any]) -> None:
    """Processes with long command lines or paths cannot fill the memory: fewer of them are kept."""
    table = Processes(str(fake_proc.root), text_bytes=50_000)
    for pid in range(1, 101):
        table.seen(told(pid, **hostile))
    assert 5 <= len(table) <= 20
    assert table.forgotten == 100 - len(table)
    for pid in range(1, 101):  # the account is right: short ones have room again
        table.seen(told(pid, exe="x", command=("x",), cgroup="x"))
    assert len(table) == 100


def test_being_told_of_again_takes_no_more_room(fake_proc: FakeProc) -> None:
    """One process that is told of a thousand times weighs what it weighs once."""
    table = Processes(str(fake_proc.root), text_bytes=10_000)
    table.seen(told(1))
    for _ in range(1000):
        table.seen(told(2))
    assert (len(table), table.forgotten) == (2, 0)


@pytest.mark.parametrize(
    "data",
    [b"a" * 40_000, b"a\0" * 20_000, b"aa\0" * 5000, (b"a" * 1000 + b"\0") * 9, b"\0" * 40_000, b"\xff" * 40_000],
)
def test_a_command_line_is_bounded(table: Processes, fake_proc: FakeProc, data: bytes) -> None:
    """However long and however cut up, a command line costs no more than its bounds."""
    fake_proc.add(911, command=data)
    found = table.get((911, START))
    assert found
    assert len(found.command) <= ARGUMENTS_MAX
    assert sum(map(len, found.command)) <= COMMAND_MAX
    assert max(map(len, found.command), default=0) <= ARGUMENT_MAX


def test_a_long_class_path_does_not_hide_the_class(table: Processes, fake_proc: FakeProc) -> None:
    """Java's class path may be longer than all that is kept; the words behind it are kept still."""
    fake_proc.add(911, command=b"java\0-cp\0" + b"/lib/x.jar:" * 1000 + b"\0kafka.Kafka\0")
    found = table.get((911, START))
    assert found
    assert found.command[-1] == "kafka.Kafka"


def test_ends_and_names_are_bounded(fake_proc: FakeProc) -> None:
    """Ends of processes that nobody knows, and names of containers, do not pile up."""
    table = Processes(str(fake_proc.root), capacity=2)
    for pid in range(1, ENDS_MAX + 2):
        table.ended(end(pid))
    assert table.get((1, START)) is None  # the first was dropped
    assert table.get((2, START)) is not None
    assert table.forgotten == 0
    for number in range(CONTAINER_NAMES_MAX + 10):
        table.seen(told(5, cgroup=f"docker/{number:064x}"))
    assert len(table._container_names) <= CONTAINER_NAMES_MAX


CALLS = st.sampled_from(["seen", "ended", "get", "refresh", "alive"])


@settings(deadline=None)
@given(st.lists(st.tuples(CALLS, st.integers(0, 6), st.sampled_from([0, START, LATER])), max_size=60))
def test_any_order_of_calls_keeps_the_bounds_and_the_ends(calls: list[tuple[str, int, int]]) -> None:
    """In whatever order one tells and asks, the table holds no more than it may and nobody rises from the dead."""
    table = Processes("/nonexistent", capacity=3, host="/nonexistent")
    ended: set[tuple[int, int]] = set()
    for now_ns, (call, pid, start_ns) in enumerate(calls):
        if call == "seen":
            table.seen(told(pid, start_ns))
        elif call == "ended":
            table.ended(end(pid, start_ns))
            ended.add((pid, start_ns))
        else:
            found = table.refresh((pid, start_ns), now_ns) if call == "refresh" else table.get((pid, start_ns))
            assert found is None or found.pid == pid
            assert found is None or table.forgotten or (found.exit_code is not None) == ((pid, start_ns) in ended)
            assert not table.alive((pid, start_ns))
        assert len(table) <= 3


@settings(max_examples=200, deadline=None)
@given(stat=st.binary() | st.binary().map(lambda b: b"911 (x) " + b), command=st.binary(), cgroup=st.binary())
def test_any_bytes_in_proc_are_taken(stat: bytes, command: bytes, cgroup: bytes) -> None:
    """No content of stat, cmdline or cgroup raises; a stat that is none is no process."""
    with tempfile.TemporaryDirectory() as root:
        directory = FakeProc(Path(root)).add(911, command=command, cgroup=cgroup)
        (FakeProc(Path(root)).add(912) / "stat").write_bytes(stat)
        table = Processes(root, host=root)
        found = table.get((911, START))
        assert found
        assert all(isinstance(word, str) for word in found.command)
        assert table.get((912, 0)) is None or b")" in stat
        table.alive((912, 0))
        table.seen(told(912))
        assert directory.exists()


def test_processes_alike_have_their_texts_in_common(fake_proc: FakeProc) -> None:
    """Ten thousand brief lives of one program take no more room for their texts than one."""
    table = Processes(str(fake_proc.root))
    for pid in (1, 2):
        path = "/usr/bin/" + str(10)  # made anew, as what is read is
        table.seen(told(pid, exe=path, command=(path, "-x"), cgroup="/system.slice/" + str(10)))
    one, other = (table.get((pid, START)) for pid in (1, 2))
    assert one is not None
    assert other is not None
    assert one.exe is other.exe
    assert one.command is other.command
    assert one.cgroup is other.cgroup


def test_command_lines_in_common_are_bounded(fake_proc: FakeProc) -> None:
    """Each of a thousand processes may have another."""
    table = Processes(str(fake_proc.root), capacity=10)
    for pid in range(1, 2 * COMMANDS_MAX):
        table.seen(told(pid, command=(str(pid),)))
        assert len(table._commands) <= COMMANDS_MAX
