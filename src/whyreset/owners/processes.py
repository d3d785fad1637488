"""The table of the processes that own sockets: what the kernel program told of them, completed while they live.

Rules. A process is its pid and its start; /proc knows starts to a clock tick only, so that is what the table compares,
and no pid comes round within one tick. What the kernel told stays where /proc has nothing (any more). Nothing here
raises for what another process does.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from whyreset.model import Process, ProcessEnd
from whyreset.owners import procfs
from whyreset.owners.containers import Place, container_name, place, rank
from whyreset.owners.procfs import TICK_NS, last_part

#: At most so often is a living process read again.
REFRESH_NS = 1_000_000_000
#: Ends of processes that were not known, kept until they are: a process may be told of after its end.
ENDS_MAX = 1024
CONTAINER_NAMES_MAX = 4096
#: Command lines that are one value for all that have them.
COMMANDS_MAX = 512

#: A pid and the clock tick of its start.
_Key = tuple[int, int]


class Processes:
    """The table of processes. Bounded in entries and in bytes of their texts; all methods are for one thread.

    Args:
        root: where proc is mounted.
        capacity: processes to keep, the living and the dead half each; those used least lately are forgotten first.
        host: where the host's file system is, for its passwd and the container runtimes' state.
        text_bytes: what command lines and paths of all may take together.
        proc: looks at processes in the place of `root`.
        name_of: tells a container's name by its id and runtime, as `containers.container_name` does.
    """

    def __init__(
        self,
        root: str = "/proc",
        capacity: int = 16384,
        *,
        host: str = "/",
        text_bytes: int = 16 << 20,
        proc: procfs.Looks | None = None,
        name_of: Callable[[str, str], str] | None = None,
    ) -> None:
        self._proc = proc or procfs.Proc(root)
        self._name_of = name_of or partial(container_name, root=host)
        self._capacity = capacity
        self._text_bytes = text_bytes
        self._living: OrderedDict[_Key, _Entry] = OrderedDict()
        self._dead: OrderedDict[_Key, _Entry] = OrderedDict()
        self._ends: OrderedDict[_Key, ProcessEnd] = OrderedDict()
        self._weight = 0
        self._users = procfs.Users(f"{host.rstrip('/')}/etc/passwd")
        self._container_names: dict[str, str] = {}
        self._commands: dict[tuple[str, ...], tuple[str, ...]] = {}
        #: How many processes were forgotten for want of room.
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._living) + len(self._dead)

    def seen(self, process: Process) -> None:
        """Takes what the kernel program told of a process, which may be gone already."""
        key = self._key(process.pid, process.start_ns)
        entry = self._find(key)
        known = _merge(entry.process, process) if entry else self._inherited(process)
        if end := self._ends.pop(key, None):
            known = _ended(known, end)
        found = procfs.read(self._proc, known, key[1]) if known.exit_code is None else None
        self._keep(key, found or known)

    def note(self, process: Process) -> bool:
        """Takes what is known of a process without looking it up; one that is known already stays as it is.

        Returns whether it was new.
        """
        key = self._key(process.pid, process.start_ns)
        if self._find(key) is not None:
            return False
        self._keep(key, process)
        return True

    def ended(self, end: ProcessEnd) -> None:
        """Notes how a process ended, also of one that is told of only later."""
        key = (end.pid, end.start_ns // TICK_NS)
        if entry := self._find(key):
            self._keep(key, _ended(entry.process, end))
            return
        self._ends[key] = end
        if len(self._ends) > ENDS_MAX:
            self._ends.popitem(last=False)

    def known(self, key: tuple[int, int]) -> Process | None:
        """What is known of a process without looking it up; None where nothing is."""
        entry = self._find((key[0], key[1] // TICK_NS))
        return entry.process if entry else None

    def get(self, key: tuple[int, int]) -> Process | None:
        """What is known of a process, if need be by looking it up in /proc; None where nothing is.

        Args:
            key: pid and start_ns. Start 0 stands for whoever has the pid now; the answer holds its start.
        """
        pid, start_ns = key
        own = self._key(pid, start_ns)
        entry = self._find(own)
        if entry is None:
            end = self._ends.pop(own, None)
            found = procfs.read(self._proc, Process(pid=pid, start_ns=start_ns), own[1])
            if end:
                found = _ended(found or Process(pid=pid, start_ns=start_ns), end)
            return self._keep(own, found) if found else None
        if start_ns % TICK_NS and start_ns != entry.process.start_ns:  # it was known by its tick only
            entry.process = replace(entry.process, start_ns=start_ns)
        return entry.process

    def with_pid(self, pid: int) -> list[Process]:
        """All that are known to have or to have had that pid, the youngest first."""
        found = [entry.process for table in (self._living, self._dead) for key, entry in table.items() if key[0] == pid]
        return sorted(found, key=lambda process: process.start_ns, reverse=True)

    def refresh(self, key: tuple[int, int], now_ns: int) -> Process | None:
        """What is known of a process, read anew if it lives and was not within the last second (it may have exec'ed).

        Args:
            key: as for `get`.
            now_ns: any clock that does not go back.
        """
        own = self._key(*key)
        entry = self._find(own)
        if entry is None:
            return self.get(key)
        process = entry.process
        if process.exit_code is not None or (entry.read_ns is not None and now_ns - entry.read_ns < REFRESH_NS):
            return process
        entry.read_ns = now_ns
        if not process.container_name:
            self._container_names.pop(process.container, None)  # its runtime may have written it by now
        if found := procfs.read(self._proc, process, own[1]):
            return self._keep(own, found)
        self._bury(own)
        return process

    def alive(self, key: tuple[int, int]) -> bool:
        """Whether that process, not another with its pid, still runs; a zombie does not."""
        own = self._key(*key)
        entry = self._find(own)
        if entry and entry.process.exit_code is not None:
            return False
        try:
            stat = self._proc.stat(own[0])
        except OSError:  # not to be told: /proc is hidden, or no descriptor is left
            return own in self._living
        if stat and stat.tick == own[1] and stat.living:
            return True
        self._bury(own)
        return False

    # ---- the table ----

    def _key(self, pid: int, start_ns: int) -> _Key:
        if start_ns:
            return pid, start_ns // TICK_NS
        try:
            stat = self._proc.stat(pid)
        except OSError:
            stat = None
        return pid, stat.tick if stat else 0

    def _find(self, key: _Key) -> _Entry | None:
        for table in (self._living, self._dead):
            if entry := table.get(key):
                table.move_to_end(key)
                return entry
        return None

    def _keep(self, key: _Key, process: Process) -> Process:
        entry = self._living.pop(key, None) or self._dead.pop(key, None) or _Entry()
        process = self._placed(process)
        weight = sum(map(sys.getsizeof, (process.exe, process.cgroup, process.command, *process.command)))
        self._weight += weight - entry.weight
        entry.process, entry.weight = process, weight
        (self._living if process.exit_code is None else self._dead)[key] = entry
        while len(self) > 1 and (len(self) > self._capacity or self._weight > self._text_bytes):
            # the dead cannot be read again, the living can: neither may crowd out the other
            fuller = self._dead if len(self._dead) > len(self._living) else self._living
            _, gone = fuller.popitem(last=False)
            self._weight -= gone.weight
            self.forgotten += 1
        return process

    def _bury(self, key: _Key) -> None:
        """It is gone, though nobody told how."""
        if entry := self._living.pop(key, None):
            self._dead[key] = entry

    # ---- what is known of one ----

    def _inherited(self, process: Process) -> Process:
        """With its parent's program and command line, where it is told of too late to have its own any more."""
        if process.exe or not process.parent_start_ns:
            return process
        parent = self._find(self._key(process.parent_pid, process.parent_start_ns))
        if parent is None or parent.process.comm != process.comm:
            return process
        return replace(process, exe=parent.process.exe, command=parent.process.command)

    def _placed(self, process: Process) -> Process:
        """With the names that follow from its uid and control group; its texts are one value for all that have them."""
        where = place(process.cgroup)
        # its runtime may have removed its state by the time that it ends
        known = process.container_name if process.container == where.container else ""
        return replace(
            process,
            comm=sys.intern(process.comm),
            exe=sys.intern(process.exe),
            cgroup=sys.intern(process.cgroup),
            command=self._command(process.command),
            # a container has users of its own: the host's name for its number would be another's
            user="" if process.uid is None or (where.container and process.uid) else self._users.name(process.uid),
            unit=where.unit,
            container=where.container,
            container_name=self._container_name(where) or known,
            pod=where.pod,
        )

    def _command(self, command: tuple[str, ...]) -> tuple[str, ...]:
        if len(self._commands) >= COMMANDS_MAX and command not in self._commands:
            self._commands.clear()
        return self._commands.setdefault(command, command)

    def _container_name(self, where: Place) -> str:
        # a user's own containers are not in the system's state; whoever calls a group so must not borrow a name there
        if not where.container or (where.manager and where.runtime not in ("lxc", "nspawn", "machine")):
            return ""
        name = self._container_names.get(where.container)
        if name is None:
            if len(self._container_names) >= CONTAINER_NAMES_MAX:
                self._container_names.clear()
            name = self._name_of(where.container, where.runtime)
            self._container_names[where.container] = name
        return name


class _Entry:
    __slots__ = ("process", "read_ns", "weight")

    process: Process

    def __init__(self) -> None:
        self.weight = 0
        self.read_ns: int | None = None


def _ended(process: Process, end: ProcessEnd) -> Process:
    return replace(process, exit_code=end.exit_code, out_of_memory=end.out_of_memory, ended_ns=end.time_ns)


def _merge(known: Process, told: Process) -> Process:
    """What is known with what the kernel told anew; where that is the end or beginning of the same, the whole stays."""
    exe, command, cgroup = told.exe or known.exe, told.command or known.command, known.cgroup
    if told.exe and told.exe == last_part(known.exe):
        exe = known.exe
        if "\0".join(known.command).startswith("\0".join(told.command)):
            command = known.command
    elif told.exe:
        command = told.command  # another program
    # of a process in several hierarchies the kernel tells one
    if told.cgroup and not cgroup.endswith(f"/{told.cgroup}") and rank(told.cgroup) >= rank(cgroup):
        cgroup = told.cgroup
    return replace(
        known,
        start_ns=told.start_ns if told.start_ns % TICK_NS else known.start_ns,
        comm=told.comm or known.comm,
        exe=exe,
        command=command,
        uid=known.uid if told.uid is None else told.uid,
        cgroup=cgroup,
        netns=told.netns or known.netns,
        parent_pid=told.parent_pid or known.parent_pid,
    )
