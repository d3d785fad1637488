"""What lines about a time that is over are made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class IncidentKey(Struct, kw_only=True, omit_defaults=True):
    """What a log says of a time near to a surge; that is no proof."""

    time: str
    log: str
    kind: Literal["boot", "crash", "out-of-memory", "failed", "stopped", "started", "restart", "reloaded"]
    unit: str = ""
    text: str
    #: What of the surge it is near to, and how many seconds after that it was (negative: before).
    near: Literal["begin", "middle", "end"]
    offset: float
