"""The stage: a server and its clients, each side a network namespace of its own, joined by a wire."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from whyreset.demo import namespaces, network
from whyreset.demo.actors import Actor, Script

#: What the two namespaces are called.
NAMES = ("demo-server", "demo-clients")
SERVER = "192.0.2.1"
#: The clients' side has an address for each part that is played there (all of TEST-NET-1, RFC 5737).
WEB, BACKUP, MONITORING, BROWSER, PHONE, SCANNER = (f"192.0.2.{number}" for number in (10, 20, 30, 101, 102, 200))

REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: Between two tries of one client.
PACE_SECONDS = 0.05


class Stage:
    """Two namespaces; they last until the end of this process.

    Raises:
        OSError: this process may not make namespaces, or the kernel lacks what joins them.
    """

    def __init__(self) -> None:
        self._actors: dict[tuple[str, str], Actor] = {}
        self.server, self.clients = namespaces.make(), namespaces.make()
        with namespaces.inside(self.clients):
            network.add_wire(self.server)
            network.take_up(WEB, BACKUP, MONITORING, BROWSER, PHONE, SCANNER)
        with namespaces.inside(self.server):
            network.take_up(SERVER)
        network.await_way(self.clients, self.server, SERVER)
        network.await_way(self.server, self.clients, WEB)

    @property
    def names(self) -> dict[int, str]:
        """What to call the two namespaces, by inode."""
        return {os.fstat(each).st_ino: name for each, name in zip((self.server, self.clients), NAMES, strict=True)}

    def serving(self, command: str, script: Script) -> Actor:
        """An actor on the server's side, who has played the first step; one that played it before plays it again."""
        return self._enter(command, script, self.server)

    def calling(self, command: str, script: Script) -> Actor:
        """An actor on the clients' side, likewise."""
        return self._enter(command, script, self.clients)

    def finish(self) -> None:
        """Has all play what is left of their scripts, the last to enter first; who lives stays for the next time."""
        for actor in reversed(self._actors.values()):
            actor.finish()

    def clear(self) -> None:
        """Dismisses all actors."""
        while self._actors:
            self._actors.popitem()[1].dismiss()

    def _enter(self, command: str, script: Script, namespace: int) -> Actor:
        key = (command, script.__qualname__)
        if actor := self._actors.get(key):
            with suppress(OSError):  # somebody else may have killed it
                actor.step()
                if not actor.gone:
                    return actor
            self._actors.pop(key).dismiss()
        self._actors[key] = Actor(command, script, namespace)
        return self._actors[key]

    @contextmanager
    def out_of_reach(self, address: str) -> Iterator[None]:
        """For the length of the block nothing from the server reaches a client, and neither side is told."""
        with namespaces.inside(self.server):
            network.lead_astray(address)
        try:
            yield
        finally:
            with namespaces.inside(self.server):
                network.lead_home(address)
