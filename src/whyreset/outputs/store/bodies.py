"""Values as the bytes of a row, and back: MessagePack, compressed. Whatever a row holds, reading it is bounded."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from whyreset.outputs.store.kinds import Kind

#: No row holds more when it is unpacked.
BODY_MAX = 64 << 20
#: Most of the room for a sixth of the time that the best would take.
_LEVEL = 3
_ENCODER = msgspec.msgpack.Encoder()


def encode(values: Iterable[Any]) -> tuple[bytes, int]:
    """The bytes, and how many values could not be written as such."""
    values = tuple(values)
    bad = 0
    try:
        raw = _ENCODER.encode(values)
    except (TypeError, ValueError, OverflowError):  # text of a process that is no text
        good = [each for each in values if _is_writable(each)]
        raw, bad = _ENCODER.encode(good), len(values) - len(good)
    return zlib.compress(raw, _LEVEL), bad


def decode(kind: Kind, body: bytes) -> list[Any] | None:
    """The values; None for what are none, or of another version."""
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, BODY_MAX)
        if not unpacker.eof:
            return None
        found: list[Any] = _decoder(kind.of).decode(raw)
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError, TypeError):
        return None
    return found


@cache
def _decoder(of: type) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(list[of])  # type: ignore[valid-type]


def _is_writable(value: Any) -> bool:
    try:
        _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
