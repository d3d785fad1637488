"""service-down: a listener went away, and clients are refused. Rules and cases stand in service_down.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, called, label, source, times
from whyreset.model import Owner, Reset, Step, Stop, Subject
from whyreset.words import clock, describe_exit, escape

#: Ports that are remembered.
PORTS = 512
#: Clients of a port that are told apart.
CLIENTS = 256
#: Without a refused client for so long it is over: nobody wants it any more.
QUIET_NS = 120 * SECOND_NS


class _Down(Struct, kw_only=True):
    subject: Subject
    owner: Owner
    stop: Stop
    first_ns: int
    last_ns: int
    refused: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    resets: list[int] = field(default_factory=list)
    #: It listens again since.
    again_ns: int = 0


class ServiceDown:
    """Finds services that are gone."""

    NAME = "service-down"

    def __init__(self) -> None:
        self._down: Table[tuple[int, int], _Down] = Table(PORTS, weight=lambda down: down.refused)

    def see(self, batch: Batch) -> None:
        """Refused clients of ports whose listener is gone, and listeners that came back."""
        for reset in batch.resets:
            if reset.cause.name == "closed-port" and reset.facts.direction == "sent" and reset.owner and reset.stop:
                self._refused(reset, reset.owner, reset.stop)
        for life in batch.lives:
            down = self._down.get((life.listener.netns_cookie, life.listener.port))
            if down is not None and not life.listener.until_ns and not down.again_ns:
                down.again_ns = life.listener.since_ns + batch.epoch_ns
        self._down.drop(lambda down: batch.now_ns - down.last_ns > QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each port."""
        for key, down in self._down.items():
            subject, stop = down.subject, down.stop
            severity: Literal["critical", "notice"] = "notice" if down.again_ns else "critical"
            yield Draft(
                key=key,
                subject=subject,
                since_ns=stop.time_ns,
                last_ns=down.again_ns or down.last_ns,
                count=down.refused,
                confidence="certain",
                severity=severity,
                sentence=_sentence(down),
                evidence=(
                    f"{called(down.owner.process)} listened on port {subject.port} until {clock(stop.time_ns)}",
                    f"{times(down.refused, 'connection')} of {times(len(down.clients), 'client')} refused since",
                ),
                steps=_steps(down),
                resets=tuple(down.resets),
                claims=(
                    Claims(
                        causes=frozenset({"closed-port"}),
                        netns_cookie=subject.netns_cookie,
                        ports=frozenset({key[1]}),
                        owners=frozenset({label(down.owner.process)}),
                        since_ns=stop.time_ns,
                        until_ns=down.again_ns,
                    ),
                ),
                stage="again" if down.again_ns else "",
                over=bool(down.again_ns),
            )

    def _refused(self, reset: Reset, owner: Owner, stop: Stop) -> None:
        sample = reset.sample
        key = sample.netns_cookie, reset.port if reset.port is not None else sample.local_port
        known = self._down.get(key)
        # the same end's time of day may differ a little, as the clock is set
        if known is not None and abs(known.stop.time_ns - stop.time_ns) > SECOND_NS:
            self._down.pop(key)
        subject = Subject(
            netns=sample.netns,
            netns_cookie=sample.netns_cookie,
            netns_name=reset.netns_name,
            port=key[1],
            process=owner.process,
        )
        down = self._down.touch(
            key,
            lambda: _Down(subject=subject, owner=owner, stop=stop, first_ns=reset.time_ns, last_ns=reset.last_ns),
        )
        down.last_ns = max(down.last_ns, reset.last_ns)
        down.refused += reset.count
        for address, count in reset.remotes.top if reset.remotes else ():
            if len(down.clients) < CLIENTS:
                down.clients[source(address)] += count
        if len(down.resets) < 3:
            down.resets.append(reset.number)


def _sentence(down: _Down) -> str:
    process, stop = down.owner.process, down.stop
    end = describe_exit(process)
    head = f"Service down: {called(process)} stopped listening on :{down.subject.port} at {clock(stop.time_ns)}"
    refused = f"{times(down.refused, 'client connection')} refused since"
    return "; ".join([f"{head}, {end}" if end else head, refused])


def _steps(down: _Down) -> tuple[Step, ...]:
    process, port = down.owner.process, down.subject.port
    steps = []
    if process.unit:
        unit = escape(process.unit)
        steps.append(Step(f"systemctl status {unit}", "whether it runs again, and its last lines"))
        steps.append(
            Step(f"journalctl -u {unit} --since '{clock(down.stop.time_ns - 60 * SECOND_NS)}'", "what it said")
        )
    steps.append(Step(f"ss -ltnp 'sport = :{port}'", "whether anybody listens there now"))
    return tuple(steps)
