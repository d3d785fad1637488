"""Processes and ends as the kernel program tells of them."""

from __future__ import annotations

from typing import Any

from whyreset.model import Process, ProcessEnd
from whyreset.owners.procfs import TICK_NS

ID = "4f3c" * 16
#: A start within tick 1000, as exact as the kernel tells it.
START = 1000 * TICK_NS + 123
LATER = 5000 * TICK_NS + 7


def told(pid: int = 911, start_ns: int = START, **more: Any) -> Process:
    """What the kernel program tells of a process."""
    about: dict[str, Any] = {"comm": "nginx", "exe": "nginx", "command": ("nginx", "-g"), "uid": 33, "netns": 7}
    return Process(pid=pid, start_ns=start_ns, **(about | more))


def end(pid: int = 911, start_ns: int = START, code: int = 11, out_of_memory: bool = False) -> ProcessEnd:
    """How a process ended."""
    return ProcessEnd(pid=pid, start_ns=start_ns, exit_code=code, out_of_memory=out_of_memory, time_ns=9_000)
