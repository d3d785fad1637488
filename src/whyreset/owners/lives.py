"""Who listened on a port, from when until when, and how that ended.

Listeners that live are kept whole, a bounded number of others is remembered.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from whyreset.model import Listener, ListenerEnd

_AF_INET = 2
_WILDCARDS = ("0.0.0.0", "::")
#: How an IPv6 socket that serves IPv4 alone is bound (RFC 4291 section 2.5.5.2); Java does so.
_MAPPED = "::ffff:"
#: Former listeners remembered for one port.
_PER_PORT = 8
_HOLDERS = 64


class Lives:
    """The listeners of all namespaces.

    Args:
        capacity: living listeners.
        memory: former ones (some 600 bytes each); the eldest are forgotten first.
        opens: is told of each listener that was not known.
    """

    def __init__(
        self, capacity: int = 8192, memory: int | None = None, opens: Callable[[Listener], None] = lambda _: None
    ) -> None:
        self._capacity = capacity
        self._opens = opens
        self._memory = capacity if memory is None else memory
        self._open: dict[int, Listener] = {}
        self._by_port: dict[tuple[int, int], list[int]] = {}
        #: By port, the port whose listener ended longest ago first.
        self._former: OrderedDict[tuple[int, int], list[Listener]] = OrderedDict()
        #: Former listeners that are remembered.
        self.remembered = 0
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, listener: Listener) -> Listener | None:
        """A socket listens; returns it where it, or since when, was not known.

        One that was known already is held by several processes: its owner is who called listen(2), or the eldest of
        those that the walk over open files found, from which the others inherited it.
        """
        known = self._open.get(listener.socket_cookie)
        if known is not None and known.port == listener.port:
            begins = bool(listener.since_ns) and not known.since_ns
            if not known.since_ns and (listener.since_ns or listener.owner[1] < known.owner[1]):
                known, listener = replace(known, owner=listener.owner, since_ns=listener.since_ns), known
            if listener.owner not in (known.owner, *known.holders) and len(known.holders) < _HOLDERS:
                known = replace(known, holders=(*known.holders, listener.owner))
            self._open[known.socket_cookie] = known
            return known if begins else None
        if known is not None:  # its end was lost, and it listens again elsewhere
            self._take(known.socket_cookie)
        if listener.address.startswith(_MAPPED) and "." in listener.address:
            listener = replace(listener, address=listener.address.removeprefix(_MAPPED), family=_AF_INET)
        listener = replace(listener, address=sys.intern(listener.address))  # most have one of a few
        self._open[listener.socket_cookie] = listener
        self._by_port.setdefault((listener.netns_cookie, listener.port), []).append(listener.socket_cookie)
        if len(self._open) > self._capacity:
            # so many only pile up where their ends were lost
            self._take(next(iter(self._open)))
            self.forgotten += 1
        self._opens(listener)
        return listener

    def closed(self, end: ListenerEnd) -> Listener | None:
        """A socket no longer listens; returns what it was. One that was never known leaves nothing."""
        listener = self._take(end.socket_cookie)
        if listener is None:
            return None
        listener = replace(
            listener,
            until_ns=end.time_ns,
            closer=listener.owner if end.closer == listener.owner else end.closer,  # one value for both
            exit_code=end.exit_code,
            out_of_memory=end.out_of_memory,
        )
        place = (listener.netns_cookie, listener.port)
        former = self._former.setdefault(place, [])
        former.append(listener)
        self._former.move_to_end(place)
        self.remembered += 1
        if len(former) > _PER_PORT:
            del former[0]
            self.remembered -= 1
        while self.remembered > self._memory:
            _, gone = self._former.popitem(last=False)
            self.remembered -= len(gone)
            self.forgotten += len(gone)
        return listener

    def _take(self, cookie: int) -> Listener | None:
        """Removes a living listener."""
        listener = self._open.pop(cookie, None)
        if listener is not None:
            place = (listener.netns_cookie, listener.port)
            cookies = self._by_port[place]
            cookies.remove(cookie)
            if not cookies:
                del self._by_port[place]
        return listener

    def at(
        self, netns_cookie: int, port: int, *, time_ns: int, address: str = "", family: int = 0, cookie: int = 0
    ) -> Listener | None:
        """Who listened there at that time; the one bound to `address` itself goes before one bound to all.

        Args:
            cookie: the listening socket's, where it is known: it tells apart those that share a port (SO_REUSEPORT).
        """
        found = self._there(netns_cookie, port, time_ns)
        if cookie:
            return next((each for each in found if each.socket_cookie == cookie), None)
        serving = [each for each in found if each.serves(address, family)]
        return max(serving, key=lambda each: (each.address not in _WILDCARDS, each.since_ns), default=None)

    def shared(self, listener: Listener, *, time_ns: int) -> bool:
        """Whether another process listened at that time on the very same port and address (SO_REUSEPORT)."""
        return any(
            other.owner != listener.owner and (other.address, other.family) == (listener.address, listener.family)
            for other in self._there(listener.netns_cookie, listener.port, time_ns)
        )

    def _there(self, netns_cookie: int, port: int, time_ns: int) -> list[Listener]:
        place = (netns_cookie, port)
        living = [self._open[cookie] for cookie in self._by_port.get(place, ())]
        return [each for each in living if each.since_ns <= time_ns] + [
            each for each in self._former.get(place, ()) if each.since_ns <= time_ns <= each.until_ns
        ]

    def of_socket(self, cookie: int) -> Listener | None:
        """Who listens on that socket now."""
        return self._open.get(cookie)

    def of_port(self, port: int) -> list[Listener]:
        """All that listen or listened on a port, in every namespace."""
        return [each for each in self._all() if each.port == port]

    def of_process(self, pid: int) -> list[Listener]:
        """All that a process made, held or closed."""
        return [
            each
            for each in self._all()
            if each.owner[0] == pid or (each.closer and each.closer[0] == pid) or any(pid == k[0] for k in each.holders)
        ]

    def _all(self) -> Iterator[Listener]:
        yield from self._open.values()
        for former in self._former.values():
            yield from former

    def former(
        self, netns_cookie: int, port: int, *, time_ns: int, address: str = "", family: int = 0
    ) -> Listener | None:
        """The last listener there that had ended by then, of those that served `address`."""
        known = self._former.get((netns_cookie, port), ())
        ended = [each for each in known if each.until_ns <= time_ns and each.serves(address, family)]
        return max(ended, key=lambda each: each.until_ns, default=None)
