"""What other programs stored of the kernel's counters, what is concluded from it, and what is told.

Times are seconds since the epoch unless the name says otherwise. Text of logs and of answers is untrusted.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from whyreset.model import FamilyShare, Missing

#: The counters that bear on resets, by the names of /proc/net/snmp and netstat; OutRsts is what surges are found in.
RESETS = "OutRsts"
COUNTERS = (
    RESETS,
    "EstabResets",
    "AttemptFails",
    "ActiveOpens",
    "PassiveOpens",
    "TCPAbortOnClose",
    "TCPAbortOnData",
    "TCPAbortOnLinger",
    "TCPAbortOnMemory",
    "TCPAbortOnTimeout",
    "TCPKeepAlive",
    "ListenOverflows",
    "ListenDrops",
    "EmbryonicRsts",
    "SyncookiesSent",
    "SyncookiesFailed",
)


class Series(Struct, frozen=True, kw_only=True):
    """By how much counters grew, in steps of one length."""

    #: Where the first step begins.
    start: int
    #: Seconds.
    step: int
    #: By counter: what each step added. A step of which nothing was stored has 0 and lies in a gap.
    counts: dict[str, array[float]]
    #: From, until: of these times nothing was stored, or only what they came to in all.
    gaps: tuple[tuple[float, float], ...] = ()
    #: When counters began anew: the host was booted, or another's were stored.
    restarts: tuple[float, ...] = ()


class Store(Protocol):
    """Something that stored counters; what is said here of those is known once it is open."""

    #: The word for it on the command line: "netdata", "prometheus", "sysstat".
    name: str
    #: Its address without credentials, or the file; untrusted text.
    where: str
    #: The counters that it has.
    counters: frozenset[str] = frozenset()
    #: Seconds between two values.
    step: int = 0
    #: The host whose counters these are; "" where it does not tell.
    host: str = ""
    #: From and until when there is anything, as far as it tells.
    kept: tuple[float | None, float | None] = (None, None)

    def open(self, since: int, until: int) -> None:
        """Asks what it has of that time. Raises SourceError."""

    def read(self, counters: Sequence[str], since: int, until: int) -> Series:
        """What it has of these counters in that time. Raises SourceError."""

    def notes(self) -> tuple[str, ...]:
        """What the user should know of this store; sentences."""


class Episode(Struct, frozen=True, kw_only=True):
    """A surge in a series: its first and last step."""

    first: int
    last: int
    #: Resets a second that are usual.
    usual: float
    #: It was not over when the series ended.
    ongoing: bool = False


IncidentKind = Literal["boot", "crash", "out-of-memory", "failed", "stopped", "started", "restart", "reloaded"]


class Incident(Struct, frozen=True, kw_only=True):
    """Something that a log of the host says of a unit, a process, or the host."""

    time_ns: int
    log: str
    kind: IncidentKind
    #: The systemd unit; "" where the log does not name it.
    unit: str
    text: str


class Suspect(Struct, frozen=True, kw_only=True):
    """An incident near a surge. Nearness in time is no proof."""

    incident: Incident
    #: What it is near to.
    near: Literal["begin", "middle", "end"]
    #: Seconds after that (negative: before).
    offset: float


class StoredSurge(Struct, frozen=True, kw_only=True):
    """A surge of resets as it was stored, and what can be concluded."""

    begin: float
    end: float
    ongoing: bool
    #: Resets sent in it, and a second in the mean, at most (within one step, which began then), and usually.
    count: int
    rate: float
    peak: float
    peak_at: float
    usual: float
    #: By how much the counters that are stored grew in it, and beyond what is usual.
    moved: dict[str, int]
    beyond: dict[str, int]
    #: Families of what is beyond the usual.
    families: tuple[FamilyShare, ...]
    #: What else the counters say; sentences.
    hints: tuple[str, ...] = ()
    suspects: tuple[Suspect, ...] = ()


class Past(Struct, frozen=True, kw_only=True):
    """All that can be told of a time that is over."""

    tool: str
    where: str
    host: str
    since: float
    until: float
    step: int
    #: Resets sent in that time.
    count: int
    surges: tuple[StoredSurge, ...]
    #: Surges that were left out for their number, and their resets.
    more: int = 0
    more_resets: int = 0
    counters: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    #: What cannot be known any more, and why.
    unknown: tuple[Missing, ...] = ()
