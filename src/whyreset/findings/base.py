"""What the finders share: what they are given, what they give, and tables that never grow.

A finder is pure: values in, values out, and the time comes with them. It remembers what it needs in `Table`s, which
have a bound. It gives drafts of all that it holds to be so now; ids, states, shares and the verdict are made of them
elsewhere (judge, verdict).
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Generic, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from whyreset.model import (
    Attempt,
    Confidence,
    Contact,
    Count,
    Host,
    Life,
    Place,
    Process,
    Reset,
    Severity,
    Step,
    Subject,
)
from whyreset.words import name, service

SECOND_NS = 1_000_000_000
#: Of so many of the eldest the one goes that is worth least.
_ELDEST = 16


class Batch(Struct, frozen=True, kw_only=True):
    """What came since the last one, about a tenth of a second ago. Times are nanoseconds since the epoch."""

    now_ns: int
    #: What to add to CLOCK_BOOTTIME, which the times within `lives`, `ends` and `contacts` are of.
    epoch_ns: int = 0
    resets: tuple[Reset, ...] = ()
    #: Listeners that began (`until_ns` is 0) or ended, in their order; in the first batch those that there were.
    lives: tuple[Life, ...] = ()
    #: Processes that ended, as far as they were known, with how.
    ends: tuple[Process, ...] = ()
    #: Once a second: accounts of the namespaces where something moved, and the host's gauges and limits.
    counts: tuple[Count, ...] = ()
    host: Host | None = None
    #: Once a second: remotes whose first contacts say more than before.
    contacts: tuple[Contact, ...] = ()
    #: By namespace's cookie, who holds raw and packet sockets there, as sentences; where SYN-ACKs came unasked for.
    raw: Mapping[int, tuple[str, ...]] = {}
    #: Connections of services that a finder asked to have counted (`Looker`), by namespace cookie and port.
    established: Mapping[tuple[int, int], int] = {}
    #: Namespaces that were looked into since their counters spoke of trouble, and connections that nobody answered.
    places: tuple[Place, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class Claims(Struct, frozen=True, kw_only=True):
    """Which resets a finding explains: those that fit in all that is said here."""

    #: Causes by slug or family.
    causes: frozenset[str]
    direction: str = "sent"
    netns_cookie: int | None = None
    #: Service's ports; none for any. None among them: those of a crowd, whose ports were not told apart.
    ports: frozenset[int | None] = frozenset()
    #: Labels as `label` gives them, of owner or closer; none for any.
    owners: frozenset[str] = frozenset()
    #: Sources as `source` gives them; none for any.
    remotes: frozenset[str] = frozenset()
    #: Only resets that were sent while their process was exiting, or only others.
    exiting: bool | None = None
    #: Of a port that has or had an owner, so many of each remote at most within a moment; 0 for all. Who looks for open
    #: ports comes once or twice, who wants the service comes back.
    few: int = 0
    #: Only resets from that time on, or up to that time; 0 for any.
    since_ns: int = 0
    until_ns: int = 0


class Draft(Struct, frozen=True, kw_only=True):
    """What a finder holds to be so."""

    #: What makes it one finding and not another of the same finder.
    key: Hashable
    subject: Subject
    since_ns: int
    #: Its last sign.
    last_ns: int
    count: int
    confidence: Confidence
    severity: Severity
    sentence: str
    evidence: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    #: Numbers of resets that show it.
    resets: tuple[int, ...] = ()
    #: The resets that it explains; several where they have not all in common.
    claims: tuple[Claims, ...] = ()
    #: It is told even where stronger findings explain all its resets, or it has none.
    stands: bool = False
    #: What its sentence says beside figures; a change of it is told at once.
    stage: str = ""
    #: It is over; else it is when its finder does not give it any more.
    over: bool = False


class Finder(Protocol):
    """One kind of finding."""

    #: Slug; its module and page have the same.
    NAME: str

    def see(self, batch: Batch) -> None:
        """Takes in what came."""

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """All that it holds to be so now; one that is over is given once more with `over`, or not at all."""


@runtime_checkable
class Looker(Protocol):
    """A finder that asks for what it costs something to see."""

    def looks(self) -> Iterable[tuple[int, int]]:
        """Ports whose connections are to be counted, once a second or rarer, as namespace cookie and port."""


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Table(Generic[Key, Value]):
    """Values by key, so many at most: who was touched longest ago goes first, or who weighs least.

    Args:
        capacity: values.
        weight: what a value is worth; where it is given, of some of the eldest the one that is worth least goes.
    """

    def __init__(self, capacity: int, weight: Callable[[Value], float] | None = None) -> None:
        self._capacity = capacity
        self._weight = weight
        self._values: OrderedDict[Key, Value] = OrderedDict()
        #: Values that went for want of room.
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value, which is not touched by that."""
        return self._values.get(key)

    def touch(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value, made where there is none, as the youngest."""
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = make()
            if len(self._values) > self._capacity:
                self._forget(key)
        else:
            self._values.move_to_end(key)
        return value

    def pop(self, key: Key) -> Value | None:
        """Takes a value out."""
        return self._values.pop(key, None)

    def items(self) -> list[tuple[Key, Value]]:
        """All, the eldest first; the table may be changed meanwhile."""
        return list(self._values.items())

    def drop(self, when: Callable[[Value], bool]) -> None:
        """Forgets what is not needed any more."""
        for key in [key for key, value in self._values.items() if when(value)]:
            del self._values[key]

    def _forget(self, but: Key) -> None:
        self.forgotten += 1
        weight = self._weight
        if weight is None:
            self._values.popitem(last=False)
            return
        eldest = islice(((weight(value), key) for key, value in self._values.items() if key != but), _ELDEST)
        del self._values[min(eldest, key=lambda each: each[0])[1]]


@lru_cache(maxsize=4096)
def source(address: str) -> str:
    """Whom an address stands for: itself, or for IPv6 the /64 that it is in, since one host may have all of that."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address


def sources(reset: Reset) -> list[tuple[str, int]]:
    """Whom a reset's remotes stand for, as `source` has it, with how often each came; one may be named again."""
    top = reset.remotes.top if reset.remotes else ((reset.sample.remote, reset.count),)
    return [(source(address), count) for address, count in top]


def add_sources(known: Counter[str], reset: Reset, most: int) -> None:
    """Adds these to a bounded count: where so many are known, who comes first then is left out."""
    for remote, count in sources(reset):
        if remote in known or len(known) < most:
            known[remote] += count


def label(process: Process | None) -> str:
    """What a process is part of, by which its resets are put together: unit, container or pod, else its name."""
    if process is None:
        return ""
    return service(process) or name(process)


def called(process: Process) -> str:
    """A service's process in an operator's words: «api.service (gunicorn, pid 2214)», «gunicorn (pid 2214)»."""
    program = name(process).rpartition("[")[0]
    part_of = service(process)
    return f"{part_of} ({program}, pid {process.pid})" if part_of else f"{program} (pid {process.pid})"


def times(number: int, one: str, many: str = "") -> str:
    """«1 client», «43 clients»."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def subject_of(
    reset: Reset, *, port: int | None = None, address: str = "", process: Process | None = None, remote: str = ""
) -> Subject:
    """What a finding is about: the namespace that a reset was in, and what its finder knows beside that."""
    sample = reset.sample
    return Subject(
        netns=sample.netns,
        netns_cookie=sample.netns_cookie,
        netns_name=reset.netns_name,
        port=port,
        address=address,
        process=process,
        remote=remote,
    )


def subject_in(count: Count) -> Subject:
    """What a finding is about that counters alone speak of: their namespace."""
    return Subject(netns=count.netns, netns_cookie=count.netns_cookie, netns_name=count.netns_name)
