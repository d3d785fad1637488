"""Every TCP socket that a process holds, in every network namespace, at this moment.

The kernel program walks all open files of all processes: also of namespaces that nothing on disk leads to. Without it
/proc tells the same of those processes whose files may be read, for sockets whose file's number is known.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Container, Iterable

from whyreset.core import lives
from whyreset.model import Missing, Socket
from whyreset.sources.base import SourceError
from whyreset.sources.diag import STATES
from whyreset.sources.libbpf import BpfError, Library, Object
from whyreset.sources.program import Program

_OBJECT = "whyreset.bpf.o"
_WALK = "held_sockets"
#: Maps that the walk does without: made as small as they may be.
_UNUSED = {"resets": 4096, "closes": 4096, "lives": 4096, "sockets": 1, "processes": 1, "namespaces": 1, "tallies": 1}
#: Sockets that are looked at; each counts once for each process that holds it.
HELD_MAX = 1 << 20


def can_walk() -> Missing | None:
    """None if the kernel program can be loaded here, as far as can be told without trying."""
    return Program.can_run()


def held(port: int = 0, pid: int = 0) -> list[Socket]:
    """What processes hold, a Socket for each and its holder.

    Args:
        port: those from or to this port.
        pid: those of this process; with neither of both all that have a port.
    Raises:
        SourceError: the walk cannot run here.
    """
    if missing := can_walk():
        raise SourceError(missing.why)
    try:
        image = importlib.resources.files("whyreset.sources").joinpath(_OBJECT).read_bytes()
        with Object(image, library=Library(), only=frozenset({_WALK}), sizes=_UNUSED) as program:
            program.attach(_WALK)
            return lives.sockets(program.iterate(_WALK), STATES, port, pid, HELD_MAX)
    except BpfError as error:
        raise SourceError(f"the kernel refused the walk over open files ({error.strerror})") from error


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
