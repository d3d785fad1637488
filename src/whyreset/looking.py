"""Which network namespaces are worth a look, and what it shows: only those whose counters say that something is wrong.

It joins the account (what moved, where) with `sources/queues.py`, for whoever holds the clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from whyreset.account import Account
from whyreset.model import Attempt, Count, Place
from whyreset.sources.queues import QueueSource, Wanted

#: Handshakes that found no room: in the accept queue, among the half-open ones.
_ACCEPT = ("ListenOverflows", "ListenDrops")
_HALF_OPEN = ("TCPReqQFullDrop", "TCPReqQFullDoCookies")
#: A first SYN is sent again after a second (RFC 6298 section 2.1): who gave up earlier has not waited for an answer.
_PATIENCE_NS = 1_000_000_000
#: How long settings are taken to stay as they are, and of how many namespaces that is kept.
_SETTINGS_NS, _NAMESPACES = 60_000_000_000, 256


class Looking:
    """Looks."""

    def __init__(self) -> None:
        self._source = QueueSource()
        self._settings_at: OrderedDict[int, int] = OrderedDict()

    def begin(self) -> None:
        """To be called once, before the first look."""
        self._source.begin()

    def look(
        self, counts: Iterable[Count], attempts: Iterable[Attempt], account: Account, now_ns: int
    ) -> tuple[Place, ...]:
        """What there is to see now; most often nothing, at no cost.

        Args:
            counts: what moved in this second.
            attempts: connections that nobody answered.
            account: tells what the kernel has counted in a namespace.
            now_ns: any steady clock.
        """
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
        seen = {each.netns_cookie for each in queues}
        for each in attempts:
            cookie = each.netns_cookie
            if each.netns and each.longest_ns >= _PATIENCE_NS and cookie not in seen and self._is_stale(cookie, now_ns):
                seen.add(cookie)
                queues.append(Wanted(netns=each.netns, netns_cookie=cookie))
        return tuple(self._source.look(queues, now_ns)) if queues else ()

    def _is_stale(self, cookie: int, now_ns: int) -> bool:
        """Whether a namespace's settings should be read (again)."""
        if now_ns - self._settings_at.get(cookie, -_SETTINGS_NS) < _SETTINGS_NS:
            return False
        self._settings_at[cookie] = now_ns
        self._settings_at.move_to_end(cookie)
        if len(self._settings_at) > _NAMESPACES:
            self._settings_at.popitem(last=False)
        return True


def _moved(count: Count, names: Iterable[str]) -> int:
    return sum(count.moved.get(name, 0) for name in names)


def _weight(count: Count) -> int:
    return _moved(count, _ACCEPT + _HALF_OPEN)
