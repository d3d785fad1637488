"""Listeners that have no room for another handshake: what the two findings about their queues have in common.

Rules. The namespace's counters say that it happens. Which listener it is, is certain where its queue was found full and
its own count of drops rose, or where it alone dropped anything; else it is likely one that dropped most, or whose queue
was found full; else the only one there is. Where none of it holds, that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Table, subject_in, subject_of
from whyreset.findings.steps import inside, quoted
from whyreset.model import Count, Owner, Place, Queue, Reset, Step, Subject

#: Without another for so long it is over; clients send their SYN again after 1, 2, 4, 8 and 16 s.
QUIET_NS = 30 * SECOND_NS
#: Namespaces that are remembered, and ports of each.
NAMESPACES, PORTS = 64, 64
#: Told from so many on, if it lasts so many seconds or looks; at once from so many on.
FEW, LASTING, MANY = 3, 3, 256
_BESIDE = ("SyncookiesSent", "SyncookiesRecv", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "ListenOverflows")


class Listening(Struct, kw_only=True):
    """A port that had no room, and whose it is."""

    port: int
    address: str = ""
    owner: Owner | None = None
    waiting: int = 0
    limit: int = 0
    half_open: int = 0
    #: Looks, and those of them that found the queue full.
    looks: int = 0
    full: int = 0
    #: Handshakes that it dropped, by its own count, and looks that found more of them.
    dropped: int = 0
    drops: int = 0
    #: Clients that it reset for that.
    reset: int = 0

    def is_lasting(self) -> bool:
        """Its own trouble was no matter of a moment."""
        return max(self.drops, self.full) >= 2 or self.reset >= FEW


class Trouble(Struct, kw_only=True):
    """A namespace where that happens."""

    subject: Subject
    first_ns: int
    last_ns: int
    total: int = 0
    #: Seconds in which counters say that it happened, and in which clients were reset for it.
    seconds: int = 0
    reset_seconds: int = 0
    last_reset_ns: int = 0
    #: Ports with no room.
    ports: dict[int, Listening] = field(default_factory=dict)
    #: Other counters that moved since.
    beside: Counter[str] = field(default_factory=Counter)
    settings: dict[str, int] = field(default_factory=dict)
    #: Ports that anybody listened on at the last look; none before.
    listening: dict[int, Queue] = field(default_factory=dict)
    unread: str = ""
    resets: list[int] = field(default_factory=list)

    def is_lasting(self) -> bool:
        """It is no matter of a moment."""
        lasts = max(self.seconds, self.reset_seconds) >= LASTING or any(each.full >= 2 for each in self.ports.values())
        return (self.number >= FEW and lasts) or self.number >= MANY

    @property
    def number(self) -> int:
        """How many handshakes found no room: those that were reset are counted by the kernel too, a little later."""
        return max(self.total, sum(each.reset for each in self.ports.values()))

    def named(self) -> tuple[list[Listening], bool]:
        """The ports that are meant, and whether that is certain."""
        known = list(self.ports.values())
        if sure := [each for each in known if each.reset or (each.dropped and each.full)]:
            # a burst at one does not belong to the trouble of another
            sure = [each for each in sure if each.is_lasting()] or sure
            return sorted(sure, key=lambda each: -each.dropped - each.reset), True
        # its drops are not only these: a client's reset instead of a handshake's end counts as one, too
        counted = [each for each in known if each.dropped]
        if most := [each for each in counted if 2 * each.dropped >= self.number]:
            return most, len(counted) == 1
        if full := [each for each in known if each.full]:
            return sorted(full, key=lambda each: -each.full), len(full) == 1 == len(self.listening)
        if len(self.listening) == 1:
            return [_listening(queue) for queue in self.listening.values()], True
        return [], True


class Overflows:
    """Remembers where it happens.

    Args:
        moved: how often it happened, by the counters that moved in a second.
        is_full: whether the queue that is meant is full, by the namespace's settings; None where it was not counted.
    """

    def __init__(
        self, moved: Callable[[dict[str, int]], int], is_full: Callable[[Queue, dict[str, int]], bool | None]
    ) -> None:
        self._moved = moved
        self._is_full = is_full
        self._troubles: Table[int, Trouble] = Table(NAMESPACES, weight=lambda trouble: trouble.total)

    def __len__(self) -> int:
        return len(self._troubles)

    def see(self, batch: Batch) -> None:
        """Takes in what moved, and what the looks showed."""
        for count in batch.counts:
            number = self._moved(count.moved)
            if number > 0:
                self._happened(count, number, batch.now_ns)
            if (trouble := self._troubles.get(count.netns_cookie)) is not None:
                trouble.beside.update({name: count.moved[name] for name in _BESIDE if name in count.moved})
        for place in batch.places:
            if (trouble := self._troubles.get(place.netns_cookie)) is not None:
                self._looked(trouble, place)
        if batch.counts or self._troubles:
            self._troubles.drop(lambda trouble: batch.now_ns - trouble.last_ns > QUIET_NS)

    def reset(self, reset: Reset) -> None:
        """Takes in that clients were reset for it; counters that say so too may be read later."""
        if reset.port is None:
            return
        trouble = self._touch(subject_of(reset), reset.last_ns)
        if reset.last_ns - trouble.last_reset_ns >= SECOND_NS:
            trouble.reset_seconds += 1
            trouble.last_reset_ns = reset.last_ns
        if len(trouble.resets) < 3:
            trouble.resets.append(reset.number)
        port = trouble.ports.get(reset.port)
        if port is None and len(trouble.ports) < PORTS:
            port = trouble.ports[reset.port] = Listening(port=reset.port)
        if port is not None:
            port.reset += reset.count
            port.owner = port.owner or reset.owner
            if reset.sample.queue and not port.looks:
                port.waiting, port.limit = reset.sample.queue

    def troubles(self) -> list[tuple[int, Trouble]]:
        """By the namespace's cookie."""
        return self._troubles.items()

    def _happened(self, count: Count, number: int, now_ns: int) -> None:
        trouble = self._touch(subject_in(count), now_ns)
        trouble.total += number
        trouble.seconds += 1

    def _touch(self, subject: Subject, now_ns: int) -> Trouble:
        trouble = self._troubles.touch(
            subject.netns_cookie, lambda: Trouble(subject=subject, first_ns=now_ns, last_ns=now_ns)
        )
        trouble.last_ns = max(trouble.last_ns, now_ns)
        return trouble

    def _looked(self, trouble: Trouble, place: Place) -> None:
        trouble.unread = place.unread
        trouble.settings = place.settings or trouble.settings
        if place.unread or not place.queues:
            return
        trouble.listening = {queue.port: queue for queue in place.queues}
        full: dict[int, bool] = {}
        for queue in place.queues:
            is_full = self._is_full(queue, place.settings)
            port = trouble.ports.get(queue.port)
            if port is None:
                if not (is_full or queue.drops) or len(trouble.ports) >= PORTS:
                    continue
                port = trouble.ports[queue.port] = _listening(queue)
            port.owner = queue.owner or port.owner
            port.dropped += queue.drops or 0
            port.drops += bool(queue.drops)
            # of sockets that share a port the one that is full is shown
            if is_full or not full.get(queue.port):
                port.address, port.waiting, port.limit = queue.address, queue.waiting, queue.limit
                port.half_open = port.half_open if queue.half_open is None else queue.half_open
            if is_full is not None:
                full[queue.port] = full.get(queue.port, False) or is_full
        for number, is_full in full.items():
            trouble.ports[number].looks += 1
            trouble.ports[number].full += is_full


def limit_of(listening: Listening, settings: dict[str, int]) -> str:
    """Who set the limit: the program itself, or the system."""
    most = settings.get("somaxconn")
    if most is None:
        return f"its limit is {listening.limit}: the smaller of its own backlog and net.core.somaxconn"
    if listening.limit < most:
        return f"the limit of {listening.limit} is the program's own backlog; net.core.somaxconn would allow {most}"
    return f"the limit of {listening.limit} is net.core.somaxconn: the program asked for so many or more"


def look_steps(subject: Subject, listening: Listening, home: int) -> list[Step]:
    """How to see it for oneself."""
    look = f"ss -ltnp 'sport = :{listening.port}'"
    steps = inside(subject, home, Step(look, "Recv-Q is what waits now, Send-Q what may wait at the most"))
    if listening.owner:
        process = listening.owner.process
        steps.append(
            Step(
                f"ps -L -o pid,tid,stat,pcpu,wchan:24,comm -p {process.pid}",
                "whether it is busy, or waits for something",
            )
        )
        if process.unit:
            steps.append(Step(f"journalctl -u {quoted(process.unit)} -n 50", "what it says"))
    return steps


def _listening(queue: Queue) -> Listening:
    return Listening(
        port=queue.port,
        address=queue.address,
        owner=queue.owner,
        waiting=queue.waiting,
        limit=queue.limit,
        half_open=queue.half_open or 0,
    )
