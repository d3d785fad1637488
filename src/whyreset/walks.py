"""Walks over all open files, by the kernel program: who holds which socket, and how many. Only as often as their cost
allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from contextlib import contextmanager

from whyreset.core import lives
from whyreset.model import Group
from whyreset.owners.sockets import Owners
from whyreset.sources.diag import STATES

#: Share of a core that they may cost.
_SHARE = 0.005


class Walks:
    """Walks.

    Args:
        held: walks once; see `sources.program`.
    """

    def __init__(self, held: Callable[[], bytes]) -> None:
        self._held = held
        self._after_ns = 0

    def hold(self, owners: Owners, wanted: Container[int] = (), *, first: bool = False) -> None:
        """Lets `owners` know who holds what.

        Args:
            owners: who is to know.
            wanted: cookies of sockets whose holder is asked for.
            first: at the start, which is no demand's: the next may follow at once.
        """
        if not self._may():
            return
        with self._counted():
            owners.hold(lives.held(self._held(), wanted), wanted)
        if first:
            self._after_ns = 0

    def established(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """How many connections processes hold on these ports; none where it is not the time for that.

        Args:
            places: namespace cookies and ports.
        """
        if not places or not self._may():
            return {}
        with self._counted():
            walk = self._held()
            found = dict.fromkeys(places, 0)
            for port in {port for _, port in places}:
                cookies = {
                    (each.netns_cookie, each.cookie)
                    for each in lives.sockets(walk, STATES, port=port)
                    if each.state == "ESTABLISHED" and each.local_port == port
                }
                for netns_cookie, _ in cookies:
                    if (netns_cookie, port) in found:
                        found[netns_cookie, port] += 1
        return found

    def _may(self) -> bool:
        return time.monotonic_ns() >= self._after_ns

    @contextmanager
    def _counted(self) -> Iterator[None]:
        now_ns, spent_ns = time.monotonic_ns(), time.thread_time_ns()
        yield
        self._after_ns = now_ns + round((time.thread_time_ns() - spent_ns) / _SHARE)


def unheld(groups: Iterable[Group]) -> set[int]:
    """Cookies of sockets that some process holds open while only the listener is known, or who accepted them."""
    return {
        sample.socket_cookie
        for group in groups
        if group.facts.has_file and not group.facts.released
        for sample in group.samples
        if sample.owner is None or sample.owner_via == "accept"
    }
