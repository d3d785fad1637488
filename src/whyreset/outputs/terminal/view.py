"""What the screen shows at one moment: frozen, in words, not escaped and not yet fitted to a terminal."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from whyreset.model import Severity

#: Of a row: just begun, more or less than in the minute before, as before, or nothing for a while.
Trend = Literal["new", "rising", "falling", "steady", "over"]


class Detail(Struct, frozen=True, kw_only=True):
    """One reset of a row, and the segment that provoked it."""

    #: «12:00:03.123»
    clock: str
    count: int
    #: «192.0.2.2:8080 -> 192.0.2.1:51234», as the reset names its sender and receiver.
    route: str
    #: «answered SYN, 0 bytes», or why there was none.
    trigger: str


class RowView(Struct, frozen=True, kw_only=True):
    """Resets alike in what they mean, port, owner and namespace."""

    what: str
    meaning: str
    #: Good evidence, but no proof.
    likely: bool
    #: "" where the row is about none or many.
    port: str
    who: str
    #: The namespace, where it is not this host's own.
    where: str
    #: «from 192.0.2.1 and 3 more»
    whom: str
    #: Of all of its direction in the last minute, 0 to 1.
    share: float
    #: In the last minute, and since watching began.
    minute: int
    total: int
    #: A second, over the last ten.
    rate: float
    trend: Trend
    #: Since the last one.
    idle_seconds: float
    #: Clock time of the last one.
    last: str
    #: Harmless, or a part of another reset.
    quiet: bool
    #: Slug, kernel's reason, evidence of the last one, and what would have to be seen to know more.
    cause: str = ""
    reason: str = ""
    evidence: tuple[str, ...] = ()
    missing: str = ""
    details: tuple[Detail, ...] = ()


class SideView(Struct, frozen=True, kw_only=True):
    """Resets of one direction."""

    #: A second: the last one, and on average over the last ten and sixty.
    now: float
    ten: float
    minute: float
    #: Of the last sixty seconds, oldest first.
    seconds: tuple[int, ...]
    #: In the last minute, and since watching began.
    recent: int
    total: int
    rows: tuple[RowView, ...]


class AlertView(Struct, frozen=True, kw_only=True):
    """An alert that is raised."""

    critical: bool
    #: Nobody is told of it.
    muted: bool
    #: The same in less and less words, for less and less room.
    texts: tuple[str, ...]


class FindingView(Struct, frozen=True, kw_only=True):
    """What resets mean together."""

    severity: Severity
    suspected: bool
    sentence: str
    #: «98.7 % of 43 resets»; "" where it explains none.
    share: str
    #: What to do next: a command; "" for none.
    step: str = ""


class View(Struct, frozen=True, kw_only=True):
    """The screen."""

    watched_seconds: float
    #: None where it was not asked for.
    sent: SideView | None
    received: SideView | None
    #: What of all is shown, «port 8080»; "" for everything.
    only: str
    #: The account in one line, and whether something of it is missing.
    account: str
    complete: bool
    #: What is watched, in words.
    scope: str
    #: Alerts that are raised, the most important first.
    alerts: tuple[AlertView, ...]
    #: What the last minute's resets mean, the weightiest first.
    findings: tuple[FindingView, ...]
    #: What cannot be seen, and how to get it.
    unseen: tuple[str, ...]
    #: Losses and limits of the last minutes.
    notices: tuple[str, ...]
