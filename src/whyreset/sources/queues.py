"""The queues of listeners, and the settings that bear on them, in a network namespace whose counters speak of trouble.

Nothing is looked at before a counter has moved, and then no more often than a small share of a core allows; what takes
a walk over connections has a share of its own, so that it does not make the other looks seldom. What each listener
dropped (sk_drops) helps to tell which one had no room, also when its queue is empty again at the look.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Holder, Place, Queue
from whyreset.sources import diag

#: Share of a core that looking may cost, and so much more that walks over connections may; and to find the way into a
#: namespace, which takes a walk over all processes where the one is gone that led into it.
_SHARE, _WAYS_SHARE = 0.002, 0.01
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


class Wanted(Struct, frozen=True, kw_only=True):
    """A namespace to be looked into."""

    netns: int
    netns_cookie: int
    queues: bool = False
    #: Count half-open handshakes too: where there are many connections that takes milliseconds.
    half_open: bool = False
    #: Say who holds memory of TCP: that takes a look at all sockets.
    holders: bool = False
    #: All handshakes that were ever dropped there, were dropped since watching began.
    all_new: bool = False


class Queues(Protocol):
    """Who looks."""

    def begin(self) -> None:
        """Remembers what the listeners of our own namespace have dropped so far."""

    def look(self, wanted: Sequence[Wanted], now_ns: int) -> Sequence[Place]:
        """What there is to see now; nothing where the last look was too costly and too near.

        Args:
            wanted: namespaces, the most important first.
            now_ns: any steady clock.
        """


class QueueSource:
    """Looks into namespaces, with this process's rights; see `Queues`."""

    def __init__(self) -> None:
        self._home, self._home_cookie = diag.here()
        self._paths: dict[int, str] = {}
        self._dropped: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._now_ns = self._after_ns = self._walk_after_ns = self._ways_after_ns = 0
        #: What walks of this look cost, and finding ways.
        self._walked_ns = self._ways_ns = 0

    def begin(self) -> None:
        self._look(Wanted(netns=self._home, netns_cookie=self._home_cookie, queues=True))

    def look(self, wanted: Sequence[Wanted], now_ns: int) -> Sequence[Place]:
        if now_ns < self._after_ns:
            return []
        self._now_ns, self._walked_ns, self._ways_ns = now_ns, 0, 0
        began_ns = time.thread_time_ns()
        walks = now_ns >= self._walk_after_ns
        found = [self._look(each if walks else _plain(each)) for each in wanted[:NAMESPACES]]
        spent_ns = time.thread_time_ns() - began_ns - self._walked_ns - self._ways_ns
        self._after_ns = now_ns + round(spent_ns / _SHARE)
        if self._walked_ns:
            self._walk_after_ns = now_ns + round(self._walked_ns / _SHARE)
        return [each for each in found if each is not None]

    def _look(self, wanted: Wanted) -> Place | None:
        """What it shows; None where the way into it is to be found later."""
        try:
            if wanted.netns == self._home:
                return self._read(wanted)
            path = self._path(wanted.netns)
            if path is None:
                return None
            if not path:
                return Place(netns=wanted.netns, netns_cookie=wanted.netns_cookie, unread=_GONE)
            with diag.inside(path):
                return self._read(wanted)
        except OSError as error:
            why = error.strerror or str(error)
            return Place(netns=wanted.netns, netns_cookie=wanted.netns_cookie, unread=why)

    def _read(self, wanted: Wanted) -> Place:
        """What the namespace that the thread is in has to show; inode numbers are used again, cookies are not."""
        if diag.here()[1] not in (wanted.netns_cookie, wanted.netns):
            return Place(netns=wanted.netns, netns_cookie=wanted.netns_cookie, unread=_GONE)
        began_ns = time.thread_time_ns()
        half_open = diag.half_open(HALF_OPEN) if wanted.half_open else None
        holders = _most(diag.holders(SOCKETS)) if wanted.holders else ()
        self._walked_ns += time.thread_time_ns() - began_ns if wanted.half_open or wanted.holders else 0
        return Place(
            netns=wanted.netns,
            netns_cookie=wanted.netns_cookie,
            settings=_settings(),
            queues=self._queues(wanted, half_open) if wanted.queues else (),
            holders=holders,
        )

    def _queues(self, wanted: Wanted, half_open: Counter[int] | None) -> tuple[Queue, ...]:
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
                    drops=self._drops((wanted.netns_cookie, each.cookie), each.drops, wanted.all_new),
                )
            )
        return tuple(out)

    def _drops(self, key: tuple[int, int], drops: int | None, all_new: bool) -> int | None:
        """What it dropped since it was looked at before."""
        if drops is None:
            return None
        before = self._dropped.pop(key, 0 if all_new else None)
        self._dropped[key] = drops
        if len(self._dropped) > REMEMBERED:
            self._dropped.popitem(last=False)
        # the kernel counts in 32 bits
        return None if before is None else (drops - before) & 0xFFFFFFFF

    def _path(self, netns: int) -> str | None:
        """A way into a namespace; "" where there is none, None where that is not known and too costly just now."""
        path = self._paths.get(netns, "")
        try:
            if path and os.stat(path).st_ino == netns:
                return path
        except OSError:
            pass
        if self._now_ns < self._ways_after_ns:
            return "" if self._ways_ns else None  # all ways were sought in this same look
        began_ns = time.thread_time_ns()
        self._paths = diag.namespaces()
        spent_ns = time.thread_time_ns() - began_ns
        self._ways_ns += spent_ns
        self._ways_after_ns = self._now_ns + round(spent_ns / _WAYS_SHARE)
        return self._paths.get(netns, "")


def _plain(wanted: Wanted) -> Wanted:
    """Without what takes a walk."""
    return replace(wanted, half_open=False, holders=False)


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
