from collections.abc import Container

from typing_extensions import Buffer

from whyreset.core.ring import Ring
from whyreset.model import Listener, ListenerEnd, Process, ProcessEnd

ROW_BYTES: int
ROWS_MAX: int
EXT_MAX: int

def drain(ring: Ring, limit: int) -> list[Process | ProcessEnd | Listener | ListenerEnd]: ...
def held(data: bytes, wanted: Container[int] = ()) -> list[tuple[Process, int, Listener | None]]: ...
def counters(
    rows: Buffer, head: Buffer, ext_wanted: int
) -> tuple[int, int, int, list[tuple[int, int, tuple[int, ...], tuple[int, ...] | None]]]: ...
