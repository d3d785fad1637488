"""What takes rights: all that a watch does and that an unprivileged process may not.

Code above does not know whose hands they are: its own (`OwnHands`), or those of a second process that has kept the
rights which this one has given up (`privileges`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Protocol

from whyreset.files import OWN, Files
from whyreset.outputs import desk
from whyreset.owners import containers, namespaces
from whyreset.owners.procfs import Look, Proc, Stat
from whyreset.sources import diag, links, rawsockets, sockets
from whyreset.sources.conntrack import Conntrack, Translations
from whyreset.sources.firewall_tools import OwnTools, Tools
from whyreset.sources.loading import Loaded, LoadedHere, Loading
from whyreset.sources.namespaces import Namespace
from whyreset.sources.packet_socket import Opened, PacketSocket, Shape
from whyreset.sources.queues import Queues, QueueSource


class HandsError(Exception):
    """They are gone; a sentence."""


class Hands(Protocol):
    """Namespaces are named by paths («/proc/911/ns/net»), "" for one's own."""

    @property
    def files(self) -> Files:
        """Makes the files that the user has named."""

    def load(self, wanted: Loading) -> Loaded:
        """Loads the kernel program; raises SourceError."""

    def open_packets(self, shape: Shape) -> Opened:
        """Opens a packet socket; raises SourceError."""

    def open_links(self, path: str) -> socket.socket:
        """See `links.opened`; raises OSError."""

    def tools(self, path: str) -> Tools:
        """The firewall's tools in that namespace."""

    def translations(self, path: str) -> Translations:
        """What connection tracking knows in that namespace."""

    def raw_sockets(self, path: str, ours: Collection[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See `rawsockets.held`."""

    def raw_senders(self, netns: int) -> tuple[str, ...]:
        """See `rawsockets.of_namespace`."""

    def queues(self) -> Queues:
        """What looks into namespaces whose counters speak of trouble."""

    def is_local(self, path: str, address: str) -> bool | None:
        """Whether an address is that namespace's own; None where that cannot be told."""

    def namespaces(self) -> dict[int, str]:
        """Paths of the network namespaces that there are, by inode number."""

    def hold(self, path: str) -> str:
        """Takes hold of a namespace: the path that is returned leads to no other, until `let_go`.

        One that cannot be held keeps its path, for whoever says what stands in the way.
        """

    def is_used(self, path: str) -> bool:
        """Whether a process is in a namespace that is held, or a name leads to it; one that is not held is used."""

    def let_go(self, path: str) -> None:
        """Of one that was held; of others nothing."""

    def socket_holders(self) -> dict[int, list[tuple[int, int]]]:
        """See `sockets.held_here`."""

    def namespace_names(self) -> Mapping[int, str]:
        """Names of network namespaces, by inode number."""

    def stat(self, pid: int) -> Stat | None:
        """See `procfs.Proc`; raises OSError."""

    def look(self, pid: int) -> Look | None:
        """See `procfs.Proc`."""

    def container_name(self, container: str, runtime: str) -> str:
        """See `containers.container_name`."""

    def listen(self, pid: int) -> socket.socket | None:
        """See `desk.listen`."""

    def trusts(self, uid: int) -> bool:
        """Whether somebody with that uid is answered who asks the watch."""

    def beside(self) -> socket.socket | None:
        """A socket to what was started beside; None where whoever asks has to start it."""

    def settle(self) -> None:
        """Has this process give up its rights, where these are not its own hands.

        To be called after all that is read or imported with the user's own rights, and before anything is read that
        others may have sent.
        """

    def check(self) -> None:
        """To be called each tick: raises HandsError where they are gone."""


class OwnHands(Proc):
    """With the rights of this process."""

    files: Files = OWN

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, Namespace] = {}

    def load(self, wanted: Loading) -> Loaded:
        return LoadedHere(wanted)

    def open_packets(self, shape: Shape) -> Opened:
        return PacketSocket(shape)

    def open_links(self, path: str) -> socket.socket:
        return links.opened(path)

    def tools(self, path: str) -> Tools:
        return OwnTools(path)

    def translations(self, path: str) -> Translations:
        return Conntrack(path)

    def raw_sockets(self, path: str, ours: Collection[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return rawsockets.held(path, ours)

    def raw_senders(self, netns: int) -> tuple[str, ...]:
        return rawsockets.of_namespace(netns, (os.getpid(),))

    def queues(self) -> Queues:
        return QueueSource()

    def is_local(self, path: str, address: str) -> bool | None:
        try:
            with ExitStack() as stack:
                if path:
                    stack.enter_context(diag.inside(path))
                return diag.is_local(address)
        except OSError:
            return None

    def namespaces(self) -> dict[int, str]:
        return diag.namespaces()

    def hold(self, path: str) -> str:
        namespace = Namespace(path)
        try:
            namespace.open()
        except OSError:
            return path
        if path:
            self._held[namespace.path] = namespace
        return namespace.path

    def is_used(self, path: str) -> bool:
        held = self._held.get(path)
        return held is None or held.is_used()

    def let_go(self, path: str) -> None:
        if held := self._held.pop(path, None):
            held.close()

    def socket_holders(self) -> dict[int, list[tuple[int, int]]]:
        return sockets.held_here()

    def namespace_names(self) -> Mapping[int, str]:
        return namespaces.on_disk()

    def container_name(self, container: str, runtime: str) -> str:
        return containers.container_name(container, runtime)

    def listen(self, pid: int) -> socket.socket | None:
        return desk.listen(pid)

    def trusts(self, uid: int) -> bool:
        return uid in (0, os.geteuid())

    def beside(self) -> socket.socket | None:
        return None

    def settle(self) -> None:
        """Its rights are all that it has."""

    def check(self) -> None:
        """They are never gone."""


OWN_HANDS: Hands = OwnHands()
