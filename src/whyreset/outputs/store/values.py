"""What is kept beside the values of the model: when an agent ran, and packets as they were recorded."""

from __future__ import annotations

from msgspec import Struct

from whyreset.model import Missing, Reset

#: As core.tape gives a packet: (time_ns, place, interface, sll_pkttype, link type, original length, bytes).
Taken = tuple[int, int, int, int, int, int, bytes]


class Run(Struct, frozen=True, kw_only=True):
    """An agent's time: what is not within one was not watched. Times are nanoseconds since the epoch."""

    start_ns: int
    #: It is known to have run until then.
    last_ns: int
    version: str
    sources: tuple[str, ...] = ()
    tier: str = ""
    missing: tuple[Missing, ...] = ()
    #: Why it ended; "" while it runs, and where it could not say so.
    reason: str = ""


class Packets(Struct, frozen=True, kw_only=True):
    """Packets of about a second, and what was said of resets meanwhile, one by one and in groups."""

    frames: tuple[Taken, ...] = ()
    resets: tuple[Reset, ...] = ()
    #: By the numbers that packets have for their place: inode numbers of their namespaces.
    places: dict[int, int] = {}
    #: Names of the interfaces in each place, by their numbers.
    interfaces: dict[int, dict[int, str]] = {}
    #: Packets of that time that are not here, for want of room or time.
    dropped: int = 0
