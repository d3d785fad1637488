"""Keys within the lines of JSON, and what keys there are at all."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import Struct


class PacketKey(Struct, kw_only=True, omit_defaults=True):
    """The reset as a capture has it."""

    #: Letters of FSRPAUEC.
    flags: str
    seq: int
    ack: int
    window: int
    ttl: int
    #: IP identification (IPv4).
    ip_id: int | None = None
    #: Payload bytes.
    length: int = 0


class TunnelKey(Struct, kw_only=True, omit_defaults=True):
    """What a packet was wrapped in."""

    kind: str
    src: str
    dst: str
    #: VNI, key, TEID or session.
    id: int | None = None


class PortKey(Struct, kw_only=True):
    """One port of a group."""

    port: int
    count: int


class PortsKey(Struct, kw_only=True):
    """The ports of a group that name the service."""

    distinct: int
    #: False: `distinct` is an estimate, and counts are upper bounds.
    exact: bool
    top: list[PortKey]


def keys_of(kind: type[Struct], prefix: str = "") -> frozenset[str]:
    """The dotted names of the keys of a line: «cause», «trigger.flags»."""
    names: set[str] = set()
    for field in msgspec.structs.fields(kind):
        names.add(prefix + field.encode_name)
        for inner in (field.type, *get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, Struct):
                names |= keys_of(inner, f"{prefix}{field.encode_name}.")
    return frozenset(names)


class SegmentKey(Struct, kw_only=True, omit_defaults=True):
    """The segment that provoked a reset; flags are letters of FSRPAU, of a capture also E and C."""

    flags: str
    seq: int
    ack: int
    #: Payload bytes.
    length: int
    window: int | None = None
    ttl: int | None = None
    #: Of a capture: its number there.
    frame: int | None = None


class KernelKey(Struct, kw_only=True, omit_defaults=True):
    """The kernel's own words."""

    reason: str = ""
    #: The state that the connection was in.
    state: str = ""


class ConnectionKey(Struct, kw_only=True, omit_defaults=True):
    """What the socket knew at that moment."""

    age_ms: int | None = None
    idle_ms: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    unread: int | None = None
    snd_nxt: int | None = None
    rcv_nxt: int | None = None
    #: A remembered connection ended so long before.
    ended_ms: int | None = None
    #: Of a capture: from 1 over all files; several resets may share one. Bytes are those that the reset's sender got
    #: and sent.
    number: int | None = None
    #: The first segment of it in the capture.
    began_frame: int | None = None
    #: How far the handshake was seen before the reset.
    handshake: Literal["", "none", "syn", "syn-ack", "complete"] = ""
    #: Who sent the SYN.
    opener: Literal["", "src", "dst"] = ""


class QueueKey(Struct, kw_only=True):
    """A listener's accept queue."""

    waiting: int
    limit: int


class RemoteKey(Struct, kw_only=True):
    """One remote address of a group, and how many resets went to or came from it."""

    address: str
    count: int


class RemotesKey(Struct, kw_only=True):
    """The remote addresses of a group: how many, and those seen most."""

    distinct: int
    #: False: `distinct` is an estimate, and counts are upper bounds.
    exact: bool
    top: list[RemoteKey]


class ShareKey(Struct, kw_only=True):
    """How many of the resets were of this cause, owner or remote; `other` puts the rest together."""

    name: str
    count: int


class SharesKey(Struct, kw_only=True):
    """Whose the resets sent in an alert's window were, as far as they were explained."""

    resets: int
    #: Of these, those that were declared to be expected.
    expected: int
    causes: list[ShareKey]
    owners: list[ShareKey]
    remotes: list[ShareKey]


class ProcessKey(Struct, kw_only=True, omit_defaults=True):
    """A process; with `via` it is the owner, and `via` says how that is known."""

    pid: int
    comm: str = ""
    exe: str = ""
    command: list[str] = []
    user: str = ""
    uid: int | None = None
    unit: str = ""
    container: str = ""
    container_name: str = ""
    pod: str = ""
    alive: bool | None = None
    #: How it ended: "killed by SIGSEGV".
    exit: str = ""
    via: str = ""
