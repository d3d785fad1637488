"""What a case is: a small function that provokes something for real on a stage, and tells what should be said of it."""

import fcntl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from tests.hosts.actor import Actor, Connection
from tests.hosts.hosts import Host, Pair
from tests.hosts.segments import Segment, send


class Unasked(Enum):
    """The value of what a case does not ask about."""

    ANY = "any"


ANY = Unasked.ANY
LOCK = Path(tempfile.gettempdir()) / "whyreset-cases.lock"
Version = Literal[4, 6]
Process = int | Unasked | None  # a pid; None: no process may be named

FAMILIES = {
    "closed-port": ("closed-port", "not-from-stack", "firewall-reject"),
    "abort": (
        *("unread-data", "linger-zero", "disconnect", "data-after-close", "linger2-expired", "not-accepted"),
        *("destroyed", "keepalive-timeout", "in-flight"),
    ),
    "half-open": ("half-open", "late-duplicate", "unsolicited-syn-ack", "bad-handshake-ack", "stray-segment"),
    "time-wait": ("time-wait-segment", "time-wait-reuse", "time-wait-assassination"),
    "listen-queue": ("accept-queue-full", "invalid-syn"),
    "memory": ("out-of-memory", "too-many-orphans"),
    "probe": ("scan-probe",),
    "protocol": ("paws", "old-ack", "unsent-ack", "mptcp"),
    "injected": ("forged",),
    "unknown": ("unknown",),
}
FAMILY = {cause: family for family, causes in FAMILIES.items() for cause in causes}


@dataclass(frozen=True)
class Expected:
    """What should be said of `count` like resets. `trigger` is the flags' letters, None for an active reset.

    `keys` are further values of the JSON line, by dotted path.
    """

    host: str
    direction: Literal["sent", "received"]
    cause: str
    port: int | Unasked  # the host's own port
    owner: Process
    trigger: str | Unasked | None = ANY
    certainty: str | Unasked = "certain"
    count: int = 1
    closer: Process = ANY
    twin: bool = False
    candidates: frozenset[str] = frozenset()  # at least these
    keys: Mapping[str, object] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The family of the cause."""
        return FAMILY[self.cause]


def sent(
    host: Host,
    cause: str,
    port: int | Unasked,
    reason: str,
    *,
    owner: Process,
    trigger: str | None,
    state: str | None = None,
) -> Expected:
    """A reset that the host's kernel sends for this kernel reason, from this state before; refine it with `but`."""
    keys: dict[str, object] = {"kernel.reason": reason}
    if state:
        keys["kernel.state"] = state
    return Expected(host.name, "sent", cause, port, owner=owner, trigger=trigger, keys=keys)


def but(expected: Expected, **changes: object) -> Expected:
    """The same with changes; `keys` are added to those it has."""
    keys = changes.pop("keys", {})
    assert isinstance(keys, Mapping)
    return replace(expected, keys={**expected.keys, **keys}, **changes)  # type: ignore[arg-type]


def twins(reset: Expected, receiver: Host, port: int | Unasked, owner: Process) -> Iterator[Expected]:
    """A reset that is sent, and the same as its other end receives it: each names the other as its twin."""
    yield replace(reset, twin=True)
    yield Expected(
        receiver.name,
        "received",
        reset.cause,
        port,
        owner=owner,
        certainty=reset.certainty,
        count=reset.count,
        candidates=reset.candidates,
        twin=True,
    )


class Missing(Exception):
    """Something that a case needs is not on this machine; the text names it."""


@contextmanager
def machine_lock(alone: bool) -> Iterator[None]:
    """Keep cases that change a setting of the whole machine away from all others, of other processes too."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


class Stage:
    """Two hosts, fresh ones unless given, and actors that end with the stage. `server` lives on b, `client` on a."""

    def __init__(self, version: Version, *, alone: bool = False, pair: Pair | None = None) -> None:
        self.version = version
        self.v6 = version == 6
        self._exit = ExitStack()
        self._exit.enter_context(machine_lock(alone))
        self.pair = self._exit.enter_context(pair or Pair())
        self.a, self.b = self.pair.a, self.pair.b
        self.address_a = self.pair.address(self.a, version)
        self.address_b = self.pair.address(self.b, version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def hold(self, context: AbstractContextManager[None]) -> None:
        """Enter a context until the stage ends."""
        self._exit.enter_context(context)

    def actor(self, host: Host, name: str) -> Actor:
        """A process of its own on a host."""
        return self._exit.enter_context(Actor(host, name))

    @cached_property
    def server(self) -> Actor:
        """The process that serves, on host b."""
        return self.actor(self.b, "server")

    @cached_property
    def client(self) -> Actor:
        """The process that connects, on host a."""
        return self.actor(self.a, "client")

    def listen(self, port: int, *, backlog: int = 16, actor: Actor | None = None) -> Connection:
        """Listen on host b, by default as `server`."""
        return (actor or self.server).listen(port, backlog=backlog, v6=self.v6)

    def connect(self, port: int, *, wait: bool = True, local_port: int = 0) -> Connection:
        """Connect from `client` to host b."""
        return self.client.connect(self.address_b, port, wait=wait, local_port=local_port)

    def queue(self, port: int, count: int = 1, *, already: int = 0) -> list[Connection]:
        """Connections from `client` that have arrived in the accept queue of host b and wait there."""
        connections = []
        for number in range(count):
            connections.append(self.connect(port))
            self.b.await_states(port, "ESTABLISHED", already + number + 1)
        return connections

    def converse(self, port: int = 8080) -> tuple[Connection, Connection, Connection]:
        """A listener of `server`, a connection of `client` to it, and the same as `server` accepted it."""
        listener = self.listen(port)
        client = self.connect(port)
        return listener, client, listener.accept()

    def connect_to_nobody(self, port: int, local_port: int) -> Connection:
        """A connection of `client` in SYN-SENT, of which host b's kernel never hears."""
        self.hold(self.b.dropping("input", f"tcp dport {port}"))
        return self.connect(port, wait=False, local_port=local_port)

    def refused(self, port: int, local_port: int = 0) -> int:
        """Have `client` try a port that refuses; the port it tried from."""
        attempt = self.client.socket(v6=self.v6)
        attempt.bind(local_port)
        port_a = attempt.port
        try:
            attempt.connect(self.address_b, port)
        except ConnectionRefusedError:
            return port_a
        raise AssertionError(f"port {port} did not refuse")

    def raw(self, flags: str, sport: int, dport: int, **rest: int | bytes) -> None:
        """Send one raw segment from host a's address to host b."""
        send(self.a, Segment(self.address_a, sport, self.address_b, dport, flags, **rest))  # type: ignore[arg-type]

    def answer(self, flags: str, sport: int, dport: int, **rest: int | bytes) -> None:
        """Send one raw segment from host b's address to host a."""
        send(self.b, Segment(self.address_b, sport, self.address_a, dport, flags, **rest))  # type: ignore[arg-type]


Provoke = Callable[[Stage], Iterator[Expected]]


@dataclass(frozen=True)
class Case:
    """One way to provoke resets, or to provoke none. `alone`: it changes a setting of the whole machine.

    `lesser`: by tier, what differs in all that is sent, where a kernel tells less (tiers.py has what holds for all).
    """

    id: str
    title: str
    provoke: Provoke
    versions: tuple[Version, ...] = (4, 6)
    needs: tuple[str, ...] = ()  # commands
    alone: bool = False
    lesser: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
