"""What this host's own logs still say of a process that is gone: the kernel's ring, and the journal where there is one.

Rules. A pid may have been another's before: what is quoted is quoted with its time and name, nothing is concluded from
it. Only what the kernel itself wrote counts as the kernel's word (facility 0: programs cannot write that). Local files
only, bounded in bytes and time; what cannot be read says nothing.
"""

from __future__ import annotations

import os
import re

import msgspec
from msgspec import Struct

#: What is read of the kernel's ring (its records, each at most 8 kB) and of the journal.
_KERNEL_BYTES_MAX = 8 << 20
_RECORD_BYTES = 8192
_ENTRY_BYTES = 16384
_JOURNAL_SECONDS = 3.0
#: Lines that are quoted of each log.
LINES_MAX = 5
_TEXT_MAX = 200

#: oom_kill.c, and arch/x86/mm/fault.c with arch/x86/kernel/traps.c (other machines' words are alike).
_KILLED = re.compile(r"(?:Memory cgroup out|Out) of memory[^:]*: Killed process (\d+) \(")
_FAULT = re.compile(
    r"(?:traps: )?.{0,20}\[(\d+)\]:? (?:segfault at|general protection|trap |unhandled|potentially unexpected fatal)"
)
#: systemd's SD_MESSAGE_UNIT_PROCESS_EXIT and systemd-coredump's SD_MESSAGE_COREDUMP (sd-messages.h).
UNIT_PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"


class Line(Struct, frozen=True):
    """What a log says of a process. The text is untrusted."""

    time_ns: int
    log: str
    text: str


def kernel_lines(pid: int, *, boot_ns: int, path: str = "/dev/kmsg", most: int = LINES_MAX) -> list[Line]:
    """What the kernel said of the end of the process (or thread) with that number, the latest last.

    Args:
        pid: 0 for all.
        boot_ns: nanoseconds since the epoch when the kernel's own clock was 0.
        most: so many at most.
    """
    try:
        # not blocking: it ends where it has no more
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    found: list[Line] = []
    room = _KERNEL_BYTES_MAX
    try:
        while room > 0:
            try:
                record = os.read(file, _RECORD_BYTES)
            except BrokenPipeError:  # what was next was overwritten: it goes on with what is there
                continue
            if not record:
                break
            room -= len(record)
            if line := _kernel_line(record, pid, boot_ns):
                found.append(line)
    except OSError:
        pass
    finally:
        os.close(file)
    return found[-most:]


def _kernel_line(record: bytes, pid: int, boot_ns: int) -> Line | None:
    """«3,1042,8718737693,-;text»: facility and level, sequence, microseconds; Documentation/ABI/testing/dev-kmsg."""
    head, _, rest = record.partition(b";")
    fields = head.split(b",")
    if len(fields) < 3 or not (fields[0].isdigit() and fields[2].isdigit()) or int(fields[0]) >> 3:
        return None
    said = rest.split(b"\n", 1)[0].decode("utf-8", "backslashreplace")
    found = killed(said) or crashed(said)
    if found is None or (pid and int(found[1]) != pid):
        return None
    return Line(boot_ns + int(fields[2]) * 1000, "kernel log", said[:_TEXT_MAX])


def killed(said: str) -> re.Match[str] | None:
    """Whether the kernel's OOM killer says that it killed a process."""
    return _KILLED.match(said)


def crashed(said: str) -> re.Match[str] | None:
    """Whether the kernel says that a process did what it must not."""
    return _FAULT.match(said)


#: A field that is no UTF-8 comes as numbers, one that is too long as null, one that is there twice as a list.
_Field = str | list[int | str] | None


class Entry(Struct):
    """What is read of a journal entry; see systemd.journal-fields(7)."""

    time_us: _Field = msgspec.field(name="__REALTIME_TIMESTAMP", default=None)
    message: _Field = msgspec.field(name="MESSAGE", default=None)
    message_id: _Field = msgspec.field(name="MESSAGE_ID", default=None)
    transport: _Field = msgspec.field(name="_TRANSPORT", default=None)
    comm: _Field = msgspec.field(name="_COMM", default=None)
    invocation: _Field = msgspec.field(name="_SYSTEMD_INVOCATION_ID", default=None)
    #: What systemd speaks of, and what a core dump is of.
    unit: _Field = msgspec.field(name="UNIT", default=None)
    dumped_unit: _Field = msgspec.field(name="COREDUMP_UNIT", default=None)

    @property
    def time_ns(self) -> int:
        """0 where it is no time."""
        time_us = text(self.time_us)
        return int(time_us) * 1000 if re.fullmatch("[0-9]{1,18}", time_us) else 0

    @property
    def said(self) -> str:
        """Its first line, cut; untrusted."""
        return text(self.message).partition("\n")[0][:_TEXT_MAX]


_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(Entry))


def journal_lines(pid: int, *, options: tuple[str, ...] = ()) -> list[Line]:
    """What the journal of this boot says: core dumps of the process, its last words, and how its unit's process ended.

    Args:
        options: more words for journalctl, before the matches.
    """
    where = options or ("--boot",)
    entries = journal(where, f"MESSAGE_ID={COREDUMP}", f"COREDUMP_PID={pid}", "+", f"_PID={pid}")
    if not entries:
        return []
    if invocation := text(entries[-1].invocation):
        entries += journal(where, f"MESSAGE_ID={UNIT_PROCESS_EXIT}", f"INVOCATION_ID={invocation}", "_PID=1") or []
    return [
        Line(each.time_ns, "journal", f"{text(each.comm)}: {each.said}"[:_TEXT_MAX]) for each in entries[-LINES_MAX:]
    ]


def journal(
    options: tuple[str, ...], *matches: str, most: int = LINES_MAX, seconds: float = _JOURNAL_SECONDS
) -> list[Entry] | None:
    """The latest entries of the journal that match, oldest first; None where it cannot be asked, or takes too long.

    Args:
        options: words for journalctl, before the matches.
        most: so many at most.
        seconds: so long at most.
    """
    output = ("--output=json", f"--output-fields={','.join(_FIELDS)}", f"--lines={most}")
    command = ["journalctl", "--quiet", "--no-pager", *output, *options, *matches]
    import subprocess  # not needed for what lives

    try:
        ended = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    entries: list[Entry] = []
    for line in ended.stdout[: most * _ENTRY_BYTES].splitlines()[:most]:
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except (ValueError, RecursionError):
            continue
    return entries


def text(field: _Field) -> str:
    """A field that is text; "" where it is none."""
    return field if isinstance(field, str) else ""
