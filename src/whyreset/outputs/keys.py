"""Keys that lines of JSON have where they speak of packets, and what keys there are at all."""

from __future__ import annotations

from typing import get_args

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
