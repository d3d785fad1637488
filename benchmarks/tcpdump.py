"""tcpdump, beside which the rest is measured: with the guide's filter, on the host that gets what is sent."""

from __future__ import annotations

from benchmarks.common import Child
from tests.hosts.hosts import Pair

_FILTER = "tcp[tcpflags] & (tcp-rst) != 0"


def tcpdump(pair: Pair, path: str = "/dev/null") -> Child:
    """Starts it; what it writes goes to that file."""
    with pair.b.inside():
        return Child("tcpdump", "-i", "eth0", "-w", path, _FILTER)


class Tcpdump:
    """Started and ended at will."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._child: Child | None = None

    def __enter__(self) -> Tcpdump:
        return self

    def __exit__(self, *_: object) -> None:
        self.switch(False)

    def switch(self, on: bool) -> None:
        """Runs it, or does not."""
        if on and self._child is None:
            self._child = tcpdump(self._pair)
            self._child.ready("listening")
        elif not on and self._child is not None:
            self._child.stop()
            self._child.__exit__()
            self._child = None
