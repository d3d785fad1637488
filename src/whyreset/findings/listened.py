"""Which ports had a listener within the last day: to be refused there is nobody's scan. Bounded."""

from __future__ import annotations

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Table
from whyreset.model import Life

#: How long a listener that is gone still counts.
DAY_NS = 86_400 * SECOND_NS
#: Ports that are remembered, and of each so many listeners and addresses.
PORTS, OF_A_PORT = 4096, 16
_ANY = ("0.0.0.0", "::")


class _Port(Struct):
    #: Addresses of those that listen, by socket cookie.
    living: dict[int, str] = field(default_factory=dict)
    #: When the last one ended at an address, in nanoseconds since the epoch.
    ended: dict[str, int] = field(default_factory=dict)


class Listened:
    """Remembers listeners."""

    def __init__(self) -> None:
        self._ports: Table[tuple[int, int], _Port] = Table(PORTS, weight=lambda port: len(port.living))

    def see(self, batch: Batch) -> None:
        """Listeners that began or ended."""
        for life in batch.lives:
            self._note(life, batch.epoch_ns)

    def before(self, netns_cookie: int, port: int, now_ns: int, address: str = "") -> bool:
        """Whether somebody listened there within the last day.

        Args:
            netns_cookie: of the namespace.
            port: of this host.
            now_ns: nanoseconds since the epoch.
            address: of this host; "" for any.
        """
        known = self._ports.get((netns_cookie, port))
        if known is None:
            return False
        places = {*known.living.values(), *(each for each, end in known.ended.items() if now_ns - end < DAY_NS)}
        return bool(places) and (not address or any(each in _ANY or each == address for each in places))

    def count(self, netns_cookie: int) -> int:
        """How many ports of a namespace are remembered."""
        return sum(key[0] == netns_cookie for key, _ in self._ports.items())

    def _note(self, life: Life, epoch_ns: int) -> None:
        listener = life.listener
        known = self._ports.touch((listener.netns_cookie, listener.port), _Port)
        if listener.until_ns:
            known.living.pop(listener.socket_cookie, None)
            known.ended.pop(listener.address, None)
            known.ended[listener.address] = listener.until_ns + epoch_ns
            if len(known.ended) > OF_A_PORT:
                del known.ended[next(iter(known.ended))]
        elif len(known.living) < OF_A_PORT:
            known.living[listener.socket_cookie] = listener.address
