"""What an alert can be in: Netdata's numbers, which expressions see, and their names."""

from __future__ import annotations

REMOVED, UNDEFINED, UNINITIALIZED, CLEAR, RAISED, WARNING, CRITICAL = range(-2, 5)

NAMES = {
    REMOVED: "removed",
    UNDEFINED: "undefined",
    UNINITIALIZED: "uninitialized",
    CLEAR: "clear",
    RAISED: "raised",
    WARNING: "warning",
    CRITICAL: "critical",
}
#: What expressions may name.
CONSTANTS = {name.upper(): number for number, name in NAMES.items() if number != RAISED}
