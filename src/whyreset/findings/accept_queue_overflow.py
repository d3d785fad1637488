"""accept-queue-overflow: a listener accepts more slowly than clients come. Rules stand in accept_queue_overflow.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from whyreset.findings.base import Batch, Claims, Draft, called, times
from whyreset.findings.overflow import Listening, Overflows, Trouble, limit_of, look_steps
from whyreset.findings.steps import inside
from whyreset.model import Confidence, Queue, Step, Subject
from whyreset.words import span

#: The family's name stands for resets of which only that can be told.
_FAMILY = "listen-queue"
_CAUSES = ("accept-queue-full", _FAMILY)


class AcceptQueueOverflow:
    """Finds listeners whose accept queue is full."""

    NAME = "accept-queue-overflow"

    def __init__(self) -> None:
        self._overflows = Overflows(lambda moved: moved.get("ListenOverflows", 0), _is_full)
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Counters, looks, and clients that were reset for it."""
        self._home = batch.host.netns if batch.host else self._home
        self._overflows.see(batch)
        for reset in batch.resets:
            # packets alone do not tell it from what else refuses a handshake's end
            if reset.cause.name in _CAUSES and reset.facts.direction == "sent" and reset.facts.traits is None:
                self._overflows.reset(reset)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each listener that is meant, or for the namespace where that cannot be told."""
        for cookie, trouble in self._overflows.troubles():
            if not trouble.is_lasting():
                continue
            named, certain = trouble.named()
            if not named:
                yield self._draft(cookie, trouble, None, "certain")
            elif not certain and len(named) > 1:
                yield self._draft(cookie, trouble, None, "likely", named)
            else:
                for each in named:
                    yield self._draft(cookie, trouble, each, "certain" if certain else "likely")

    def _draft(
        self,
        cookie: int,
        trouble: Trouble,
        listening: Listening | None,
        confidence: Confidence,
        others: Iterable[Listening] = (),
    ) -> Draft:
        subject = trouble.subject
        if listening is not None:
            process = listening.owner.process if listening.owner else None
            subject = replace(subject, port=listening.port, address=listening.address, process=process)
        # what it has reset is among what it has dropped
        count = max(listening.dropped, listening.reset) if listening and listening.dropped else trouble.number
        what = _outcome(trouble, listening)
        who = _who(trouble, listening, others)
        return Draft(
            key=(cookie, listening.port if listening else 0),
            subject=subject,
            since_ns=trouble.first_ns,
            last_ns=trouble.last_ns,
            count=count,
            confidence=confidence,
            severity="warning",
            sentence=f"Accept queue full: {who} turned away {times(count, 'handshake')}; {what}",
            evidence=tuple(_evidence(trouble, listening, others)),
            steps=tuple(self._steps(trouble, subject, listening)),
            resets=tuple(trouble.resets),
            claims=tuple(_claims(trouble, subject)),
            stands=True,
            stage=f"{what} {sorted(each.port for each in others)}",
        )

    def _steps(self, trouble: Trouble, subject: Subject, listening: Listening | None) -> Iterable[Step]:
        if listening is not None:
            yield from look_steps(subject, listening, self._home)
            return
        every = Step("ss -ltn", "of each listener what waits (Recv-Q) and what may wait (Send-Q)")
        yield from inside(subject, self._home, every)


def _is_full(queue: Queue, _settings: dict[str, int]) -> bool:
    """The kernel lets in one more than the limit: sk_acceptq_is_full()."""
    return queue.waiting > queue.limit


def _who(trouble: Trouble, listening: Listening | None, others: Iterable[Listening]) -> str:
    if listening is not None:
        owner = called(listening.owner.process) if listening.owner else "a listener"
        return f"{owner} on :{listening.port} accepts too slowly and"
    if ports := ", ".join(f":{each.port}" for each in others):
        return f"one or more of the listeners on {ports} accept too slowly and"
    number = len(trouble.listening)
    return (
        f"one of {number} listening ports (which one cannot be told)"
        if number
        else "a listener (which one cannot be told)"
    )


def _outcome(trouble: Trouble, listening: Listening | None) -> str:
    """What came of it for clients."""
    reset = listening.reset if listening else sum(each.reset for each in trouble.ports.values())
    parts = []
    if reset:
        parts.append("some clients were reset (tcp_abort_on_overflow is 1)")
    if trouble.beside["TCPReqQFullDoCookies"]:
        parts.append("SYN cookies were sent")
    return ", ".join([*parts, "others heard nothing and try again" if reset else "clients hear nothing and try again"])


def _evidence(trouble: Trouble, listening: Listening | None, others: Iterable[Listening]) -> Iterable[str]:
    settings = trouble.settings
    if listening is not None and listening.limit:
        looks = f"full at {listening.full} of {times(listening.looks, 'look')}" if listening.looks else "when it reset"
        yield f"its queue held {listening.waiting}, its limit is {listening.limit} ({looks})"
        if listening.dropped:
            yield f"it counted {times(listening.dropped, 'dropped handshake')} itself"
        if listening.reset:
            yield f"{times(listening.reset, 'client')} reset by it"
    for each in others:
        owner = f"{called(each.owner.process)}, " if each.owner else ""
        yield f"{owner}:{each.port}: its queue held {each.waiting}, its limit is {each.limit}"
    took = f"{times(trouble.seconds, 'second')} ({span(trouble.last_ns - trouble.first_ns)})"
    yield f"counter ListenOverflows of its namespace rose by {trouble.total} in {took}"
    if listening is not None and listening.limit:
        yield limit_of(listening, settings)
    if "tcp_abort_on_overflow" in settings:
        yield f"net.ipv4.tcp_abort_on_overflow is {settings['tcp_abort_on_overflow']}"
    if cookies := trouble.beside["TCPReqQFullDoCookies"]:
        yield f"{times(cookies, 'SYN')} answered with a cookie, since the limit is that of half-open handshakes, too"
    if trouble.unread:
        yield f"its namespace could not be looked into: {trouble.unread}"


def _claims(trouble: Trouble, subject: Subject) -> Iterable[Claims]:
    # who believes in a cookie that met a full queue is reset when it goes on
    causes = {_FAMILY, "half-open"} if trouble.beside["SyncookiesSent"] else {_FAMILY}
    yield Claims(
        causes=frozenset(causes),
        netns_cookie=subject.netns_cookie,
        ports=frozenset() if subject.port is None else frozenset({subject.port}),
        since_ns=trouble.first_ns - 2_000_000_000,
        until_ns=trouble.last_ns + 30_000_000_000,
    )
