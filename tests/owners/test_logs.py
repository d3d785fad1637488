"""What local logs still say of a process: the kernel's own words, the journal's, and nothing that a program made up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import needs
from tests.hosts.hosts import await_true
from whyreset.owners import logs

BOOT_NS = 1_700_000_000_000_000_000
RECORDS = {
    b"3,1042,8718737693,-;Memory cgroup out of memory: Killed process 911 (hungry) total-vm:1kB\n": True,
    b"3,1042,8718737693,-;Out of memory: Killed process 911 (hungry) total-vm:1kB\n": True,
    b"3,1042,8718737693,c;Out of memory (oom_kill_allocating_task): Killed process 911 (x)\n SUBSYSTEM=x\n": True,
    b"6,1,2,-;api[911]: segfault at 0 ip 00007f error 4 in libc.so.6[7f]\n": True,
    b"6,1,2,-;traps: api[911] general protection fault ip:7f sp:7f error:0 in x[1]\n": True,
    b"6,1,2,-;traps: api[911] trap divide error ip:7f sp:7f error:0 in x[1]\n": True,
    # another process; one whose name imitates another's number
    b"6,1,2,-;api[912]: segfault at 0\n": False,
    b"6,1,2,-;a[911]: segfau[5]: segfault at 0\n": False,
    b"3,1,2,-;Out of memory: Killed process 9110 (hungry)\n": False,
    # programs write with another facility than the kernel's
    b"14,1,2,-;Out of memory: Killed process 911 (hungry)\n": False,
    b"11,1,2,-;api[911]: segfault at 0\n": False,
    b"6,1,2,-;another word of the kernel: api[911]: segfault at 0\n": False,
    b"nonsense": False,
    b"": False,
    b"6,1;": False,
    b"x,y,z,-;api[911]: segfault at 0\n": False,
}


@pytest.mark.parametrize(("record", "tells"), RECORDS.items())
def test_a_kernel_record_is_believed_or_not(record: bytes, tells: bool, tmp_path: Path) -> None:
    """Only what the kernel wrote of that very process counts; it is quoted with its time."""
    path = tmp_path / "kmsg"
    path.write_bytes(record)
    lines = logs.kernel_lines(911, boot_ns=BOOT_NS, path=str(path))
    assert bool(lines) is tells
    if tells:
        assert lines[0].time_ns == BOOT_NS + int(record.split(b",")[2]) * 1000
        assert "\n" not in lines[0].text


def test_a_real_crash_is_found_in_the_kernel_log() -> None:
    """A process that touched memory that it has not is named by the kernel."""
    needs.root()
    trace = Path("/proc/sys/debug/exception-trace")
    if not trace.exists() or trace.read_text().strip() == "0" or not os.access("/dev/kmsg", os.R_OK):
        pytest.skip("this kernel does not log crashes of programs")
    crash = "import ctypes, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); ctypes.string_at(0)"
    with subprocess.Popen([sys.executable, "-c", crash]) as process:
        assert -process.wait() == signal.SIGSEGV
    pid = process.pid
    boot_ns = time.time_ns() - time.monotonic_ns()
    await_true(lambda: bool(logs.kernel_lines(pid, boot_ns=boot_ns)), "the kernel's line")
    (line,) = logs.kernel_lines(pid, boot_ns=boot_ns)
    assert "segfault" in line.text
    assert abs(line.time_ns - time.time_ns()) < 60e9


def test_what_a_program_writes_into_the_kernel_log_is_not_believed() -> None:
    """Root may write there; the kernel marks it."""
    needs.root()
    pid = 4194303
    try:
        with open("/dev/kmsg", "w") as kmsg:
            kmsg.write(f"<3>Out of memory: Killed process {pid} (whyreset test)\n")
    except OSError as error:
        pytest.skip(f"/dev/kmsg cannot be written: {error}")
    assert logs.kernel_lines(pid, boot_ns=0) == []


def test_a_log_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """Neither is an error."""
    assert logs.kernel_lines(1, boot_ns=0, path=str(tmp_path / "none")) == []
    assert logs.journal_lines(1, options=(f"--directory={tmp_path / 'none'}",)) == []


UNIT = "_SYSTEMD_UNIT=api.service\n_SYSTEMD_INVOCATION_ID=00112233445566778899aabbccddeeff\n"
ENTRIES = (
    f"_PID=911\n_COMM=api\n{UNIT}MESSAGE=ready\n",
    "_PID=912\n_COMM=other\nMESSAGE=not ours\n",
    "_PID=700\n_COMM=systemd-coredum\nMESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\nCOREDUMP_PID=911\n"
    "MESSAGE=Process 911 (api) of user 0 dumped core.\n",
    f"_PID=911\n_COMM=api\n{UNIT}MESSAGE=last words\n",
    "_PID=1\n_COMM=systemd\nMESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15\n"
    "INVOCATION_ID=00112233445566778899aabbccddeeff\nUNIT=api.service\n"
    "MESSAGE=api.service: Main process exited, code=dumped, status=11/SEGV\n",
)


def test_the_journal_tells_of_the_process_and_its_unit(tmp_path: Path) -> None:
    """Its last words, its core dump, and how systemd saw its end; nothing of others."""
    needs.command("journalctl")
    remote = Path("/lib/systemd/systemd-journal-remote")
    if not remote.exists():
        pytest.skip("systemd-journal-remote is not installed")
    export = "\n".join(
        f"__REALTIME_TIMESTAMP={BOOT_NS // 1000 + number}\n__MONOTONIC_TIMESTAMP={number}\n"
        f"_BOOT_ID=0123456789abcdef0123456789abcdef\n{entry}"
        for number, entry in enumerate(ENTRIES)
    )
    subprocess.run(
        [str(remote), f"--output={tmp_path / 'test.journal'}", "-"],
        input=f"{export}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    lines = logs.journal_lines(911, options=(f"--directory={tmp_path}",))
    assert [line.text for line in lines] == [
        "api: ready",
        "systemd-coredum: Process 911 (api) of user 0 dumped core.",
        "api: last words",
        "systemd: api.service: Main process exited, code=dumped, status=11/SEGV",
    ]
    assert lines[0].time_ns == BOOT_NS
    assert logs.journal_lines(913, options=(f"--directory={tmp_path}",)) == []
