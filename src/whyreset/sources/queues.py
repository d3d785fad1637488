"""The queues of listeners, and the settings that bear on them, in a network namespace whose counters speak of trouble.

Nothing is looked at before a counter has moved, and then no more often than a small share of a core allows. What each
listener dropped (sk_drops) tells exactly which one had no room, also when its queue is empty again at the look.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Holder, Place, Queue
from whyreset.sources import diag

#: Share of a core that looking may cost, and how long it rests at the most for that.
_SHARE, _LONGEST_NS = 0.002, 5_000_000_000
#: Namespaces of one look, listeners of one namespace, half-open handshakes that are counted.
NAMESPACES, LISTENERS, HALF_OPEN = 8, 1024, 8192
#: Sockets that are looked at for the memory that they hold, and ports that are told.
SOCKETS, PORTS = 65536, 8
#: Listeners whose drops are remembered.
REMEMBERED = 4096
_SETTINGS = (
    "core/somaxconn",
    *("ipv4/tcp_abort_on_overflow", "ipv4/tcp_syncookies", "ipv4/tcp_max_syn_backlog"),
    *("ipv4/tcp_syn_retries", "ipv4/tcp_syn_linear_timeouts", "ipv4/tcp_rfc1337", "ipv4/tcp_tw_reuse"),
    *("ipv4/tcp_keepalive_time", "ipv4/tcp_keepalive_intvl", "ipv4/tcp_keepalive_probes"),
)
_GONE = "no process is in it any more, and it has no name"


class Peek(Struct, frozen=True, kw_only=True):
    """A namespace to be looked into, and at what."""

    netns: int
    netns_cookie: int
    queues: bool = False
    #: Count half-open handshakes too: where there are many connections that takes milliseconds.
    half_open: bool = False
    #: Say who holds memory of TCP: that takes a look at all sockets.
    holders: bool = False
    #: All handshakes that were ever dropped there, were dropped since watching began.
    all_new: bool = False


class Peeker:
    """Looks into namespaces, with the rights of this process."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}

    def peek(self, wanted: Peek) -> Place:
        """What there is to see now; of a listener all that it ever dropped. Nothing is an error."""
        try:
            if wanted.netns == diag.here()[0]:
                return _read(wanted)
            path = self._path(wanted.netns)
            if not path:
                return _unread(wanted, _GONE)
            with diag.inside(path):
                return _read(wanted)
        except OSError as error:
            return _unread(wanted, error.strerror or str(error))

    def _path(self, netns: int) -> str:
        """A way into a namespace; "" where there is none."""
        path = self._paths.get(netns, "")
        try:
            if path and os.stat(path).st_ino == netns:
                return path
        except OSError:
            pass
        self._paths = diag.namespaces()
        return self._paths.get(netns, "")


class QueueSource:
    """Decides how often is looked, and what is new.

    Args:
        peek: looks into a namespace.
    """

    def __init__(self, peek: Callable[[Peek], Place]) -> None:
        self._peek = peek
        #: Of our own namespace.
        self.home, self.home_cookie = diag.here()
        self._dropped: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._after_ns = 0

    def begin(self) -> None:
        """Remembers what the listeners of our own namespace have dropped so far."""
        self._look(Peek(netns=self.home, netns_cookie=self.home_cookie, queues=True))

    def look(self, wanted: Iterable[Peek], now_ns: int) -> list[Place]:
        """What there is to see now; nothing where the last look was too costly and too near.

        Args:
            wanted: namespaces, the most important first.
            now_ns: any steady clock.
        """
        if now_ns < self._after_ns:
            return []
        # another process may do it: what it takes all together is what counts
        began_ns = time.monotonic_ns()
        found = [self._look(each) for each, _ in zip(wanted, range(NAMESPACES), strict=False)]
        self._after_ns = now_ns + min(round((time.monotonic_ns() - began_ns) / _SHARE), _LONGEST_NS)
        return found

    def _look(self, wanted: Peek) -> Place:
        place = self._peek(wanted)
        cookie = wanted.netns_cookie
        queues = tuple(
            replace(each, drops=self._new((cookie, each.socket_cookie), each.drops, wanted.all_new))
            for each in place.queues
        )
        return replace(place, queues=queues) if queues else place

    def _new(self, key: tuple[int, int], drops: int | None, all_new: bool) -> int | None:
        """What it dropped since it was looked at before."""
        if drops is None:
            return None
        before = self._dropped.pop(key, 0 if all_new else None)
        self._dropped[key] = drops
        if len(self._dropped) > REMEMBERED:
            self._dropped.popitem(last=False)
        # the kernel counts in 32 bits
        return None if before is None else (drops - before) & 0xFFFFFFFF


def _read(wanted: Peek) -> Place:
    """What the namespace that the thread is in has to show; inode numbers are used again, cookies are not."""
    if diag.here()[1] not in (wanted.netns_cookie, wanted.netns):
        return _unread(wanted, _GONE)
    half_open = diag.half_open(HALF_OPEN) if wanted.half_open else None
    return Place(
        netns=wanted.netns,
        netns_cookie=wanted.netns_cookie,
        settings=_settings(),
        queues=_queues(half_open) if wanted.queues else (),
        holders=_most(diag.holders(SOCKETS)) if wanted.holders else (),
    )


def _unread(wanted: Peek, why: str) -> Place:
    return Place(netns=wanted.netns, netns_cookie=wanted.netns_cookie, unread=why)


def _queues(half_open: Counter[int] | None) -> tuple[Queue, ...]:
    out = []
    for each in diag.listeners(LISTENERS):
        waiting, limit = each.queue or (0, 0)
        out.append(
            Queue(
                port=each.local_port,
                address=each.local.removeprefix("::ffff:"),
                socket_cookie=each.cookie,
                waiting=waiting,
                limit=limit,
                half_open=None if half_open is None else half_open[each.local_port],
                drops=each.drops,
            )
        )
    return tuple(out)


def _most(holders: list[Holder]) -> tuple[Holder, ...]:
    """Those with most orphans, and those with most memory."""
    orphans = sorted(holders, key=lambda each: each.orphans, reverse=True)[:PORTS]
    memory = sorted(holders, key=lambda each: each.memory_bytes, reverse=True)[:PORTS]
    return tuple(dict.fromkeys([*orphans, *memory]))


def _settings() -> dict[str, int]:
    """Of the namespace that the calling thread is in."""
    found = {}
    for name in _SETTINGS:
        try:
            with open(f"/proc/sys/net/{name}", "rb") as file:
                found[name.rpartition("/")[2]] = int(file.read(32))
        except (OSError, ValueError):  # an older kernel has not all of them
            continue
    return found
