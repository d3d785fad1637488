"""syn-queue-overflow: a listener has no room for another half-open handshake. Rules stand in syn_queue_overflow.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from whyreset.findings.base import Batch, Claims, Draft, called, times
from whyreset.findings.overflow import Listening, Overflows, Trouble, limit_of, look_steps
from whyreset.findings.steps import inside
from whyreset.model import Confidence, Queue, Step, Subject
from whyreset.words import span

_COOKIES, _DROPS = "TCPReqQFullDoCookies", "TCPReqQFullDrop"
#: net.ipv4.tcp_syncookies: the kernel answers each SYN with a cookie, full or not.
_ALWAYS = 2
#: So many before it is told: fewer are a burst's.
_MANY = 20


class SynQueueOverflow:
    """Finds listeners with too many half-open handshakes."""

    NAME = "syn-queue-overflow"

    def __init__(self) -> None:
        self._overflows = Overflows(_moved, _is_full)
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Counters, and looks."""
        self._home = batch.host.netns if batch.host else self._home
        self._overflows.see(batch)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each listener that is meant, or for the namespace where that cannot be told."""
        for cookie, trouble in self._overflows.troubles():
            if not trouble.is_lasting() or trouble.total < _MANY or not _is_its_own(trouble):
                continue
            full = [each for each in trouble.ports.values() if each.full]
            if not full:
                if trouble.beside[_COOKIES] + trouble.beside[_DROPS]:
                    # where the settings are not known, every SYN may be answered with a cookie
                    known = trouble.settings or trouble.beside[_DROPS]
                    yield self._draft(cookie, trouble, None, "certain" if known else "suspected")
                continue
            for each in full:
                # the kernel counts cookies for the whole namespace: a full queue is what speaks for this one
                yield self._draft(cookie, trouble, each, "certain" if len(full) == 1 else "likely")

    def _draft(self, cookie: int, trouble: Trouble, listening: Listening | None, confidence: Confidence) -> Draft:
        subject = trouble.subject
        who = "a listener (which one cannot be told)"
        if listening is not None:
            process = listening.owner.process if listening.owner else None
            subject = replace(subject, port=listening.port, address=listening.address, process=process)
            who = f"{called(process) if process else 'the listener'} on :{listening.port}"
        cookies = trouble.beside[_COOKIES]
        what = "answered with SYN cookies" if cookies else "not answered"
        return Draft(
            key=(cookie, listening.port if listening else 0),
            subject=subject,
            since_ns=trouble.first_ns,
            last_ns=trouble.last_ns,
            count=trouble.total,
            confidence=confidence,
            severity="notice" if cookies else "warning",
            sentence=f"Too many half-open handshakes: {who} has no room for more; {times(trouble.total, 'SYN')} {what}",
            evidence=tuple(_evidence(trouble, listening)),
            steps=tuple(self._steps(subject, listening)),
            claims=tuple(_claims(trouble, subject)),
            stands=True,
            stage=what,
        )

    def _steps(self, subject: Subject, listening: Listening | None) -> Iterable[Step]:
        if listening is None:
            every = Step("ss -tn state syn-recv", "half-open handshakes by port and by remote")
            yield from inside(subject, self._home, every)
            return
        yield from look_steps(subject, listening, self._home)
        many = Step(
            f"ss -tn state syn-recv 'sport = :{listening.port}'",
            "from where the half-open handshakes are: many addresses with one each are spoofed, or a crowd",
        )
        yield from inside(subject, self._home, many)


def _moved(moved: dict[str, int]) -> int:
    """SYNs that found no room; without cookies the kernel counts most of them among the drops alone."""
    others = moved.get("ListenDrops", 0) - moved.get("ListenOverflows", 0)
    return moved.get(_COOKIES, 0) + max(moved.get(_DROPS, 0), others)


def _is_full(queue: Queue, settings: dict[str, int]) -> bool | None:
    """inet_csk_reqsk_queue_is_full(); without cookies known peers have the last quarter of tcp_max_syn_backlog."""
    if not queue.half_open:
        return None if queue.half_open is None else False
    most = settings.get("tcp_max_syn_backlog", 0)
    kept = settings.get("tcp_syncookies") == 0 and 0 < 3 * most <= 4 * queue.half_open
    return queue.half_open >= max(queue.limit, 1) or kept


def _is_its_own(trouble: Trouble) -> bool:
    """Not only what comes of a full accept queue (accept-queue-overflow), or of cookies for each SYN."""
    return not trouble.beside["ListenOverflows"] and trouble.settings.get("tcp_syncookies") != _ALWAYS


def _evidence(trouble: Trouble, listening: Listening | None) -> Iterable[str]:
    if listening is not None:
        looks = f"full at {listening.full} of {times(listening.looks, 'look')}"
        yield f"{listening.half_open} half-open handshakes, the limit is {listening.limit} ({looks})"
        yield f"its accept queue held {listening.waiting}: the program itself keeps up"
    took = span(trouble.last_ns - trouble.first_ns)
    for name in (_COOKIES, _DROPS):
        if trouble.beside[name]:
            yield f"counter {name} of its namespace rose by {trouble.beside[name]} in {took}"
    if received := trouble.beside["SyncookiesRecv"]:
        yield f"{times(received, 'cookie')} came back: those clients are real"
    elif sent := trouble.beside["SyncookiesSent"]:
        yield f"none of {times(sent, 'cookie')} came back: the sources are spoofed, or their answers are lost"
    if listening is not None:
        yield limit_of(listening, trouble.settings)
    if "tcp_syncookies" in trouble.settings:
        yield f"net.ipv4.tcp_syncookies is {trouble.settings['tcp_syncookies']}"
    if trouble.unread:
        yield f"its namespace could not be looked into: {trouble.unread}"


def _claims(trouble: Trouble, subject: Subject) -> Iterable[Claims]:
    yield Claims(
        causes=frozenset({"bad-handshake-ack"}),
        netns_cookie=subject.netns_cookie,
        ports=frozenset() if subject.port is None else frozenset({subject.port}),
        since_ns=trouble.first_ns,
    )
