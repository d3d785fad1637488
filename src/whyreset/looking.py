"""Which network namespaces are worth a look, and what it shows: only those whose counters say that something is wrong.

It joins the account (what moved, where) with `sources/queues.py`, for whoever holds the clock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from whyreset.account import Account
from whyreset.hands import Hands
from whyreset.model import Attempt, Count, Host, Place
from whyreset.sources import diag
from whyreset.sources.queues import Wanted

#: Handshakes that found no room: in the accept queue, among the half-open ones.
_ACCEPT = ("ListenOverflows", "ListenDrops")
_HALF_OPEN = ("TCPReqQFullDrop", "TCPReqQFullDoCookies")
#: A first SYN is sent again after a second (RFC 6298 section 2.1): who gave up earlier has not waited for an answer.
_PATIENCE_NS = 1_000_000_000
#: Memory of TCP is short, or orphans are too many.
_MEMORY = ("TCPAbortOnMemory", "TCPMemoryPressures")
#: To look at all sockets of all is worth it so often at the most, and of orphans from so large a part of the limit on.
_HOLDERS_NS, _ORPHANS = 10_000_000_000, 0.5
#: How long is looked again after counters have moved, and into how many namespaces.
_AGAIN_NS, _AT_ONCE = 4_000_000_000, 8
#: How long settings are taken to stay as they are, and of how many namespaces that is kept.
_SETTINGS_NS, _NAMESPACES = 60_000_000_000, 256


class Looking:
    """Looks.

    Args:
        hands: who may enter namespaces.
    """

    def __init__(self, hands: Hands) -> None:
        self._source = hands.queues()
        self._home_cookie = diag.here()[1]
        #: When settings were read, and namespaces whose settings are still to be read, by cookie.
        self._settings_at: OrderedDict[int, int] = OrderedDict()
        self._unsettled: OrderedDict[int, int] = OrderedDict()
        #: When it is looked again who holds memory, and where that is still to be done, by cookie and inode number.
        self._holders_after_ns = 0
        self._holding: deque[tuple[int, int]] = deque()
        self._looked: dict[int, tuple[Wanted, int]] = {}

    def begin(self) -> None:
        """To be called once, before the first look."""
        self._source.begin()

    def look(
        self, counts: Iterable[Count], attempts: Iterable[Attempt], account: Account, host: Host, now_ns: int
    ) -> tuple[Place, ...]:
        """What there is to see now; most often nothing, at no cost.

        Args:
            counts: what moved in this second.
            attempts: connections that nobody answered.
            account: tells what the kernel has counted in a namespace.
            host: its gauges and limits.
            now_ns: any steady clock.
        """
        counts = list(counts)
        wanted = sorted((each for each in counts if _moved(each, _ACCEPT + _HALF_OPEN)), key=_weight, reverse=True)
        queues = [
            Wanted(
                netns=each.netns,
                netns_cookie=each.netns_cookie,
                queues=True,
                half_open=bool(_moved(each, _HALF_OPEN)),
                all_new=account.latest(each.netns_cookie).get("ListenDrops") == each.moved.get("ListenDrops", 0),
            )
            for each in wanted
            if not each.gone
        ]
        queues += self._again(queues, now_ns)
        queues += self._short_of_memory(counts, account, host, now_ns)
        queues += self._of_unknown_settings(attempts, {each.netns_cookie for each in queues}, now_ns)
        if not queues:
            return ()
        found = tuple(self._source.look(queues, now_ns))
        for place in found:
            self._unsettled.pop(place.netns_cookie, None)
            self._settings_at[place.netns_cookie] = now_ns
            self._settings_at.move_to_end(place.netns_cookie)
            if len(self._settings_at) > _NAMESPACES:
                self._settings_at.popitem(last=False)
        return found

    def _of_unknown_settings(self, attempts: Iterable[Attempt], seen: set[int], now_ns: int) -> list[Wanted]:
        """Where connections got no answer; until it has been looked there, since not every look is granted."""
        for each in attempts:
            cookie = each.netns_cookie
            is_fresh = now_ns - self._settings_at.get(cookie, -_SETTINGS_NS) < _SETTINGS_NS
            if each.netns and each.longest_ns >= _PATIENCE_NS and not is_fresh:
                self._unsettled[cookie] = each.netns
                if len(self._unsettled) > _NAMESPACES:
                    self._unsettled.popitem(last=False)
        return [
            Wanted(netns=netns, netns_cookie=cookie) for cookie, netns in self._unsettled.items() if cookie not in seen
        ]

    def _again(self, wanted: list[Wanted], now_ns: int) -> list[Wanted]:
        """Those of the last seconds that are not wanted now: counters may be read seldom, and a queue stay full."""
        self._looked = {cookie: each for cookie, each in self._looked.items() if now_ns - each[1] < _AGAIN_NS}
        before = [each for cookie, (each, _) in self._looked.items() if all(cookie != w.netns_cookie for w in wanted)]
        self._looked.update((each.netns_cookie, (each, now_ns)) for each in wanted[:_AT_ONCE])
        return before

    def _short_of_memory(self, counts: Iterable[Count], account: Account, host: Host, now_ns: int) -> Iterable[Wanted]:
        """Where it shows, our own namespace, then all others, some at a time, once in a while: anybody may hold it."""
        moved = [(each.netns_cookie, each.netns) for each in counts if _moved(each, _MEMORY) and not each.gone]
        if not (moved or is_short(host)):
            self._holding.clear()
            return
        if now_ns >= self._holders_after_ns:
            self._holders_after_ns = now_ns + _HOLDERS_NS
            self._holding = deque(dict.fromkeys([*moved, (self._home_cookie, host.netns), *account.places()]))
        for _ in range(min(_AT_ONCE, len(self._holding))):
            cookie, netns = self._holding.popleft()
            yield Wanted(netns=netns, netns_cookie=cookie, holders=True)


def is_short(host: Host) -> bool:
    """Whether its gauges say that TCP's memory is short, or that there are many orphans."""
    gauges, limits = host.gauges, host.limits
    memory = gauges.get("mem", 0) > limits.get("tcp_mem_pressure", float("inf"))
    return memory or gauges.get("orphan", 0) > max(_ORPHANS * limits.get("tcp_max_orphans", float("inf")), 64)


def _moved(count: Count, names: Iterable[str]) -> int:
    return sum(count.moved.get(name, 0) for name in names)


def _weight(count: Count) -> int:
    return _moved(count, _ACCEPT + _HALF_OPEN)
