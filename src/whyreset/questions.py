"""What `whyreset who` asks, what a running watch answers, and what is found in the end.

`Question` and `Answer` cross from process to process (outputs/desk.py): a change of them changes `PROTOCOL`.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct

from whyreset.model import Certainty, Direction, Life, Missing, Owner, Process

#: Version of what is asked and answered; another one is not understood.
PROTOCOL = 1

_AF_INET6 = 10
_PORT_MAX = 65535
#: PID_MAX_LIMIT of include/linux/threads.h on 64-bit kernels.
_PID_MAX = 1 << 22


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who has this port, or what is known of this process. At least one of both is not 0."""

    protocol: int = PROTOCOL
    port: Annotated[int, Meta(ge=0, le=_PORT_MAX)] = 0
    #: With a port: only there, on either side. As the kernel writes it.
    address: Annotated[str, Meta(max_length=64)] = ""
    pid: Annotated[int, Meta(ge=0, le=_PID_MAX)] = 0

    @property
    def place(self) -> str:
        """The port as a person writes it: «:8080», «[::1]:8080»; "" without one."""
        if not self.port:
            return ""
        return f"{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"

    def serves(self, address: str, family: int, *, ipv6_only: bool = False) -> bool:
        """Whether who listens at `address` would serve the one asked for, if that is an address of its namespace."""
        if not self.address or address == self.address:
            return True
        if address == "0.0.0.0":
            return ":" not in self.address
        return address == "::" and (":" in self.address or (family == _AF_INET6 and not ipv6_only))


def parse(text: str, *, pid: bool = False) -> Question:
    """Reads PORT, :PORT, PID or ADDRESS:PORT; a number that can be a port asks for the process of that number too.

    Args:
        pid: it is a pid.
    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    address, colon, number = text.strip().rpartition(":")
    if not re.fullmatch(r"[0-9]{1,9}", number):
        raise ValueError("takes a port (8080), an address and a port (192.0.2.1:8080, [::1]:8080) or a pid")
    value = int(number)
    if pid and colon:
        raise ValueError("takes a number alone as a pid")
    if colon:
        if not 1 <= value <= _PORT_MAX:
            raise ValueError(f"takes a port from 1 to {_PORT_MAX}, not {value}")
        return Question(port=value, address=_address(address))
    if not 1 <= value <= _PID_MAX:
        raise ValueError(f"takes a port or a pid, at most {_PID_MAX}, not {value}")
    return Question(port=value if value <= _PORT_MAX and not pid else 0, pid=value)


def _address(text: str) -> str:
    if text in ("", "*"):
        return ""
    import ipaddress  # with what it needs it takes as long as all else here

    if ":" in text and not (text.startswith("[") and text.endswith("]")):
        raise ValueError("takes IPv6 addresses in brackets: [::1]:8080")
    try:
        parsed = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError("takes a numeric address before the port: 192.0.2.1:8080, [::1]:8080") from None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id:
            raise ValueError("takes IPv6 addresses without their interface: [fe80::1]:8080")
        parsed = parsed.ipv4_mapped or parsed
    return str(parsed)


class Recent(Struct, frozen=True, kw_only=True):
    """Resets alike that were seen lately. Times are nanoseconds since the epoch."""

    direction: Direction
    cause: str
    family: str
    certainty: Certainty
    count: int
    first_ns: int
    last_ns: int
    netns: int
    netns_cookie: int
    netns_name: str = ""
    #: The service's port; None where many were put together.
    port: int | None
    #: Plain words for the cause, with the port.
    what: str
    #: Of the last one.
    evidence: tuple[str, ...]
    local: str = ""
    local_port: int = 0
    remote: str = ""
    remote_port: int = 0
    owner: Owner | None = None
    closer: Process | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What a running watch knows. Times of listeners and processes are CLOCK_BOOTTIME."""

    protocol: int = PROTOCOL
    pid: int
    #: Nanoseconds since the epoch: nothing before is known.
    since_ns: int
    #: What to add to CLOCK_BOOTTIME for nanoseconds since the epoch.
    epoch_ns: int
    lives: tuple[Life, ...] = ()
    #: Those with the pid that was asked for, the dead too; the youngest first.
    processes: tuple[Process, ...] = ()
    #: The latest first.
    resets: tuple[Recent, ...] = ()
    #: How many of these had no room in the answer.
    left_out: int = 0
    #: Beside it goes a descriptor that walks over all open files, whose records are so long; 0 without one.
    walk_bytes: int = 0


# ---- what is found in the end; times are nanoseconds since the epoch, 0 where not known ----


class Standing(Struct, frozen=True, kw_only=True):
    """A socket that listens now."""

    netns: int
    netns_cookie: int
    netns_name: str
    address: str
    port: int
    family: int
    #: None where the holder is not known.
    owner: Owner | None
    #: How many other processes hold it too.
    holders: int = 0
    since_ns: int = 0
    #: The accept queue, as (waiting, limit).
    queue: tuple[int, int] | None = None


class Former(Struct, frozen=True, kw_only=True):
    """A socket that listened before."""

    netns: int
    netns_cookie: int
    netns_name: str
    address: str
    port: int
    family: int
    owner: Owner
    since_ns: int
    until_ns: int
    #: How that ended, in words: «killed by SIGSEGV», «closed its socket».
    end: str
    #: Who held it last, where that was another process.
    last: Process | None = None


class Connections(Struct, frozen=True, kw_only=True):
    """Sockets other than listeners that have the same ports asked for, owner and namespace."""

    netns: int
    netns_cookie: int
    netns_name: str
    #: The service's port is the peer's.
    outgoing: bool
    #: Ours, or the peer's where `outgoing`.
    port: int
    #: Somebody listens on it here, so that these were accepted.
    accepted: bool = False
    #: Where all have the same; else 0.
    remote_port: int = 0
    owner: Owner | None
    #: Some process holds them, also where it is not known which.
    held: bool = True
    count: int
    states: dict[str, int]
    #: The peers seen most.
    remotes: tuple[tuple[str, int], ...]
    #: Peers in all.
    distinct: int


class Trace(Struct, frozen=True, kw_only=True):
    """What a log of this host still says of a process."""

    time_ns: int
    log: str
    text: str


class Found(Struct, frozen=True, kw_only=True):
    """All that is known, now and from before."""

    question: Question
    time_ns: int
    #: Our own network namespace's cookie; others' inode numbers may come round.
    home_cookie: int
    #: Which sources spoke: "sockets", "watch", "history", "journal", "kernel log".
    sources: tuple[str, ...] = ()
    listeners: tuple[Standing, ...] = ()
    former: tuple[Former, ...] = ()
    connections: tuple[Connections, ...] = ()
    #: Those with the pid asked for.
    processes: tuple[Owner, ...] = ()
    resets: tuple[Recent, ...] = ()
    traces: tuple[Trace, ...] = ()
    missing: tuple[Missing, ...] = ()
    #: Since when a watch has been looking; 0 without one. Since when a history tells of resets; 0 without one.
    watched_ns: int = 0
    kept_ns: int = 0
    #: A process whose number was asked for as a port, and of which no more is known.
    namesake: Owner | None = None
    #: How many of each list were left out for their number.
    left_out: int = 0

    @property
    def known(self) -> bool:
        """Whether anything is."""
        found = (self.listeners, self.former, self.connections, self.processes, self.resets, self.traces)
        return any(found)
