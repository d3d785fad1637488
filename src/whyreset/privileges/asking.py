"""The worker's hands: they ask its keeper."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

import msgspec

from whyreset.files import Files
from whyreset.hands import HandsError
from whyreset.model import Place
from whyreset.owners import procfs
from whyreset.owners.procfs import Stat
from whyreset.privileges import requests, rights
from whyreset.privileges.line import GoneError, Line, content, elsewhere
from whyreset.sources.base import SourceError
from whyreset.sources.conntrack import Translations
from whyreset.sources.firewall_tools import Listed, Said, Tools
from whyreset.sources.loading import MAPS, Loaded, Loading, Told
from whyreset.sources.packet_socket import Opened, Shape, Wanted
from whyreset.sources.queues import NAMESPACES, Queues
from whyreset.sources.queues import Wanted as LookWanted

_ANSWER_BYTES_MAX = 64 << 20
#: What the standard library, and we, import within functions: it may lie where only root reads.
_LATER = ("array", "heapq", "urllib.parse")
_Lines = tuple[str, ...]
T = TypeVar("T")


class Asking:
    """Asks a keeper; it has the face of `hands.Hands`. HandsError is raised where the keeper has ended.

    Args:
        line: to the keeper.
        owner: the user and group to become; None to stay the same, without capabilities.
        keeper: its pid.
    """

    def __init__(self, line: Line, owner: tuple[int, int] | None, keeper: int) -> None:
        self._line = line
        self._owner = owner
        self._keeper = keeper
        self._hidden = False
        self.files: Files = _Files(self)

    # ---- asking ----

    def request(
        self, request: requests.Request, kind: Any = None, descriptors: Collection[int] = ()
    ) -> tuple[Any, list[int]]:
        """What is answered, and what came with it.

        Raises:
            SourceError, OSError: it was refused, in the words of whoever could not do it.
            HandsError: nobody is there to answer.
        """
        try:
            self._line.send(requests.encode(request), list(descriptors))
            data, received = self._line.receive(requests.INLINE_BYTES_MAX, requests.DESCRIPTORS_MAX)
        except GoneError as error:
            raise HandsError(self._ended()) from error
        first, rest = data[:1], data[1:]
        if first == requests.ELSEWHERE:
            written = received.pop()
            try:
                rest = content(written, _ANSWER_BYTES_MAX)
            finally:
                os.close(written)
        if first != requests.REFUSED:
            return msgspec.msgpack.decode(rest, type=kind), received
        refused = msgspec.msgpack.decode(rest, type=requests.Refused)
        if refused.errno > 0:
            raise OSError(refused.errno, refused.why)
        raise SourceError(refused.why)

    def tell(self, request: requests.Request, kind: type[T]) -> T:
        """What is answered, where no descriptor comes with it."""
        found: T = self.request(request, kind)[0]
        return found

    def check(self) -> None:
        """Between two requests nothing comes, unless the keeper has ended."""
        if self._line.is_broken():
            raise HandsError(self._ended())

    def _ended(self) -> str:
        return f"the process with its rights (pid {self._keeper}) has ended"

    # ---- rights ----

    def settle(self) -> None:
        for name in _LATER:
            import_module(name)
        if self._owner:
            rights.become(*self._owner)
        else:
            rights.give_up_all()
        # where /proc is hidden from others, only the keeper sees who is there
        self._hidden = not os.path.exists("/proc/1/stat")

    def trusts(self, uid: int) -> bool:
        return uid == 0

    # ---- the kernel program and packets ----

    def load(self, wanted: Loading) -> Loaded:
        told, descriptors = self.request(requests.Load(), Told)
        return _Loaded(self, told, dict(zip(MAPS, descriptors, strict=True)))

    def open_packets(self, shape: Shape) -> Opened:
        (number, netns, cookie, inode), descriptors = self.request(
            requests.OpenPackets(shape), tuple[int, int, int, int]
        )
        return _Packets(self, number, netns, cookie, inode, descriptors[0])

    # ---- namespaces ----

    def open_links(self, path: str) -> socket.socket:
        return socket.socket(fileno=self.request(requests.OpenLinks(path), None)[1][0])

    def tools(self, path: str) -> Tools:
        return _Tools(self, path)

    def translations(self, path: str) -> Translations:
        return _Translations(self, path)

    def raw_sockets(self, path: str, ours: Collection[int]) -> tuple[_Lines, _Lines]:
        return self.tell(requests.RawSockets(path, tuple(ours)), tuple[_Lines, _Lines])

    def raw_senders(self, netns: int) -> tuple[str, ...]:
        return self.tell(requests.RawSenders(netns), _Lines)

    def queues(self) -> Queues:
        return _Queues(self)

    def is_local(self, path: str, address: str) -> bool | None:
        found: bool | None = self.request(requests.IsLocal(path, address), bool | None)[0]
        return found

    def namespaces(self) -> dict[int, str]:
        return self.tell(requests.Namespaces(), dict[int, str])

    def hold(self, path: str) -> str:
        return self.tell(requests.Hold(path), str)

    def is_used(self, path: str) -> bool:
        return not path or self.tell(requests.IsUsed(path), bool)

    def let_go(self, path: str) -> None:
        if path:
            _quietly(self, requests.LetGo(path))

    def socket_holders(self) -> dict[int, list[tuple[int, int]]]:
        return self.tell(requests.SocketHolders(), dict[int, list[tuple[int, int]]])

    def namespace_names(self) -> Mapping[int, str]:
        return self.tell(requests.NamespaceNames(), dict[int, str])

    # ---- processes ----

    def stat(self, pid: int) -> Stat | None:
        if not self._hidden:
            return procfs.stat("/proc", pid)
        shown = self.look(pid)
        return procfs.parse(shown.stat) if shown else None

    def look(self, pid: int) -> procfs.Look | None:
        found: procfs.Look | None = self.request(requests.Look(pid), procfs.Look | None)[0] if pid > 0 else None
        return found

    def container_name(self, container: str, runtime: str) -> str:
        return self.tell(requests.ContainerName(container, runtime), str)

    def listen(self, pid: int) -> socket.socket | None:
        _, descriptors = self.request(requests.Listen(), None)
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def beside(self) -> socket.socket | None:
        _, descriptors = self.request(requests.Beside(), None)
        return socket.socket(fileno=descriptors[0])


class _Loaded:
    """The kernel program, held by the keeper."""

    def __init__(self, asking: Asking, told: Told, maps: dict[str, int]) -> None:
        self._asking = asking
        self._maps = maps
        self.told = told

    def map_fd(self, name: str) -> int:
        return self._maps[name]

    def count(self, *, extended: bool) -> None:
        self._asking.request(requests.Count(extended))

    def open_walk(self) -> int:
        return self._asking.request(requests.OpenWalk(), None)[1][0]

    def close(self) -> None:
        maps, self._maps = self._maps, {}
        for descriptor in maps.values():
            os.close(descriptor)
        if maps:
            _quietly(self._asking, requests.Unload())


class _Queues:
    """Looks through the keeper's eyes."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def begin(self) -> None:
        self._asking.tell(requests.LookInto(()), tuple[Place, ...])

    def look(self, wanted: Sequence[LookWanted], now_ns: int) -> Sequence[Place]:
        return self._asking.tell(requests.LookInto(tuple(wanted[:NAMESPACES])), tuple[Place, ...])


class _Packets:
    """A packet socket, held by the keeper."""

    def __init__(self, asking: Asking, number: int, netns: int, cookie: int, inode: int, descriptor: int) -> None:
        self._asking = asking
        self._number = number
        self.netns, self.cookie, self.inode = netns, cookie, inode
        self._descriptor = descriptor
        self._open = True

    def fileno(self) -> int:
        return self._descriptor

    def mapped(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def want(self, wanted: Wanted) -> None:
        self._asking.request(requests.Want(self._number, wanted))

    def dropped(self) -> int:
        return self._asking.tell(requests.Dropped(self._number), int)

    def interface(self, index: int) -> str:
        return self._asking.tell(requests.Interface(self._number, index), str)

    def close(self) -> None:
        self.mapped()
        if self._open:
            self._open = False
            _quietly(self._asking, requests.ClosePackets(self._number))


class _Tools:
    """The firewall's tools, run by the keeper."""

    def __init__(self, asking: Asking, path: str) -> None:
        self._asking = asking
        self._path = path
        self._asked = False

    def ask(self) -> None:
        if not self._asked:
            self._asking.request(requests.AskTools(self._path))
            self._asked = True

    def answer(self) -> Said | None:
        if not self._asked:
            return None
        kind = tuple[int, tuple[tuple[str, int | None], ...], _Lines] | None
        told, outputs = self._asking.request(requests.ToolsAnswer(self._path), kind)
        if told is None:
            return None
        self._asked = False
        time_ns, listed, unasked = told
        said = tuple(Listed(name, code, each) for (name, code), each in zip(listed, outputs, strict=True))
        return Said(time_ns, said, unasked)

    def close(self) -> None:
        """They end with the keeper."""


class _Translations:
    """What connection tracking knows, asked by the keeper."""

    def __init__(self, asking: Asking, path: str) -> None:
        self._asking = asking
        self._path = path

    def before(self, v6: bool, ends: bytes) -> bytes | None:
        try:
            found: bytes | None = self._asking.request(requests.Translated(self._path, v6, ends), bytes | None)[0]
        except HandsError:  # compiled code asks; the next tick says so
            return None
        return found

    def close(self) -> None:
        """The keeper holds it."""


class _Files:
    """The files that were granted, made by the keeper."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def make_folder(self, path: str) -> None:
        self._asking.request(requests.MakeFolder(path))

    def open(self, path: str, *, force: bool) -> int:
        return self._asking.request(requests.OpenFile(path, force), None)[1][0]

    def remove(self, path: str) -> None:
        self._asking.request(requests.RemoveFile(path))

    def put(self, path: str, content: bytes) -> None:
        descriptor = elsewhere(content)
        try:
            self._asking.request(requests.Put(path), None, (descriptor,))
        finally:
            os.close(descriptor)


def _quietly(asking: Asking, request: requests.Request) -> None:
    """At the end it does not matter whether the keeper was faster."""
    try:
        asking.request(request)
    except (HandsError, SourceError, OSError):
        return
