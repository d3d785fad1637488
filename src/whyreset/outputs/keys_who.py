"""What lines about a port or a process are made of."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from whyreset.outputs.keys import ProcessKey, QueueKey, RemoteKey


class ListenerKey(Struct, kw_only=True, omit_defaults=True):
    """A socket that listens now."""

    netns: int
    netns_cookie: int | None = None
    netns_name: str = ""
    address: str
    port: int
    #: Left out where it cannot be told.
    owner: ProcessKey | None = None
    #: How many other processes hold the same socket.
    holders: int = 0
    since: str = ""
    queue: QueueKey | None = None


class FormerKey(Struct, kw_only=True, omit_defaults=True):
    """A socket that listened before."""

    netns: int
    netns_cookie: int | None = None
    netns_name: str = ""
    address: str
    port: int
    owner: ProcessKey
    since: str = ""
    until: str
    #: How that ended: "killed by SIGSEGV", "closed its socket".
    end: str
    #: Who held it last, where that was another process.
    last: ProcessKey | None = None


class ConnectionsKey(Struct, kw_only=True, omit_defaults=True):
    """Connections, also half open and lingering ones, of one owner in one namespace."""

    netns: int
    netns_cookie: int | None = None
    netns_name: str = ""
    #: The service's port: theirs where `outgoing`.
    port: int
    outgoing: bool = False
    #: Where all have the same.
    remote_port: int | None = None
    #: Left out where it cannot be told, and where there is none.
    owner: ProcessKey | None = None
    #: A process holds them; else they are in TIME-WAIT, orphans, or nobody has accepted them yet.
    held: bool
    count: int
    states: dict[str, int]
    #: How many remote addresses, and those with most.
    distinct: int
    top: list[RemoteKey]


class RecentKey(Struct, kw_only=True, omit_defaults=True):
    """Resets alike that a watch saw lately; what tells them apart is of the last."""

    direction: Literal["sent", "received", "observed"]
    count: int
    first: str
    last: str
    netns: int
    netns_cookie: int | None = None
    netns_name: str = ""
    cause: str
    family: str
    certainty: Literal["certain", "likely", "unknown"]
    port: int | None = None
    remote: str = ""
    evidence: list[str]
    owner: ProcessKey | None = None
    closer: ProcessKey | None = None


class TraceKey(Struct, kw_only=True):
    """What a log of this host says of a process of that number."""

    time: str
    log: str
    text: str
