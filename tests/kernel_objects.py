"""What of BPF is in the kernel, and which of it a process holds."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from tests import needs

KINDS = ("prog", "map", "link")
Ids = dict[str, set[int]]


def held(pid: int) -> Ids:
    """The ids of programs, maps and links behind a process's descriptors."""
    ids: Ids = {kind: set() for kind in KINDS}
    for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            fields = dict(line.split(":", 1) for line in entry.read_text().splitlines() if ":" in line)
            # a link's file tells its program too, which another descriptor may hold
            kind = next((kind for kind in ("link", "map", "prog") if f"{kind}_id" in fields), None)
            if kind:
                ids[kind].add(int(fields[f"{kind}_id"]))
    return ids


def keeper_of(pid: int) -> int | None:
    """The process that has kept a watch's rights; None where the watch is one process."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError):
            if Path(f"/proc/{child}/comm").read_text() == "whyreset-keeper\n":
                return int(child)
    return None


def held_by_watch(pid: int) -> Ids:
    """The ids behind the descriptors of a watch, of both its processes."""
    keeper = keeper_of(pid)
    ids = held(pid)
    return {kind: ids[kind] | held(keeper)[kind] for kind in KINDS} if keeper else ids


def present() -> Ids:
    """The ids of all programs, maps and links in the kernel."""
    bpftool = needs.command("bpftool")
    ids = {}
    for kind in KINDS:
        shown = subprocess.run([bpftool, "-j", kind, "show"], check=True, capture_output=True, text=True).stdout
        ids[kind] = {row["id"] for row in json.loads(shown or "[]")}
    return ids


def left(before: Ids) -> Ids:
    """What of these is still in the kernel."""
    now = present()
    return {kind: ids & now[kind] for kind, ids in before.items() if ids & now[kind]}
