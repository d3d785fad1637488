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
