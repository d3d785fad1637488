"""service-down: a listener went away, and clients are refused. Rules and cases stand in service_down.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from whyreset.findings import managers
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, called, label, sources, subject_of, times
from whyreset.findings.ports import CUT, ending, ends_in_order
from whyreset.findings.services import OfServices, Services
from whyreset.model import Confidence, Life, Process, Reset, Severity, Step, Stop, Subject
from whyreset.words import clock, span

#: Services that are remembered.
SERVICES = 512
#: Clients of a service that are told apart, and ports of it.
CLIENTS, PORTS_EACH = 256, 32
#: Without a refused client for so long it is over: nobody wants it any more.
QUIET_NS = 600 * SECOND_NS
#: A service that ended in order and listens again so soon was restarted; until then it may be.
RESTART_NS = 10 * SECOND_NS
#: Who is refused so long after an end in order, and so rarely, may not know that the service was taken away.
LATE_NS, RARELY = 60 * SECOND_NS, 5
#: Who comes so late may be a scan that tries other ports, too: that is told from other findings within so long.
PATIENCE_NS = 2 * SECOND_NS
#: The listeners of one service end within that time of one another.
_TOGETHER_NS = 2 * SECOND_NS
_CUT_NS = 2 * SECOND_NS

_Key = tuple[int, int, int, int]


class _Down(Struct, kw_only=True):
    """A service, by the process that listened; several ports may have gone at once."""

    subject: Subject
    process: Process
    stop: Stop
    first_ns: int
    last_ns: int
    refused: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    #: There were clients that had no room.
    more_clients: bool = False
    resets: list[int] = field(default_factory=list)
    #: The ports that clients want, with the address and family that they asked last.
    wanted: dict[int, tuple[str, int]] = field(default_factory=dict)
    #: It listens again.
    again: Life | None = None
    again_ns: int = 0
    #: It listens on another address or in another namespace.
    moved: Life | None = None
    told: bool = False
    certain: bool = True

    @property
    def in_order(self) -> bool:
        code = self.stop.exit_code if self.stop.exit_code is not None else self.process.exit_code
        return not self.out_of_memory and (code is None or ends_in_order(code))

    @property
    def out_of_memory(self) -> bool:
        return self.stop.out_of_memory or self.process.out_of_memory

    @property
    def is_restart(self) -> bool:
        return bool(self.again_ns) and self.in_order and self.again_ns - self.stop.time_ns <= RESTART_NS


class ServiceDown(OfServices):
    """Finds services that are gone."""

    NAME = "service-down"

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(services)
        self._down: Table[_Key, _Down] = Table(SERVICES, weight=lambda down: down.refused)
        #: The latest end of each process.
        self._latest: Table[tuple[int, int, int], _Key] = Table(SERVICES)

    def see(self, batch: Batch) -> None:
        """Refused clients of ports whose listener is gone, and listeners that came back."""
        self._services.see(batch)
        for reset in batch.resets:
            if reset.cause.name == "closed-port" and reset.facts.direction == "sent" and reset.owner and reset.stop:
                self._refused(reset, reset.owner.process, reset.stop, batch)
        places = {(life.listener.netns_cookie, life.listener.port) for life in batch.lives}
        ended = {process.pid for process in batch.ends}
        if places or ended:
            for (cookie, pid, _, _), down in self._down.items():
                if pid in ended or any((cookie, port) in places for port in down.wanted):
                    self._follow(down, batch.epoch_ns)
        self._down.drop(lambda down: batch.now_ns - down.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each service."""
        for key, down in self._down.items():
            if down.first_ns - down.stop.time_ns > LATE_NS and now_ns - down.first_ns < PATIENCE_NS:
                continue
            # what is over already when it is told first is told as going on once, so that it has a beginning
            over = bool(down.again_ns) and down.told
            down.told = True
            yield Draft(
                key=key,
                subject=down.subject,
                since_ns=down.stop.time_ns,
                last_ns=down.again_ns or down.last_ns,
                count=down.refused,
                confidence=_confidence(down),
                severity=_severity(down, now_ns),
                sentence=_sentence(down),
                evidence=_evidence(down),
                steps=_steps(down),
                resets=tuple(down.resets),
                claims=_claims(down),
                stage=f"{down.again is not None} {down.moved is not None} {down.process.exit_code}",
                over=over,
            )

    def _refused(self, reset: Reset, process: Process, stop: Stop, batch: Batch) -> None:
        sample = reset.sample
        port = reset.port if reset.port is not None else sample.local_port
        key, down = self._of(sample.netns_cookie, process, stop)
        if down is None:
            if self._listens_still(reset, port, stop, batch.epoch_ns):
                return
            subject = subject_of(reset, port=port, process=process)
            made = _Down(subject=subject, process=process, stop=stop, first_ns=reset.time_ns, last_ns=reset.last_ns)
            others = self._services.ports.elsewhere(process, port)
            made.moved = next((each for each in others if not _serves(each, sample.netns_cookie, reset)), None)
            down = self._down.touch(key, lambda: made)
        down.last_ns = max(down.last_ns, reset.last_ns)
        down.refused += reset.count
        down.certain = down.certain and reset.cause.certainty == "certain"
        if port in down.wanted or len(down.wanted) < PORTS_EACH:
            down.wanted[port] = sample.local, sample.family
        for client, count in sources(reset):
            if client in down.clients or len(down.clients) < CLIENTS:
                down.clients[client] += count
            else:
                down.more_clients = True
        if len(down.resets) < 3:
            down.resets.append(reset.number)
        self._follow(down, batch.epoch_ns)

    def _of(self, netns_cookie: int, process: Process, stop: Stop) -> tuple[_Key, _Down | None]:
        """The same end's time differs a little between its ports, and as the clock is set."""
        whose = (netns_cookie, process.pid, process.start_ns)
        key = self._latest.touch(whose, lambda: (*whose, stop.time_ns))
        if abs(key[3] - stop.time_ns) > _TOGETHER_NS:
            self._latest.pop(whose)
            key = self._latest.touch(whose, lambda: (*whose, stop.time_ns))
        return key, self._down.get(key)

    def _listens_still(self, reset: Reset, port: int, stop: Stop, epoch_ns: int) -> bool:
        """Somebody else had listened there before that end, and does: so it was not this end that refuses clients."""
        sample = reset.sample
        life = self._services.ports.serving(sample.netns_cookie, port, sample.local, sample.family)
        return life is not None and life.listener.since_ns + epoch_ns < stop.time_ns

    def _follow(self, down: _Down, epoch_ns: int) -> None:
        """What became of it since: its process's end, a listener where clients ask, or elsewhere."""
        down.process = self._services.ports.final(down.process)
        if down.again is not None:  # what becomes of that one is another end
            return
        cookie = down.subject.netns_cookie
        for port, (address, family) in down.wanted.items():
            life = self._services.ports.serving(cookie, port, address, family)
            if life is None:
                down.again, down.again_ns = None, 0
                return
            if life.listener.since_ns + epoch_ns >= down.again_ns:
                down.again, down.again_ns = life, max(life.listener.since_ns + epoch_ns, down.stop.time_ns)


def _serves(life: Life, netns_cookie: int, reset: Reset) -> bool:
    own = life.listener.netns_cookie == netns_cookie
    return own and life.listener.serves(reset.sample.local, reset.sample.family)


def _confidence(down: _Down) -> Confidence:
    return "certain" if down.certain else "likely"


def _severity(down: _Down, now_ns: int) -> Severity:
    if down.again_ns:
        return "notice"
    if not down.in_order:
        return "critical"
    if down.first_ns - down.stop.time_ns > LATE_NS and down.refused < RARELY:
        return "notice"
    return "warning" if now_ns - down.stop.time_ns <= RESTART_NS else "critical"


def _where(down: _Down) -> str:
    return ", ".join(f":{port}" for port in sorted(down.wanted))


def _ending(down: _Down) -> str:
    """How it ended, in some words."""
    stop = down.stop
    if stop.holder is not None and stop.exit_code is None:
        return f"closed by {called(stop.holder)}"
    code = stop.exit_code if stop.exit_code is not None else down.process.exit_code
    how = ending(code, out_of_memory=down.out_of_memory)
    if stop.holder is not None:
        return f"last held by {called(stop.holder)}, {how}"
    if not how:
        return "it closed its socket"
    return f"stopped in order ({how})" if down.in_order else how


def _refusals(down: _Down) -> str:
    """«43 clients refused», «1 client refused 12 times»."""
    number = len(down.clients)
    clients = f"more than {number} clients" if down.more_clients else times(number, "client")
    return f"{clients} refused" + (f" {down.refused:,} times" if down.refused > number else "")


def _sentence(down: _Down) -> str:
    process, stop = down.process, down.stop
    if down.again is None:
        head = f"Service down: {called(process)} stopped listening on {_where(down)} at {clock(stop.time_ns)}"
        return f"{head}, {_ending(down)}; {_refusals(down)} since"
    gone = f"nobody listened on {_where(down)} for {span(down.again_ns - stop.time_ns)}"
    until = f"from {clock(stop.time_ns)} to {clock(down.again_ns)}"
    kind = "Restart of" if down.is_restart else "Service was down:"
    return f"{kind} {called(process)}: {gone}, {until}, {_ending(down)}; {_refusals(down)} meanwhile"


def _evidence(down: _Down) -> tuple[str, ...]:
    process, stop = down.process, down.stop
    found = [f"{called(process)} listened on {_where(down)} until {clock(stop.time_ns)}: {_ending(down)}"]
    if down.out_of_memory:
        found.append("the kernel's OOM killer chose it; that is memory of the host or its group, not of TCP")
    how = ending(process.exit_code, out_of_memory=process.out_of_memory)
    if stop.holder is not None and how:
        found.append(f"{called(process)}, which had opened the socket: {how}")
    found.append(f"{_refusals(down)} since {clock(down.first_ns)}: nobody listens there")
    if down.again is not None:
        words = "ended in order and was back soon, as in a planned restart" if down.is_restart else "listens again"
        found.append(f"{called(down.again.owner.process)} listens there since {clock(down.again_ns)}: {words}")
    elif down.moved is not None:
        listener = down.moved.listener
        place = f"{listener.address} port {listener.port}"
        where = "" if listener.netns_cookie == down.subject.netns_cookie else f" in {_netns(down.moved)}"
        found.append(f"{called(down.moved.owner.process)} listens on {place}{where}, which clients do not ask for")
    elif down.in_order and process.unit and not process.container:
        found.append("it ended as it does when its manager stops it")
    return tuple(found)


def _netns(life: Life) -> str:
    return life.netns_name or f"network namespace {life.listener.netns}"


def _claims(down: _Down) -> tuple[Claims, ...]:
    cookie, ports, since_ns = down.subject.netns_cookie, frozenset(down.wanted), down.stop.time_ns
    refused = Claims(
        causes=frozenset({"closed-port"}),
        netns_cookie=cookie,
        ports=ports,
        owners=frozenset({label(down.process)}),
        since_ns=since_ns,
        until_ns=down.again_ns,
    )
    # connections that ended with it, then or when their peer wrote next; those of who listens again are its own
    until_ns = down.again_ns and down.again_ns + _CUT_NS
    cut = Claims(causes=CUT, netns_cookie=cookie, ports=ports, since_ns=since_ns - _CUT_NS, until_ns=until_ns)
    return refused, cut


def _steps(down: _Down) -> tuple[Step, ...]:
    port = down.subject.port
    steps = managers.ask(down.process, down.stop.time_ns)
    if down.out_of_memory:
        steps = [*managers.memory(down.process, down.stop.time_ns), *steps]
    steps.append(Step(f"ss -ltnp 'sport = :{port}'", "whether anybody listens there now"))
    steps.append(Step(f"whyreset who {port}", "who listened there, and how each ended"))
    return tuple(steps)
