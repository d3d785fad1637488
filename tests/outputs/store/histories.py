"""Histories to be written and read by the tests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from whyreset.model import Notice
from whyreset.outputs.store.reader import Reader
from whyreset.outputs.store.store import Store
from whyreset.outputs.store.values import Packets, Run

T = TypeVar("T")
SECOND = 1_000_000_000
#: When the tests happen.
NOW = 1_795_326_195 * SECOND


class History:
    """A store and its clocks, which the test moves; whatever is written is on the disk when a method returns.

    Args:
        path: the file.
        size: bytes of it.
        begun_ns: since the epoch.
    """

    def __init__(self, path: Path, *, size: int = 8 << 20, begun_ns: int = NOW) -> None:
        self.path = path
        self.now_ns, self.time_ns = 7 * SECOND, begun_ns
        self.notices: list[Notice] = []
        run = Run(start_ns=begun_ns, last_ns=begun_ns, version="test", sources=("kernel",), tier="reasons")
        self.store = Store(str(path), run, now_ns=self.now_ns, size=size)
        self.settle()

    def settle(self) -> None:
        """Waits for the writer."""
        deadline = time.monotonic() + 60
        while not self.store._writer._outbox.qsize() and self.store._writer._busy and time.monotonic() < deadline:
            time.sleep(0.0005)
        self.notices += self.store.tick(self.now_ns, self.time_ns)

    def pass_time(self, seconds: float, *, clock: float | None = None) -> None:
        """Lets time pass; the time of day may go another way than the clock that never goes back."""
        self.now_ns += round(seconds * SECOND)
        self.time_ns += round((seconds if clock is None else clock) * SECOND)
        self.notices += self.store.tick(self.now_ns, self.time_ns)
        self.settle()

    def take(self, *values: object, seconds: float = 1.0) -> None:
        """Values of one tick, after which so much time passes."""
        self.store.take(values, self.now_ns)
        self.pass_time(seconds)

    def end(self, reason: str = "SIGTERM") -> None:
        """In order."""
        self.notices += self.store.close(reason, self.now_ns, self.time_ns)


def read(path: Path, of: type[T], since_ns: int = 0, until_ns: int = (1 << 63) - 1) -> list[T]:
    """What a history has of a type."""
    with Reader(str(path)) as reader:
        found: list[T] = list(reader.read(of, since_ns, until_ns))
        assert reader.unreadable == 0
    return found


def packets(time_ns: int, data: Iterable[bytes], **more: Any) -> Packets:
    """Packets of a second."""
    frames = tuple((time_ns + at, 0, 2, 4, 1, len(each), each) for at, each in enumerate(data))
    return Packets(frames=frames, places={0: 4026531840}, interfaces={0: {2: "eth0"}}, **more)
