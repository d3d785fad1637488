"""syn-flood: SYNs fill the queues of open ports. Rules and cases stand in syn_flood.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from whyreset.findings.base import SECOND_NS, Batch, Draft, Table, subject_in, times
from whyreset.model import Confidence, Count, Step, Subject

#: SYNs a second that were not answered as clients do; the seconds in which it was so; how many make it a flood.
RATE, SECONDS = 100, 2
#: At most so many of them for each handshake that was completed after all, or refused for a full accept queue.
COMPLETED = 0.1
QUIET_NS = 10 * SECOND_NS
NAMESPACES = 64


class _Flood(Struct, kw_only=True):
    subject: Subject
    first_ns: int
    last_ns: int
    seconds: int = 0
    cookies: int = 0
    dropped: int = 0
    embryonic: int = 0
    completed: int = 0
    peak: int = 0


class SynFlood:
    """Finds floods of SYNs by the kernel's counters: most provoke no reset here."""

    NAME = "syn-flood"

    def __init__(self) -> None:
        self._floods: Table[int, _Flood] = Table(NAMESPACES)

    def see(self, batch: Batch) -> None:
        """What moved in a second."""
        for count in batch.counts:
            self._note(count)
        if len(self._floods):
            self._floods.drop(lambda flood: batch.now_ns - flood.last_ns > 2 * QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each namespace."""
        for cookie, flood in self._floods.items():
            if flood.seconds >= SECONDS:
                yield _draft(cookie, flood, over=now_ns - flood.last_ns > QUIET_NS)

    def _note(self, count: Count) -> None:
        moved = count.moved.get
        cookies, dropped, embryonic = moved("SyncookiesSent", 0), moved("TCPReqQFullDrop", 0), moved("EmbryonicRsts", 0)
        completed, overflows = moved("SyncookiesRecv", 0), moved("ListenOverflows", 0)
        unanswered = cookies + dropped + embryonic
        # a crowd of true clients completes its handshakes, also by cookies, or is refused by a full accept queue
        if unanswered < RATE or completed + overflows > COMPLETED * unanswered:
            return
        known = self._floods.get(count.netns_cookie)
        if known is None or count.time_ns - known.last_ns > QUIET_NS:
            self._floods.pop(count.netns_cookie)
            flood = _Flood(subject=subject_in(count), first_ns=count.time_ns - SECOND_NS, last_ns=count.time_ns)
            known = self._floods.touch(count.netns_cookie, lambda: flood)
        known.last_ns = count.time_ns
        known.seconds += 1
        known.cookies += cookies
        known.dropped += dropped
        known.embryonic += embryonic
        known.completed += completed
        known.peak = max(known.peak, unanswered)


def _draft(cookie: int, flood: _Flood, *, over: bool) -> Draft:
    total = flood.cookies + flood.dropped + flood.embryonic
    confidence: Confidence = "likely"
    answered = flood.embryonic > flood.cookies + flood.dropped
    evidence = []
    if flood.dropped:
        evidence.append(f"{times(flood.dropped, 'SYN')} dropped since the queue was full (TCPReqQFullDrop)")
    if flood.cookies:
        evidence.append(
            f"{times(flood.cookies, 'SYN cookie')} sent since the queue was full, {flood.completed:,} came back"
        )
    if flood.embryonic:
        evidence.append(
            f"{times(flood.embryonic, 'half-open handshake')} reset by the source that the SYN named (EmbryonicRsts):"
            " it had not asked"
        )
    evidence.append("the kernel's counters do not tell the port; sources of SYNs alone may be spoofed")
    lost = "connections of true clients without room in the queue may be lost" if flood.dropped else ""
    how = "whose sources reset what they did not ask for" if answered else "that nobody completes"
    sentence = f"SYN flood: {times(total, 'SYN')} {how}, up to {flood.peak:,} a second"
    return Draft(
        key=cookie,
        subject=flood.subject,
        since_ns=flood.first_ns,
        last_ns=flood.last_ns,
        count=total,
        confidence=confidence,
        severity="critical" if flood.dropped else "warning",
        sentence=f"{sentence}; {lost}" if lost else sentence,
        evidence=tuple(evidence),
        steps=(
            Step("ss -Htan state syn-recv | awk '{print $3}' | sort | uniq -c | sort -rn | head", "for which port"),
            Step("sysctl net.ipv4.tcp_syncookies net.ipv4.tcp_max_syn_backlog", "what the queue can take"),
            Step("tcpdump -nevi any -c 20 'tcp[tcpflags] = tcp-syn'", "where they enter: link address and TTL"),
        ),
        stands=True,
        stage="dropped" if flood.dropped else "",
        over=over,
    )
