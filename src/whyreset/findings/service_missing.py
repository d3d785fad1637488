"""service-missing: clients want a port on which nobody has listened. Rules and cases stand in service_missing.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, called, source, subject_of, times
from whyreset.findings.services import OfServices, Services
from whyreset.model import Life, Process, Reset, Step, Subject
from whyreset.words import span

#: Ports that are remembered, and clients of each.
PORTS, CLIENTS = 1024, 64
#: Sources whose missing ports are counted; one that tried so many is looking around, and is no client of any.
SOURCES, MANY_PORTS = 4096, 4
#: What comes within that time of one another is one attempt: some systems send a refused SYN three times in a second.
ATTEMPT_NS = 2 * SECOND_NS
#: Who does not give up: so many attempts within no less than that.
ATTEMPTS, ATTEMPTS_NS = 5, 10 * SECOND_NS
#: So many clients that came again are enough, too.
COMING_BACK = 3
#: It is over when nobody has come for so long, or for so many times as long as it usually takes.
QUIET_NS, QUIET_TIMES = 120 * SECOND_NS, 4
#: Evidence is kept for so long.
DAY_NS = 86_400 * SECOND_NS


class _Client(Struct, kw_only=True):
    first_ns: int
    last_ns: int
    attempts: int = 1
    count: int = 0
    process: Process | None = None


class _Missing(Struct, kw_only=True):
    subject: Subject
    first_ns: int
    last_ns: int
    refused: int = 0
    clients: dict[str, _Client] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)
    family: int = 0
    certain: bool = True


class ServiceMissing(OfServices):
    """Finds services that were never there."""

    NAME = "service-missing"

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._missing: Table[tuple[int, int], _Missing] = Table(PORTS, weight=lambda missing: missing.refused)
        self._tried: Table[tuple[int, str], set[int]] = Table(SOURCES)

    def see(self, batch: Batch) -> None:
        """Refused clients of ports that nobody had, and listeners that come after all."""
        self._services.see(batch)
        for life in batch.lives:
            listener = life.listener
            missing = self._missing.get((listener.netns_cookie, listener.port))
            if missing is not None and listener.serves(missing.subject.address, missing.family):
                self._missing.pop((listener.netns_cookie, listener.port))
        for reset in batch.resets:
            if (
                reset.cause.name == "closed-port"
                and reset.facts.direction == "sent"
                and reset.owner is None
                and reset.port is not None
            ):
                self._refused(reset, reset.port)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port that is wanted in earnest."""
        self._missing.drop(lambda missing: now_ns - missing.last_ns > DAY_NS)
        for key, missing in self._missing.items():
            clients = self._in_earnest(key[0], missing)
            if clients and now_ns - missing.last_ns <= max(
                QUIET_NS, QUIET_TIMES * max(map(_pause_ns, clients.values()))
            ):
                yield self._draft(key, missing, clients)

    def _refused(self, reset: Reset, port: int) -> None:
        sample = reset.sample
        subject = subject_of(reset, port=port, address=sample.local)
        made = _Missing(subject=subject, first_ns=reset.time_ns, last_ns=reset.last_ns, family=sample.family)
        missing = self._missing.touch((sample.netns_cookie, port), lambda: made)
        missing.last_ns = max(missing.last_ns, reset.last_ns)
        missing.refused += reset.count
        missing.certain = missing.certain and reset.cause.certainty == "certain"
        if len(missing.resets) < 3:
            missing.resets.append(reset.number)
        for address, count in _remotes(reset):
            remote = source(address)
            client = missing.clients.get(remote)
            if client is None:
                if len(missing.clients) >= CLIENTS:
                    _forget(missing.clients)
                client = missing.clients[remote] = _Client(first_ns=reset.time_ns, last_ns=reset.time_ns)
                tried = self._tried.touch((sample.netns_cookie, remote), set)
                if len(tried) < MANY_PORTS:
                    tried.add(port)
            client.count += count
            # a group may last: who came in it throughout came again
            client.attempts += reset.time_ns - client.last_ns >= ATTEMPT_NS
            client.last_ns = max(client.last_ns, reset.last_ns)
            if reset.peer is not None:
                client.process = reset.peer.process

    def _in_earnest(self, netns_cookie: int, missing: _Missing) -> dict[str, _Client]:
        """The clients that want this service, and do not only look what there is."""
        some = {
            remote: client
            for remote, client in missing.clients.items()
            if client.attempts > 1 and len(self._tried.get((netns_cookie, remote)) or ()) < MANY_PORTS
        }
        if len(some) >= COMING_BACK:
            return some
        return {
            remote: client
            for remote, client in some.items()
            if client.attempts >= ATTEMPTS and client.last_ns - client.first_ns >= ATTEMPTS_NS - ATTEMPT_NS
        }

    def _draft(self, key: tuple[int, int], missing: _Missing, clients: dict[str, _Client]) -> Draft:
        refused = sum(client.count for client in clients.values())
        first_ns = min(client.first_ns for client in clients.values())
        last_ns = max(client.last_ns for client in clients.values())
        most, busiest = max(clients.items(), key=lambda item: item[1].count)
        who = most if len(clients) == 1 else f"{times(len(clients), 'client')} ({most} most)"
        if busiest.process is not None:
            who += f", {called(busiest.process)} on this host"
        others = [
            f"{called(life.owner.process)} listens on {life.listener.address} port {key[1]}, where nobody asks"
            for life in self._others(key, missing)
        ]
        pause = f"the most persistent comes every {span(_pause_ns(busiest))}"
        return Draft(
            key=key,
            subject=missing.subject,
            since_ns=first_ns,
            last_ns=last_ns,
            count=refused,
            confidence="certain" if missing.certain else "likely",
            severity="warning" if len(clients) >= COMING_BACK else "notice",
            sentence=(
                f"Service missing: nobody has listened on {_place(missing.subject)} since watching began, and {who} "
                f"wants it: refused {times(refused, 'time')} within {span(last_ns - first_ns)}"
            ),
            evidence=(*others, f"{times(refused, 'connection')} refused; {pause}", "no listener was there that ended"),
            steps=(
                Step(f"ss -ltnp 'sport = :{key[1]}'", "whether anybody listens there now, and on which address"),
                Step(f"whyreset who {key[1]}", "who is known to have had that port"),
            ),
            resets=tuple(missing.resets),
            claims=(
                Claims(
                    causes=frozenset({"closed-port"}),
                    netns_cookie=key[0],
                    ports=frozenset({key[1]}),
                    remotes=frozenset(clients),
                    since_ns=first_ns,
                ),
            ),
            stage=f"{len(clients) > 1}{bool(others)}",
        )

    def _others(self, key: tuple[int, int], missing: _Missing) -> list[Life]:
        """Who listens on that port, but where these clients do not ask."""
        known = self._services.ports.get(*key)
        living = known.living.values() if known else ()
        return [each for each in living if not each.listener.serves(missing.subject.address, missing.family)][:3]


def _remotes(reset: Reset) -> tuple[tuple[str, int], ...]:
    """Who came; of a crowd only those that came most: a client that never gives up is among them in the end."""
    if reset.remotes is None:
        return ((reset.sample.remote, reset.count),)
    return reset.remotes.top if reset.remotes.exact else reset.remotes.top[:4]


def _place(subject: Subject) -> str:
    address = f"[{subject.address}]" if ":" in subject.address else subject.address
    return f"{address}:{subject.port}"


def _pause_ns(client: _Client) -> int:
    return (client.last_ns - client.first_ns) // max(1, client.attempts - 1)


def _forget(clients: dict[str, _Client]) -> None:
    """Who came least often, and of those who longest ago, goes."""
    del clients[min(clients, key=lambda remote: (clients[remote].attempts, clients[remote].last_ns))]
