"""Every TCP socket that a process holds, in every network namespace, at this moment.

The kernel program walks all open files of all processes: also of namespaces that nothing on disk leads to. Without it
/proc tells the same of those processes whose files may be read, for sockets whose file's number is known.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable

from whyreset.core import lives
from whyreset.model import Socket
from whyreset.sources import diag
from whyreset.sources.base import SourceError
from whyreset.sources.diag import STATES
from whyreset.sources.libbpf import BpfError, Library, Object, read_iterator

_OBJECT = "whyreset.bpf.o"
_WALK = "held_sockets"
#: Maps that the walk does without: made as small as they may be.
_UNUSED = {"resets": 4096, "closes": 4096, "lives": 4096, "sockets": 1, "processes": 1, "namespaces": 1, "tallies": 1}
#: Sockets that are looked at; each counts once for each process that holds it.
HELD_MAX = 1 << 20
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def held(port: int = 0, pid: int = 0, walk: int | None = None) -> list[Socket]:
    """What processes hold, a Socket for each and its holder.

    Args:
        port: those from or to this port.
        pid: those of this process; with neither of both all that have a port.
        walk: a walk that somebody else has opened, which is closed; None to load the kernel program.
    Raises:
        SourceError: the walk cannot run here.
    """
    try:
        data = _walk() if walk is None else read_iterator(walk)
    except BpfError as error:
        # what is missing is worth looking up only now
        from whyreset.sources import loading

        missing = loading.can_run()
        why = missing.why if missing else f"the kernel refused the walk over open files ({error.strerror})"
        raise SourceError(why) from error
    except OSError as error:
        raise SourceError(f"the walk over open files failed: {error.strerror or error}") from error
    return lives.sockets(data, STATES, port, pid, HELD_MAX)


def _walk() -> bytes:
    with open(os.path.join(os.path.dirname(__file__), _OBJECT), "rb") as file:
        image = file.read()
    with Object(image, library=Library(), only=frozenset({_WALK}), sizes=_UNUSED) as program:
        program.attach(_WALK)
        return program.iterate(_WALK)


def holders(inodes: Container[int], pids: Iterable[int] | None = None) -> tuple[dict[int, list[int]], int]:
    """Which processes hold which of these files, from /proc; and of how many processes that may not be told.

    Args:
        inodes: numbers of sockets' files.
        pids: only these processes; None for all.
    """
    found: dict[int, list[int]] = {}
    hidden = 0
    for pid in pids if pids is not None else map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY)
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue
        try:
            for name in os.listdir(folder):
                try:
                    target = os.readlink(name, dir_fd=folder)
                except PermissionError:
                    hidden += 1
                    break
                except OSError:
                    continue
                if target.startswith("socket:["):
                    inode = int(target[8:-1])
                    if inode in inodes and pid not in (those := found.setdefault(inode, [])):
                        those.append(pid)
        except OSError:
            continue
        finally:
            os.close(folder)
    return found, hidden


def held_here(most: int = 1 << 16) -> dict[int, list[tuple[int, int]]]:
    """Who holds the listeners and open connections of the caller's namespace, from /proc.

    Args:
        most: so many sockets are looked at.
    Returns:
        (pid, start in nanoseconds of CLOCK_BOOTTIME) by the number of the socket's file.
    Raises:
        OSError: sock_diag is not there, or not allowed.
    """
    there = {each.inode for each in diag.current(("LISTEN", "SYN_SENT", "ESTABLISHED", "CLOSE_WAIT"), most)} - {0}
    found, _ = holders(there)
    starts = {pid: start_ns(pid) for pids in found.values() for pid in pids}
    return {inode: [(pid, starts[pid]) for pid in pids if starts[pid]] for inode, pids in found.items()}


def start_ns(pid: int) -> int:
    """When a process began, in nanoseconds of CLOCK_BOOTTIME; 0 for one that has gone; see proc(5) on starttime."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read(1024).rpartition(b")")[2].split()[19]) * _TICK_NS
    except (OSError, ValueError, IndexError):
        return 0
