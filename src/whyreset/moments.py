"""Moments as people write them: `2h` ago, `12:30`, `2026-11-22 12:30`, `@1795348800`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(rf"([0-9]{{1,9}}) ?({'|'.join(_UNITS)})(?: ago)?")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_EPOCH = re.compile(r"@([0-9]{1,11})(?:\.[0-9]{1,9})?")
_FORMS = "2h (ago), 12:30, 2026-11-22 12:30, 2026-11-22T12:30:00Z, @1795348800 or now"


def parse(words: str, now: float) -> float:
    """Seconds since the epoch. Without a zone a time is this machine's; a time of day is the latest that has been.

    Raises:
        ValueError: what is wrong, to follow the name of the option.
    """
    words = words.strip()
    if words == "now":
        return now
    if found := _SPAN.fullmatch(words):
        return max(now - int(found[1]) * _UNITS[found[2]], 0.0)
    if found := _EPOCH.fullmatch(words):
        return float(words[1:])
    try:
        if found := _CLOCK.fullmatch(words):
            hour, minute, second = (int(part or 0) for part in found.groups())
            at = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=second, microsecond=0)
            return (at if at.timestamp() <= now else at - timedelta(days=1)).timestamp()
        return max(datetime.fromisoformat(words).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"takes a time such as {_FORMS}, not {words[:40]!r}") from None
