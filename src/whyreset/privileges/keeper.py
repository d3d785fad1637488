"""The keeper: does one worker's requests, as far as they were granted."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from whyreset.hands import OWN_HANDS
from whyreset.privileges import requests, rights
from whyreset.privileges.grants import Grants
from whyreset.privileges.outputs import Outputs
from whyreset.privileges.requests import NotGrantedError, Reply
from whyreset.sources import diag
from whyreset.sources.base import SourceError
from whyreset.sources.conntrack import Translations
from whyreset.sources.firewall_tools import Tools
from whyreset.sources.loading import MAPS, Loaded
from whyreset.sources.packet_socket import Opened, Wanted
from whyreset.sources.queues import Queues

#: Namespaces that were found, and held.
_PATHS_MAX = 64
_BLOCK_BYTES_MAX, _BLOCKS_MAX, _WAIT_MS_MAX = 1 << 20, 4096, 10_000


class Keeper:
    """Does what takes rights.

    Args:
        grants: what this run may ask for.
        worker: the process that asks, and the user and group that it will be; None for the same.
    """

    def __init__(self, grants: Grants, worker: int, owner: tuple[int, int] | None) -> None:
        self._grants = grants
        self._worker = worker
        self._hands = OWN_HANDS
        self._outputs = Outputs(grants, owner)
        self._beside: int | None = None
        self._end_beside: Callable[[], None] | None = None
        self._loaded: Loaded | SourceError | None = None
        self._packets: list[Opened | None] = []
        self._paths = {""}
        self._tools: dict[str, Tools] = {}
        self._translations: dict[str, Translations] = {}
        self._listening = False
        self._queues: Queues | None = None

    def prepare(self) -> None:
        """Does what is certain to be asked for, while the worker still begins; then keeps only the rights for more."""
        grants = self._grants
        if grants.beside:
            self._beside, self._end_beside = grants.beside()
        if grants.loading:
            try:
                self._loaded = self._hands.load(grants.loading)
            except SourceError as error:
                self._loaded = error
        rights.keep_only(needed(grants))

    def do(self, request: requests.Request, descriptors: Sequence[int]) -> Reply:
        """Answers one request.

        Args:
            descriptors: what came with it; whoever calls closes them.
        Raises:
            NotGrantedError, SourceError, OSError: there is no answer.
        """
        if isinstance(request, requests.Put):
            if not descriptors:
                raise NotGrantedError("nothing came to be put there")
            self._outputs.put(request.path, descriptors[0])
            return Reply()
        try:
            return _DONE[type(request)](self, request)
        except (ValueError, OverflowError, struct.error) as error:  # no address, too many ports, no number of one
            raise NotGrantedError(f"such a value ({error})") from error

    def close(self) -> None:
        """Ends what would not end with this process."""
        for tools in self._tools.values():
            tools.close()
        if self._end_beside:
            self._end_beside()

    # ---- the kernel program ----

    def _load(self, _: requests.Load) -> Reply:
        if isinstance(self._loaded, SourceError):
            raise self._loaded
        loaded = self._running
        # each map's descriptor stays open here too
        return Reply(loaded.told, tuple(loaded.map_fd(name) for name in MAPS), kept=True)

    def _unload(self, _: requests.Unload) -> Reply:
        self._running.close()
        self._loaded = None
        return Reply()

    def _count(self, request: requests.Count) -> Reply:
        self._running.count(extended=request.extended)
        return Reply()

    def _open_walk(self, _: requests.OpenWalk) -> Reply:
        return Reply(None, (self._running.open_walk(),))

    @property
    def _running(self) -> Loaded:
        if self._loaded is None or isinstance(self._loaded, SourceError):
            raise NotGrantedError("a kernel program")
        return self._loaded

    # ---- packets ----

    def _open_packets(self, request: requests.OpenPackets) -> Reply:
        shape, grants = request.shape, self._grants
        self._check_place(shape.path)
        self._check_wanted(shape.wanted)
        if len(self._packets) >= grants.packets:
            raise NotGrantedError("another packet socket")
        if not (
            0 < shape.snap_bytes <= grants.snap_bytes
            and 0 < shape.block_bytes <= _BLOCK_BYTES_MAX
            and 0 < shape.blocks <= _BLOCKS_MAX
            and 0 < shape.wait_ms <= _WAIT_MS_MAX
        ):
            raise NotGrantedError("a ring like that")
        opened = self._hands.open_packets(shape)
        self._packets.append(opened)
        told = (len(self._packets) - 1, opened.netns, opened.cookie, opened.inode)
        return Reply(told, (opened.fileno(),), kept=True)

    def _want(self, request: requests.Want) -> Reply:
        self._check_wanted(request.wanted)
        self._ring(request.number).want(request.wanted)
        return Reply()

    def _dropped(self, request: requests.Dropped) -> Reply:
        return Reply(self._ring(request.number).dropped())

    def _interface(self, request: requests.Interface) -> Reply:
        return Reply(self._ring(request.number).interface(request.index))

    def _close_packets(self, request: requests.ClosePackets) -> Reply:
        self._ring(request.number).close()
        self._packets[request.number] = None
        return Reply()

    def _ring(self, number: int) -> Opened:
        opened = self._packets[number] if number < len(self._packets) else None
        if opened is None:
            raise NotGrantedError("a socket that is not open")
        return opened

    def _check_wanted(self, wanted: Wanted) -> None:
        """Every segment is for causes from packets alone: where the kernel program runs nobody needs them."""
        alone = self._loaded is None or isinstance(self._loaded, SourceError)
        if wanted.everything and not (self._grants.everything and alone):
            raise NotGrantedError("every segment")

    # ---- namespaces ----

    def _namespaces(self, _: requests.Namespaces) -> Reply:
        found = diag.called(self._hands.namespaces(), self._grants.netns) if self._grants.netns else {}
        self._paths.update(found.values())
        return Reply(found)

    def _check_place(self, path: str) -> None:
        """Only those that were named on the command line, by paths that were found for them here."""
        if path not in self._paths:
            raise NotGrantedError("that network namespace")

    def _hold(self, request: requests.Hold) -> Reply:
        self._check_place(request.path)
        if len(self._paths) > _PATHS_MAX:
            raise NotGrantedError("so many network namespaces")
        held = self._hands.hold(request.path)
        self._paths.add(held)
        return Reply(held)

    def _is_used(self, request: requests.IsUsed) -> Reply:
        self._check_place(request.path)
        return Reply(self._hands.is_used(request.path))

    def _let_go(self, request: requests.LetGo) -> Reply:
        self._check_place(request.path)
        # the number of its descriptor may soon be another file's
        if request.path:
            self._paths.discard(request.path)
            if tools := self._tools.pop(request.path, None):
                tools.close()
            if translations := self._translations.pop(request.path, None):
                translations.close()
            self._hands.let_go(request.path)
        return Reply()

    def _socket_holders(self, _: requests.SocketHolders) -> Reply:
        if not self._grants.everything:
            raise NotGrantedError("who holds sockets")
        return Reply(self._hands.socket_holders())

    def _namespace_names(self, _: requests.NamespaceNames) -> Reply:
        return Reply(self._hands.namespace_names())

    def _open_links(self, request: requests.OpenLinks) -> Reply:
        self._check_wire(request.path)
        return Reply(None, (self._hands.open_links(request.path).detach(),))

    def _ask_tools(self, request: requests.AskTools) -> Reply:
        self._tools_of(request.path).ask()
        return Reply()

    def _tools_answer(self, request: requests.ToolsAnswer) -> Reply:
        said = self._tools_of(request.path).answer()
        if said is None:
            return Reply()
        told = (said.time_ns, tuple((each.name, each.code) for each in said.listed), said.unasked)
        return Reply(told, tuple(each.output for each in said.listed))

    def _tools_of(self, path: str) -> Tools:
        self._check_wire(path)
        if path not in self._tools:
            self._tools[path] = self._hands.tools(path)
        return self._tools[path]

    def _translated(self, request: requests.Translated) -> Reply:
        self._check_wire(request.path)
        if request.path not in self._translations:
            self._translations[request.path] = self._hands.translations(request.path)
        return Reply(self._translations[request.path].before(request.v6, request.ends))

    def _raw_sockets(self, request: requests.RawSockets) -> Reply:
        self._check_wire(request.path)
        return Reply(self._hands.raw_sockets(request.path, request.ours))

    def _raw_senders(self, request: requests.RawSenders) -> Reply:
        self._check_looking()
        # the worker holds the packet sockets that were opened for it too
        ours = (f"[{self._worker}]", f"[{os.getpid()}]")
        found = self._hands.raw_senders(request.netns)
        return Reply(tuple(each for each in found if not any(pid in each for pid in ours)))

    def _look_into(self, request: requests.LookInto) -> Reply:
        self._check_looking()
        if self._queues is None:
            self._queues = self._hands.queues()
            self._queues.begin()
        # by this clock, so that no more is looked at than a small share of a core allows
        return Reply(tuple(self._queues.look(request.wanted, time.monotonic_ns())))

    def _check_looking(self) -> None:
        if not self._grants.looking:
            raise NotGrantedError("a look into namespaces")

    def _is_local(self, request: requests.IsLocal) -> Reply:
        self._check_wire(request.path)
        return Reply(self._hands.is_local(request.path, request.address))

    def _check_wire(self, path: str) -> None:
        if not self._grants.packets:
            raise NotGrantedError("what stands beside packets")
        self._check_place(path)

    # ---- processes, and who asks for them ----

    def _look(self, request: requests.Look) -> Reply:
        return Reply(self._hands.look(request.pid))

    def _container_name(self, request: requests.ContainerName) -> Reply:
        return Reply(self._hands.container_name(request.container, request.runtime))

    def _listen(self, _: requests.Listen) -> Reply:
        if self._listening:
            raise NotGrantedError("another place to be asked at")
        self._listening = True
        listener = self._hands.listen(self._worker)
        return Reply(None, (listener.detach(),) if listener else ())

    def _start_beside(self, _: requests.Beside) -> Reply:
        beside, self._beside = self._beside, None
        if beside is None:
            raise NotGrantedError("something beside")
        return Reply(None, (beside,), kept=True)

    # ---- files ----

    def _open_file(self, request: requests.OpenFile) -> Reply:
        return Reply(None, (self._outputs.open(request.path, force=request.force),))

    def _remove_file(self, request: requests.RemoveFile) -> Reply:
        self._outputs.remove(request.path)
        return Reply()

    def _make_folder(self, request: requests.MakeFolder) -> Reply:
        self._outputs.make_folder(request.path)
        return Reply()


#: What is done for each request; there is nothing else.
_DONE: dict[type[object], Callable[[Keeper, Any], Reply]] = {
    requests.Load: Keeper._load,
    requests.Unload: Keeper._unload,
    requests.Count: Keeper._count,
    requests.OpenWalk: Keeper._open_walk,
    requests.OpenPackets: Keeper._open_packets,
    requests.Want: Keeper._want,
    requests.Dropped: Keeper._dropped,
    requests.Interface: Keeper._interface,
    requests.ClosePackets: Keeper._close_packets,
    requests.OpenLinks: Keeper._open_links,
    requests.AskTools: Keeper._ask_tools,
    requests.ToolsAnswer: Keeper._tools_answer,
    requests.Translated: Keeper._translated,
    requests.RawSockets: Keeper._raw_sockets,
    requests.RawSenders: Keeper._raw_senders,
    requests.LookInto: Keeper._look_into,
    requests.IsLocal: Keeper._is_local,
    requests.Namespaces: Keeper._namespaces,
    requests.Hold: Keeper._hold,
    requests.IsUsed: Keeper._is_used,
    requests.LetGo: Keeper._let_go,
    requests.SocketHolders: Keeper._socket_holders,
    requests.NamespaceNames: Keeper._namespace_names,
    requests.Look: Keeper._look,
    requests.ContainerName: Keeper._container_name,
    requests.Listen: Keeper._listen,
    requests.Beside: Keeper._start_beside,
    requests.OpenFile: Keeper._open_file,
    requests.RemoveFile: Keeper._remove_file,
    requests.MakeFolder: Keeper._make_folder,
}


def needed(grants: Grants) -> frozenset[int]:
    """The capabilities for what may be asked for after everything is loaded; docs/safety.md says what each is for."""
    kept = {rights.CAP_SYS_PTRACE}
    if grants.looking or grants.packets:
        kept.add(rights.CAP_DAC_READ_SEARCH)
    if grants.looking or (grants.packets and grants.netns):
        kept.add(rights.CAP_SYS_ADMIN)
    if grants.packets:
        kept |= {rights.CAP_NET_RAW, rights.CAP_NET_ADMIN}
    if grants.writes:
        kept |= {rights.CAP_DAC_OVERRIDE, rights.CAP_CHOWN}
    return frozenset(kept)
