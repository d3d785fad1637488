"""Who holds sockets, where no kernel program tells: sock_diag and /proc, looked at again and again.

Listeners of this namespace are listed each second, which is cheap; who holds which socket is read from /proc only as
often as its cost allows. So this knows who listens, and who listened while it looked; of a connection it knows the
process only where that was old enough to be looked at. What opened and closed between two looks stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from whyreset.hands import OWN_HANDS, Hands
from whyreset.model import Listener, ListenerEnd, Owner, Process, Record, Socket
from whyreset.observation import Observation
from whyreset.owners.lives import Lives
from whyreset.owners.processes import Processes
from whyreset.owners.sockets import Owners
from whyreset.sources import diag
from whyreset.sources.base import SourceError

#: Sockets that are looked at; beyond that nobody's owner is known by its connection.
_SOCKETS = 1 << 14
_LISTENERS, _FORMER = 4096, 1024
_EVERY_NS, _KEPT_NS = 1_000_000_000, 10_000_000_000
#: Share of a core that reading /proc may cost.
_SHARE = 0.005

_Ends = tuple[str, int, str, int]
_Key = tuple[int, int]


class Holding:
    """Looks at this namespace's sockets. Nothing that it cannot see is an error.

    Args:
        hands: read who holds files of other users' processes.
    """

    def __init__(self, hands: Hands = OWN_HANDS) -> None:
        self._hands = hands
        processes = Processes(capacity=3072, proc=hands, name_of=hands.container_name)
        self._owners = Owners(processes, Lives(_LISTENERS, memory=_FORMER))
        #: By cookie, the listeners of the last look, and when the look was before which they were not there.
        self._listening: dict[int, Socket] = {}
        self._since: dict[int, int] = {}
        #: Who holds which connection, and when that was looked at (CLOCK_BOOTTIME).
        self._connections: dict[_Ends, tuple[_Key, int]] = {}
        self._looked_ns = 0
        self._look_after_ns = self._scan_after_ns = 0

    def look(self, now_ns: int) -> None:
        """Looks again, if that is due.

        Args:
            now_ns: CLOCK_BOOTTIME.
        """
        if now_ns >= self._look_after_ns:
            self._look_after_ns = now_ns + _pause_ns(lambda: self._list(now_ns))
        if now_ns >= self._scan_after_ns:
            self._scan_after_ns = now_ns + _pause_ns(lambda: self._scan(now_ns))

    def owner(self, sample: Record, seen: Observation, *, cause: str, alone: bool, epoch_ns: int) -> Owner | None:
        """Whose socket it was, as far as that is known; `via` as in `owners.sockets`.

        Args:
            sample: the reset in the form that `watch` shows.
            seen: the same as packets showed it.
            cause: its name.
            alone: it stands for no others.
            epoch_ns: what to add to CLOCK_BOOTTIME for nanoseconds since the epoch.
        """
        ends = (sample.local, sample.local_port, sample.remote, sample.remote_port)
        holder, looked_ns = self._connections.get(ends, (None, 0))
        # an older connection between the same ends may have been another's
        if alone and holder and (seen.handshake == "none" or seen.began_ns < looked_ns + epoch_ns):
            return self._owners.known(holder, "open file", sample.time_ns)
        if seen.opener == ("sender" if sample.direction == "sent" else "receiver"):
            return None
        place, lives, family = (sample.netns_cookie, sample.local_port), self._owners.lives, _family(sample.local)
        if cause == "closed-port":
            former = lives.former(*place, time_ns=sample.time_ns, address=sample.local, family=family)
            return self._owners.known(former.owner, "former listener", sample.time_ns) if former else None
        # where the beginning was not seen, it was before watching began
        opened_ns = max(seen.began_ns - epoch_ns, 0) if seen.handshake != "none" else 0
        listener = lives.at(*place, time_ns=opened_ns, address=sample.local, family=family)
        if listener is None:
            return None
        via = "one of the listeners" if lives.shared(listener, time_ns=opened_ns) else "listener"
        return self._owners.known(listener.owner, via, sample.time_ns)

    def _list(self, now_ns: int) -> None:
        """Who listens."""
        try:
            found = {each.cookie: each for each in diag.current(("LISTEN",), _LISTENERS)}
        except OSError:
            return
        for cookie in self._listening.keys() - found.keys():
            # gone since the last look: that it was there then is the latest that is known of it
            end = ListenerEnd(
                netns_cookie=self._listening[cookie].netns_cookie,
                socket_cookie=cookie,
                time_ns=self._looked_ns,
                closer=(0, 0),
                exit_code=None,
                out_of_memory=False,
            )
            self._owners.lives.closed(end)
            del self._since[cookie]
        for cookie in found:
            self._since.setdefault(cookie, self._looked_ns)
        self._listening, self._looked_ns = found, now_ns

    def _scan(self, now_ns: int) -> None:
        """Who holds what, from /proc."""
        try:
            connections = diag.current(("SYN_SENT", "ESTABLISHED", "CLOSE_WAIT"), _SOCKETS)
            holders = self._hands.socket_holders()
        except (OSError, SourceError):
            return
        held = []
        # what has gone since is still asked for: a reset is judged seconds after it came
        there = {ends: known for ends, known in self._connections.items() if now_ns - known[1] < _KEPT_NS}
        for each in (*self._listening.values(), *connections):
            keys = sorted((start, pid) for pid, start in holders.get(each.inode, ()))
            if not keys:
                continue
            if each.state != "LISTEN":
                # who serves a connection is the child of who accepted it
                start, pid = keys[-1]
                ends = (each.local, each.local_port, each.remote, each.remote_port)
                there.pop(ends, None)
                there[ends] = ((pid, start), now_ns)
                continue
            for start, pid in keys:
                held.append((Process(pid=pid, start_ns=start), each.cookie, self._listener(each, (pid, start))))
        self._owners.hold(held)
        self._owners.catch_up(now_ns, len(held))
        for ends in list(islice(there, max(len(there) - _SOCKETS, 0))):
            del there[ends]
        self._connections = there

    def _listener(self, each: Socket, key: _Key) -> Listener:
        return Listener(
            netns_cookie=each.netns_cookie,
            port=each.local_port,
            address=each.local,
            family=each.family,
            ipv6_only=each.ipv6_only,
            socket_cookie=each.cookie,
            owner=key,
            since_ns=self._since[each.cookie],
            netns=each.netns,
        )


def _pause_ns(work: Callable[[], None]) -> int:
    """Does it, and tells how long to wait before it is done again, so that it costs no more than its share."""
    spent_ns = time.thread_time_ns()
    work()
    return max(round((time.thread_time_ns() - spent_ns) / _SHARE), _EVERY_NS)


def _family(address: str) -> int:
    return 10 if ":" in address else 2
