"""Short questions about who a line names."""

from collections.abc import Sequence
from typing import Any

Line = dict[str, Any]


def owner(line: Line) -> tuple[int, str]:
    """The owner's pid, and how it is known; (0, "") for nobody."""
    found = line.get("owner", {})
    return found.get("pid", 0), found.get("via", "")


def closer(line: Line) -> int:
    """The closer's pid; 0 for nobody."""
    return int(line.get("closer", {}).get("pid", 0))


def only(lines: Sequence[Line]) -> Line:
    """The one line of which there is only one."""
    assert len(lines) == 1, lines
    return lines[0]
