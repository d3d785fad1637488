"""relayed-abort: a proxy passes its client's abort on to its upstream. Rules and cases stand in relayed_abort.md."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, add_sources, called, label, subject_of, times
from whyreset.findings.ports import same
from whyreset.model import Process, Reset, Step, Subject
from whyreset.words import clock, program, service, span

#: Proxies that are remembered, and upstream ports, processes, clients and pairs of each.
PROXIES, PORTS_EACH, LABELS, CLIENTS, PAIRS = 256, 32, 64, 256, 64
#: What is passed on, is so soon after the client left; groups of resets are this much coarser, too.
SOON_NS, COARSE_NS = SECOND_NS, SECOND_NS // 10
#: So many pairs are no coincidence, where they are at least that share of what the proxy aborted.
TOLD, MOSTLY = 3, 0.5
#: Over when nothing was passed on for so long.
QUIET_NS = 60 * SECOND_NS

_ABORTS = frozenset({"unread-data", "data-after-close", "linger-zero", "disconnect"})
_Key = tuple[int, str, str]


class _Proxy(Struct, kw_only=True):
    subject: Subject
    process: Process
    #: Resets of clients that no abort of an upstream connection was laid to yet: time, count and port.
    left: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=PAIRS))
    first_ns: int = 0
    last_ns: int = 0
    #: Aborts of upstream connections: those that followed a client's, and all.
    relayed: int = 0
    aborted: int = 0
    upstreams: Counter[int] = field(default_factory=Counter)
    #: Ports that clients left, and those of them whose aborts were passed on.
    ports: Counter[int] = field(default_factory=Counter)
    passed_on: Counter[int] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    labels: set[str] = field(default_factory=set)
    delays_ns: deque[int] = field(default_factory=lambda: deque(maxlen=PAIRS))
    resets: list[int] = field(default_factory=list)


class RelayedAbort:
    """Finds aborts whose cause is the proxy's client."""

    NAME = "relayed-abort"

    def __init__(self) -> None:
        self._proxies: Table[_Key, _Proxy] = Table(PROXIES, weight=lambda proxy: proxy.relayed)

    def see(self, batch: Batch) -> None:
        """Clients' resets that a program received, then what it aborted itself."""
        for reset in batch.resets:
            if reset.facts.direction == "received" and not reset.facts.active_open and reset.cause.family == "abort":
                self._left(reset)
        for reset in batch.resets:
            facts = reset.facts
            if facts.direction == "sent" and facts.active_open and not facts.exiting and reset.cause.name in _ABORTS:
                self._aborted(reset)
        self._proxies.drop(lambda proxy: bool(proxy.last_ns) and batch.now_ns - proxy.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each proxy."""
        for key, proxy in self._proxies.items():
            if proxy.relayed >= TOLD and proxy.relayed >= MOSTLY * proxy.aborted:
                yield _draft(key, proxy)

    def _left(self, reset: Reset) -> None:
        if reset.owner is None or reset.port is None:
            return
        process, sample = reset.owner.process, reset.sample
        if reset.peer is not None and same(reset.peer.process, process):
            return  # it is its own upstream, which hears of what was passed on
        subject = subject_of(reset, port=reset.port, process=process)
        proxy = self._proxies.touch(
            self._key(sample.netns_cookie, process), lambda: _Proxy(subject=subject, process=process)
        )
        if reset.port not in proxy.ports and len(proxy.ports) >= PORTS_EACH:
            return
        proxy.ports[reset.port] += reset.count
        proxy.left.append((reset.last_ns, reset.count, reset.port))
        if len(proxy.labels) < LABELS:
            proxy.labels.add(label(process))
        add_sources(proxy.clients, reset, CLIENTS)

    def _aborted(self, reset: Reset) -> None:
        process = reset.owner.process if reset.owner else reset.closer
        proxy = self._proxies.get(self._key(reset.sample.netns_cookie, process)) if process else None
        if process is None or proxy is None or reset.port is None or reset.port in proxy.ports:
            return
        proxy.aborted += reset.count
        wanted = reset.count
        while proxy.left and wanted:
            time_ns, count, port = proxy.left[0]
            if time_ns < reset.time_ns - SOON_NS:
                proxy.left.popleft()
                continue
            if time_ns > reset.last_ns + COARSE_NS:
                break
            used = min(count, wanted)
            wanted -= used
            proxy.delays_ns.append(max(0, reset.last_ns - time_ns))
            proxy.passed_on[port] += used
            proxy.left.popleft()
            if count > used:
                proxy.left.appendleft((time_ns, count - used, port))
        passed_on = reset.count - wanted
        if not passed_on:
            return
        proxy.relayed += passed_on
        proxy.first_ns = proxy.first_ns or reset.time_ns
        proxy.last_ns = reset.last_ns
        if reset.port in proxy.upstreams or len(proxy.upstreams) < PORTS_EACH:
            proxy.upstreams[reset.port] += passed_on
        if len(proxy.labels) < LABELS:
            proxy.labels.add(label(process))
        if len(proxy.resets) < 3:
            proxy.resets.append(reset.number)

    def _key(self, netns_cookie: int, process: Process) -> _Key:
        """A service's; of programs started by hand, of which there may be several, the parent's or its own.

        A worker's connections are sometimes known by who holds them and sometimes by who listens, its master.
        """
        if part_of := service(process):
            return netns_cookie, part_of, program(process)
        parent = netns_cookie, program(process), str(process.parent_pid)
        return parent if parent in self._proxies else (netns_cookie, program(process), str(process.pid))


def _draft(key: _Key, proxy: _Proxy) -> Draft:
    upstreams = ", ".join(f":{port}" for port, _ in proxy.upstreams.most_common(4))
    ports = ", ".join(f":{port}" for port, _ in proxy.passed_on.most_common(4))
    delays = sorted(proxy.delays_ns)
    most, count = proxy.clients.most_common(1)[0]
    since_ns = proxy.first_ns - SOON_NS
    owners = frozenset(proxy.labels)
    return Draft(
        key=key,
        subject=proxy.subject,
        since_ns=proxy.first_ns,
        last_ns=proxy.last_ns,
        count=proxy.relayed,
        confidence="likely",
        severity="notice",
        sentence=(
            f"Aborts passed on: clients of {called(proxy.process)} on {ports} reset connections, and it then aborted "
            f"{times(proxy.relayed, 'connection')} to its upstream {upstreams}: the cause is the clients"
        ),
        evidence=(
            f"{proxy.relayed:,} of {times(proxy.aborted, 'abort')} towards upstreams came within a second of a "
            f"client's reset, typically {span(delays[len(delays) // 2])} after it",
            f"{times(len(proxy.clients), 'client')} did so since {clock(proxy.first_ns)}; {most} most ({count:,})",
        ),
        steps=(Step(f"whyreset who {proxy.subject.port}", "the proxy, and the resets of late"),),
        resets=tuple(proxy.resets),
        claims=(
            Claims(
                causes=_ABORTS | {"in-flight"},
                netns_cookie=key[0],
                ports=frozenset(proxy.upstreams),
                owners=owners,
                exiting=False,
                since_ns=since_ns,
                until_ns=proxy.last_ns,
            ),
            Claims(
                causes=frozenset({"abort"}),
                direction="received",
                netns_cookie=key[0],
                ports=frozenset(proxy.ports),
                owners=owners,
                since_ns=since_ns,
                until_ns=proxy.last_ns,
            ),
        ),
    )
