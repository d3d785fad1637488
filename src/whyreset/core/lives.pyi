from collections.abc import Container, Sequence

from typing_extensions import Buffer

from whyreset.core.ring import Ring
from whyreset.model import Listener, ListenerEnd, Process, ProcessEnd, Socket

HELD_BYTES: int
ROW_BYTES: int
ROWS_MAX: int
EXT_MAX: int

def drain(ring: Ring, limit: int) -> list[Process | ProcessEnd | Listener | ListenerEnd]: ...
def held(data: bytes, wanted: Container[int] = ()) -> list[tuple[Process, int, Listener | None]]: ...
def sockets(data: bytes, states: Sequence[str], port: int = ..., pid: int = ..., limit: int = ...) -> list[Socket]: ...
def counters(
    rows: Buffer, head: Buffer, ext_wanted: int
) -> tuple[int, int, int, list[tuple[int, int, tuple[int, ...], tuple[int, ...] | None]]]: ...
