"""One process as /proc shows it, in few system calls, and users as /etc/passwd does.

A directory of /proc is opened once for all its files: such a descriptor never shows another process, even if the pid is
given again. What cannot be read any more, since the process ends meanwhile, is left as it was known.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Process
from whyreset.owners.containers import choose

#: What one clock tick of /proc/PID/stat's starttime stands for.
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
#: What is kept of a command line, in characters: all in all and of one argument (Java's class paths are longer).
COMMAND_MAX = 4096
ARGUMENT_MAX = 1024
ARGUMENTS_MAX = 128
#: What is read of a command line; what is kept of it is less.
_COMMAND_BYTES_MAX = 32768
_PASSWD_BYTES_MAX = 1 << 20
_PF_EXITING = 0x4


class Stat(NamedTuple):
    """What /proc/PID/stat tells of a process; see proc(5)."""

    comm: str
    parent: int
    tick: int
    #: On its way out, or a zombie: its memory and v1 groups are gone.
    exiting: bool
    #: It has threads that run; a leader that ended before them is a zombie too.
    living: bool


def stat(root: str, pid: int) -> Stat | None:
    """Who has that pid now; None for nobody.

    Raises:
        OSError: it may not be told: /proc is hidden, or no descriptor is left.
    """
    try:
        return parse(_slurp(f"{root}/{pid}/stat", 1024))
    except (FileNotFoundError, ProcessLookupError):
        return None


class Look(Struct, frozen=True, kw_only=True, array_like=True):
    """What /proc says of a process, as it stands there; None for what may not be read, or is gone already."""

    stat: bytes
    exe: bytes | None
    command: bytes | None
    groups: bytes | None
    uid: int
    #: The inode of its network namespace; 0 where that may not be read.
    netns: int


class Looks(Protocol):
    """Whoever looks at processes."""

    def stat(self, pid: int) -> Stat | None:
        """Who has that pid now; None for nobody.

        Raises:
            OSError: it may not be told: /proc is hidden, or no descriptor is left.
        """

    def look(self, pid: int) -> Look | None:
        """All at once, of one process even if its pid is given again meanwhile; None where it is gone."""


class Proc:
    """Looks at processes, with whatever rights the caller has.

    Args:
        root: where proc is mounted.
    """

    def __init__(self, root: str = "/proc") -> None:
        self._root = root

    def stat(self, pid: int) -> Stat | None:
        return stat(self._root, pid)

    def look(self, pid: int) -> Look | None:
        try:
            directory = os.open(f"{self._root}/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            exe = command = groups = None
            now = _slurp("stat", 1024, directory)
            try:
                exe = os.readlink(b"exe", dir_fd=directory)
                command = _slurp("cmdline", _COMMAND_BYTES_MAX, directory)
            except OSError:  # a kernel thread, or its memory is gone already
                pass
            try:
                groups = _slurp("cgroup", 16384, directory)
            except OSError:
                pass
            uid = os.fstat(directory).st_uid
            return Look(stat=now, exe=exe, command=command, groups=groups, uid=uid, netns=_netns(directory))
        except OSError:
            return None
        finally:
            os.close(directory)


def read(proc: Looks, known: Process, tick: int) -> Process | None:
    """`known` with what /proc shows of the process; None when the one that started at that tick is gone."""
    shown = proc.look(known.pid)
    now = parse(shown.stat) if shown else None
    if shown is None or now is None or now.tick != tick:
        return None
    exe, command, cgroup = known.exe, known.command, known.cgroup
    if shown.exe is not None:
        exe = _text(shown.exe).removesuffix(" (deleted)")
    if shown.command is not None:
        # it reads as empty within exec too
        command = _split(shown.command) or (command if last_part(exe) == last_part(known.exe) else ())
    if shown.groups is not None:
        # at its exit a process leaves v1's groups for the root
        cgroup = cgroup if now.exiting and cgroup else _choose(shown.groups)
    return replace(
        known,
        start_ns=known.start_ns or tick * TICK_NS,
        comm=now.comm,
        exe=exe,
        command=command,
        uid=shown.uid,
        cgroup=cgroup,
        netns=known.netns or shown.netns,
        parent_pid=now.parent,
    )


def parse(data: bytes) -> Stat | None:
    """The contents of /proc/PID/stat. The name may hold anything, also parentheses: the last one ends it."""
    begin, end = data.find(b"("), data.rfind(b")")
    fields = data[end + 2 :].split(b" ", 20)
    if not 0 <= begin < end or len(fields) < 20:
        return None
    comm = data[begin + 1 : end]
    if b"\\" in comm:  # the kernel escapes these two
        comm = comm.replace(b"\\\\", b"\0").replace(b"\\n", b"\n").replace(b"\0", b"\\")
    try:
        ended = fields[0] in (b"Z", b"X", b"x")
        return Stat(
            comm=_text(comm),
            parent=int(fields[1]),
            tick=int(fields[19]),
            exiting=ended or bool(int(fields[6]) & _PF_EXITING),
            living=not ended or int(fields[17]) > 1,
        )
    except ValueError:
        return None


def _slurp(path: str, size: int, directory: int | None = None) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(file, size)
    finally:
        os.close(file)


@lru_cache(maxsize=256)
def _choose(groups: bytes) -> str:
    """The control group that says most; siblings have the same ones, and v1 has a dozen lines."""
    return choose(_text(groups).split("\n"))


def _split(data: bytes) -> tuple[str, ...]:
    """A command line's arguments. Some programs write a title there, padded with zeroes."""
    arguments: list[str] = []
    room = COMMAND_MAX
    for argument in _text(data.rstrip(b"\0")).split("\0", ARGUMENTS_MAX)[:ARGUMENTS_MAX]:
        if room <= 0:
            break
        arguments.append(argument[: min(room, ARGUMENT_MAX)])
        room -= len(arguments[-1])
    return tuple(arguments) if any(arguments) else ()


def _netns(directory: int) -> int:
    """The inode of a process's network namespace; 0 where it may not be read."""
    try:
        inode = os.readlink("ns/net", dir_fd=directory).removeprefix("net:[").removesuffix("]")
    except OSError:
        return 0
    return int(inode) if inode.isascii() and inode.isdigit() else 0


def last_part(path: str) -> str:
    """A path's last component."""
    return path.rpartition("/")[2]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


class Users:
    """Names of users from a passwd file, read again when it changes; no name service, which may ask the network."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._names: dict[int, str] = {}

    def name(self, uid: int) -> str:
        """The user's name; "" for a number that has none."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._names = self._load()
                self._stamp = stamp
        except OSError:
            pass
        return self._names.get(uid, "")

    def _load(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for line in _text(_slurp(self._path, _PASSWD_BYTES_MAX)).split("\n"):
            name, _, rest = line.partition(":")
            number = rest.partition(":")[2].partition(":")[0]
            if name and name.isprintable() and number.isascii() and number.isdigit() and len(number) <= 10:
                names.setdefault(int(number), name[:64])
        return names
