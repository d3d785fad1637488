"""port-scan: somebody tries which ports are open. Rules and cases stand in port_scan.md.

Threshold Random Walk (Jung, Paxson, Berger, Balakrishnan: «Fast Portscan Detection Using Sequential Hypothesis
Testing», 2004) on first contacts: with P(success | benign) 0.8 and P(success | scanner) 0.2 each failure makes a scan
four times as likely, each success a quarter as likely; detection 0.99 and false alarms 0.01 are passed at 99, by four
straight failures. The walk goes down no further than to the other bound, by four successes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

from whyreset.findings import scan_words as words
from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, source
from whyreset.findings.listened import Listened
from whyreset.findings.scan_words import Scan
from whyreset.model import Confidence, Contact, Subject, Target

#: Steps of the walk from its beginning up to «scan», and down to «benign».
UP, DOWN = 4, 4
#: Scans that are known at once, and remotes whose resets are remembered as examples.
SCANS, EXAMPLES = 256, 256
#: So many places leave no doubt.
MANY = 16
#: Four connections as any program makes them are no scan yet where they took longer than this, but not so long that
#: whoever only wants services that are gone would have come back to them meanwhile.
SLOW_S, PATIENT_S = 2, 120
#: So many accepted connections for each place that failed, four of these in such a time, are people behind one address
#: who err now and then.
CROWD, CROWD_S = 10, 30
#: Without a contact for so long, or for so many times what lies between two, it is over; after that long for certain.
QUIET_NS, QUIET_GAPS, QUIET_MOST_NS = 30 * SECOND_NS, 3, 3600 * SECOND_NS
#: Decoys come together: their contacts begin and end no further apart.
TOGETHER_NS = 5 * SECOND_NS
#: Scans that a new one is compared with.
COMPARED = 64
#: Connections as any program makes them to fewer places than that wait so long: who wants those ports tries again.
SURE, WAIT_NS = 8, SECOND_NS
#: So often in a moment does a scanner try a port; who tries it more often wants the service that was there.
FEW = 2
#: More who are only suspected at once are no scans: their addresses are made up, or there is another reason for it.
SUSPECTS = 4
#: Segments that no stack sends.
_ODD = frozenset({"fin", "null", "xmas", "other"})
_CAUSES = frozenset({"closed-port", "scan-probe", "stray-segment"})

_Key = tuple[int, str]


class PortScan:
    """Finds scans."""

    NAME = "port-scan"

    def __init__(self) -> None:
        self._listened = Listened()
        self._scans: Table[_Key, Scan] = Table(SCANS, weight=lambda scan: scan.failed)
        self._examples: Table[_Key, list[int]] = Table(EXAMPLES)
        self._names: Table[int, str] = Table(EXAMPLES)

    def see(self, batch: Batch) -> None:
        """First contacts, and the listeners by which they are judged."""
        self._listened.see(batch)
        for reset in batch.resets:
            if reset.cause.name in _CAUSES and reset.facts.direction == "sent" and reset.sample.remote:
                numbers = self._examples.touch((reset.sample.netns_cookie, source(reset.sample.remote)), list)
                if len(numbers) < 3:
                    numbers.append(reset.number)
                if reset.netns_name:
                    self._names.touch(reset.sample.netns_cookie, partial(str, reset.netns_name))
        for contact in batch.contacts:
            self._note(contact, batch)
        if len(self._scans):
            self._scans.drop(lambda scan: batch.now_ns - scan.last_ns > 2 * _quiet_ns(scan))

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each source, or for all that came together."""
        clusters: dict[_Key, list[Scan]] = {}
        for key, scan in self._scans.items():
            if now_ns < scan.ready_ns:
                continue
            clusters.setdefault((key[0], scan.leader), []).append(scan)
        drafts = []
        for key, scans in clusters.items():
            scans.sort(key=lambda scan: scan.contact.remote != key[1])
            drafts.append(self._draft(key, scans, now_ns))
        suspicions = Counter(each.subject.netns_cookie for each in drafts if each.confidence == "suspected")
        for draft in drafts:
            if draft.confidence != "suspected" or suspicions[draft.subject.netns_cookie] <= SUSPECTS:
                yield draft

    def _draft(self, key: _Key, scans: list[Scan], now_ns: int) -> Draft:
        contact = scans[0].contact
        last_ns = max(scan.last_ns for scan in scans)
        surest = min((scan.confidence for scan in scans), key=("certain", "likely", "suspected").index)
        numbers = [n for scan in scans for n in self._examples.get((key[0], scan.contact.remote)) or ()]
        return Draft(
            key=key,
            subject=Subject(
                netns=contact.netns,
                netns_cookie=contact.netns_cookie,
                netns_name=self._names.get(contact.netns_cookie) or "",
                remote=contact.remote if len(scans) == 1 else "",
                address=contact.places[0].address if contact.addresses == 1 else "",
            ),
            since_ns=min(scan.first_ns for scan in scans),
            last_ns=last_ns,
            count=sum(scan.contact.tries for scan in scans),
            confidence=surest,
            severity="notice" if surest == "suspected" else "warning",
            sentence=words.sentence(scans, surest),
            evidence=words.evidence(scans),
            steps=words.steps(scans),
            resets=tuple(numbers[:3]),
            claims=(
                Claims(
                    causes=_CAUSES,
                    # of captures all hosts are one
                    netns_cookie=key[0] or None,
                    remotes=frozenset(scan.contact.remote for scan in scans),
                    few=FEW,
                    since_ns=min(scan.first_ns for scan in scans),
                    until_ns=last_ns + SECOND_NS,
                ),
            ),
            stands=True,
            stage=f"{len(scans)} {bool(contact.opened)} {contact.techniques}",
            over=all(now_ns - scan.last_ns > _quiet_ns(scan) for scan in scans),
        )

    def _note(self, contact: Contact, batch: Batch) -> None:
        """Judges one remote by all that is known of it."""
        key = contact.netns_cookie, contact.remote
        ports = tuple(
            each
            for each in contact.places
            if each.port not in contact.opened
            and not self._listened.before(contact.netns_cookie, each.port, batch.now_ns, each.address)
        )
        failed = len(ports)
        if not contact.exact:
            # of the others each may be one that had a listener
            excused = max(len(contact.places) - failed, self._listened.count(contact.netns_cookie))
            failed = max(failed, contact.failed - excused)
        confidence = judge(contact, failed, ports)
        if confidence is None:
            self._scans.pop(key)
            return
        known = self._scans.get(key)
        scan = Scan(
            contact=contact,
            first_ns=contact.first_ns + batch.epoch_ns,
            last_ns=contact.last_ns + batch.epoch_ns,
            ports=tuple(each.port for each in ports),
            failed=failed,
            confidence=confidence,
        )
        waits = failed < SURE and contact.techniques == ("connect",)
        scan.leader = known.leader if known is not None else self._leader(scan)
        scan.ready_ns = known.ready_ns if known is not None else batch.now_ns + WAIT_NS if waits else 0
        self._scans.pop(key)
        self._scans.touch(key, lambda: scan)

    def _leader(self, scan: Scan) -> str:
        """Who tried the same places at the same time before: of a real source and its decoys it is the first."""
        own = frozenset(scan.ports)
        for _, other in islice(reversed(self._scans.items()), COMPARED):
            if (
                other.contact.netns_cookie == scan.contact.netns_cookie
                and abs(other.last_ns - scan.last_ns) < TOGETHER_NS
                and abs(other.failed - scan.failed) <= 2 + max(other.failed, scan.failed) // 4
                and len(own & frozenset(other.ports)) * 4 >= 3 * len(own)
            ):
                return other.leader
        return scan.contact.remote


def judge(contact: Contact, failed: int, places: Sequence[Target]) -> Confidence | None:
    """How surely a remote scans; None where it does not, or not yet.

    Args:
        contact: what it did.
        failed: places that failed and on which nobody listened within the last day.
        places: those of them that are told apart, in their order.
    """
    made_by_hand = contact.techniques != ("connect",)
    odd = bool(_ODD & set(contact.techniques))
    last = places[-UP:]
    lasted_s = last[-1].first_s - last[0].first_s if last else 0
    if failed < MANY:
        if not made_by_hand and 2 * sum(bool(each.again) for each in places) >= failed:
            return None
        if contact.accepted >= CROWD * failed and lasted_s >= CROWD_S:
            return None
    steps = failed - min(len(contact.opened), DOWN)
    if steps < UP:
        return "suspected" if failed and (odd or (made_by_hand and steps == UP - 1)) else None
    if failed >= MANY or odd:
        return "certain"
    if not made_by_hand and SLOW_S < lasted_s < PATIENT_S:
        return None
    return "likely"


def _quiet_ns(scan: Scan) -> int:
    return min(max(QUIET_NS, QUIET_GAPS * words.gap_ns(scan)), QUIET_MOST_NS)
