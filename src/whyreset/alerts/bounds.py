"""What saved values may be: a file of state can hold anything, and what is computed from it must not fail."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from whyreset.alerts.status import CRITICAL, REMOVED

#: Resets, or resets a second; and squares of them.
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Square = Annotated[float, Meta(ge=0, le=1e30)]
#: Seconds of any length that matters.
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
#: Seconds since the epoch, for the next three thousand years.
Moment = Annotated[float, Meta(ge=0, le=1e11)]
#: How often something happened; an inode number, a cookie.
Number = Annotated[int, Meta(ge=0)]
Status = Annotated[int, Meta(ge=REMOVED, le=CRITICAL)]
