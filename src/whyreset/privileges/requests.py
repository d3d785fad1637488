"""All that a worker can ask its keeper for: values with bounds, encoded as MessagePack, one request at a time.

Rules. What is not one of these ends the keeper: nobody but an attacker would have sent it. What is one of them but was
not granted is refused. There is nothing here that names a file, a process's memory or a command beyond what stands in
the grants; processes are named by pid, and of each only what every reset's owner is told with is shown.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from whyreset.sources.packet_socket import Shape, Wanted
from whyreset.sources.queues import Wanted as LookWanted

#: A request takes no more room; an answer goes to a file without a name beyond this.
REQUEST_BYTES_MAX = 8192
INLINE_BYTES_MAX = 64 << 10
#: What `Put` takes.
CONTENT_BYTES_MAX = 64 << 20
#: Descriptors that come with one answer.
DESCRIPTORS_MAX = 12

Pid = Annotated[int, Meta(ge=1, le=1 << 22)]
Number = Annotated[int, Meta(ge=0, le=255)]
Inode = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
Path = Annotated[str, Meta(max_length=4096)]
Name = Annotated[str, Meta(max_length=256)]


class _Request(Struct, array_like=True, tag=True):
    """One of them; what comes back stands beside it."""


class Load(_Request):
    """Told, and descriptors of MAPS in their order: the program that was granted is loaded and attached."""


class Unload(_Request):
    """Nothing: it is taken away."""


class Count(_Request):
    """Nothing: the counters of all namespaces were written into their map."""

    extended: bool


class OpenWalk(_Request):
    """A descriptor: reading it walks over all open files."""


class OpenPackets(_Request):
    """(number, inode of the namespace, cookie, inode of the socket), and the socket."""

    shape: Shape


class Want(_Request):
    """Nothing: that socket lets other packets pass now."""

    number: Number
    wanted: Wanted


class Dropped(_Request):
    """How many packets that socket has lost since it was asked last."""

    number: Number


class Interface(_Request):
    """The interface's name where that socket is."""

    number: Number
    index: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]


class ClosePackets(_Request):
    """Nothing."""

    number: Number


class OpenLinks(_Request):
    """A socket that is told how interfaces of that namespace are called. It changes nothing for who has no rights."""

    path: Path


class AskTools(_Request):
    """Nothing: the firewall's tools of that namespace run."""

    path: Path


class ToolsAnswer(_Request):
    """None, or (time, names with exit codes, what could not be asked) and a descriptor for each name."""

    path: Path


class Translated(_Request):
    """The ends that a segment had before its addresses were translated; None for not known."""

    path: Path
    v6: bool
    ends: Annotated[bytes, Meta(min_length=36, max_length=36)]


class RawSockets(_Request):
    """Sentences on those of that namespace, and on what could not be read."""

    path: Path
    ours: Annotated[tuple[int, ...], Meta(max_length=64)]


class RawSenders(_Request):
    """Sentences on the raw and packet sockets of that namespace that can send TCP."""

    netns: Inode


class LookInto(_Request):
    """What is to be seen of the queues of listeners in those namespaces; of none: the looking begins."""

    wanted: Annotated[tuple[LookWanted, ...], Meta(max_length=8)]


class IsLocal(_Request):
    """Whether the address is that namespace's own; None for not known."""

    path: Path
    address: Annotated[str, Meta(max_length=64)]


class Namespaces(_Request):
    """Paths of those that were granted, by inode number."""


class Hold(_Request):
    """A path that leads to that namespace as long as it is held."""

    path: Path


class IsUsed(_Request):
    """Whether anybody but us uses a namespace that is held."""

    path: Path


class LetGo(_Request):
    """Nothing: a namespace is not held any more."""

    path: Path


class SocketHolders(_Request):
    """(pid, start) of those who hold TCP sockets of our own namespace, by the number of the socket's file."""


class NamespaceNames(_Request):
    """Names by inode number."""


class Look(_Request):
    """A `procfs.Look`, or None."""

    pid: Pid


class ContainerName(_Request):
    """The name, or an empty one."""

    container: Name
    runtime: Name


class Listen(_Request):
    """A socket to answer `whyreset who` by, once; None where there can be none."""


class Beside(_Request):
    """A descriptor: what was granted to run beside has been started. Once."""


class OpenFile(_Request):
    """A descriptor for writing."""

    path: Path
    force: bool


class RemoveFile(_Request):
    """Nothing; only of those that were opened."""

    path: Path


class MakeFolder(_Request):
    """Nothing."""

    path: Path


class Put(_Request):
    """Nothing; what is put there comes as a descriptor."""

    path: Path


Request = (
    Load
    | Unload
    | Count
    | OpenWalk
    | OpenPackets
    | Want
    | Dropped
    | Interface
    | ClosePackets
    | OpenLinks
    | AskTools
    | ToolsAnswer
    | Translated
    | RawSockets
    | RawSenders
    | LookInto
    | IsLocal
    | Namespaces
    | Hold
    | IsUsed
    | LetGo
    | SocketHolders
    | NamespaceNames
    | Look
    | ContainerName
    | Listen
    | Beside
    | OpenFile
    | RemoveFile
    | MakeFolder
    | Put
)


class Refused(Struct, frozen=True, array_like=True):
    """Why there is no answer."""

    why: str
    #: Of the system; 0 where it was a source's sentence, -1 for what was not granted.
    errno: int


class NotGrantedError(Exception):
    """This run was not granted that."""


class Reply:
    """An answer.

    Args:
        value: what is told.
        descriptors: what goes with it.
        kept: they are not closed here afterwards.
    """

    def __init__(self, value: object = None, descriptors: tuple[int, ...] = (), *, kept: bool = False) -> None:
        self.value = value
        self.descriptors = descriptors
        self.kept = kept


#: The first byte of an answer: it follows; it stands in the last descriptor; it was refused.
HERE, ELSEWHERE, REFUSED = b"+", b"@", b"-"

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Request).decode
