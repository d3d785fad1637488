"""forged-resets: connections are killed by resets that their peer did not send. Rules: forged_resets.md."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import field

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, Table, sources, times
from whyreset.findings.tally import Tally
from whyreset.model import Reset, Step

#: Ends of connections that are told apart, and of each so many peers.
ENDS, PEERS = 128, 64
QUIET_NS = 60 * SECOND_NS
_CAUSE = "forged"
_SHOWN = 5


class _Forged(Tally, kw_only=True):
    peers: set[str] = field(default_factory=set)
    evidence: tuple[str, ...] = ()


class ForgedResets:
    """Finds forged resets, where packets showed them."""

    NAME = "forged-resets"

    def __init__(self) -> None:
        self._known: Table[tuple[int, int | None, str], _Forged] = Table(ENDS, weight=lambda forged: forged.count)

    def see(self, batch: Batch) -> None:
        """Resets that neither end sent."""
        for reset in batch.resets:
            if reset.cause.name == _CAUSE:
                self._note(reset)
        if len(self._known):
            self._known.drop(lambda forged: batch.now_ns - forged.last_ns > 2 * QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each service and direction."""
        for key, forged in self._known.items():
            yield _draft(key, forged, over=now_ns - forged.last_ns > QUIET_NS)

    def _note(self, reset: Reset) -> None:
        key = reset.sample.netns_cookie, reset.port, reset.facts.direction
        forged = self._known.touch(key, lambda: _Forged.of(reset, reset.port))
        forged.add(reset)
        forged.evidence = forged.evidence or reset.evidence
        for peer, _ in sources(reset):
            if len(forged.peers) < PEERS:
                forged.peers.add(peer)


def _draft(key: tuple[int, int | None, str], forged: _Forged, *, over: bool) -> Draft:
    port = f"port {forged.subject.port}" if forged.subject.port is not None else "several ports"
    named = ", ".join(sorted(forged.peers)[:_SHOWN])
    more = f" and {len(forged.peers) - _SHOWN} more" if len(forged.peers) > _SHOWN else ""
    sure = "" if forged.certain else "probably "
    return Draft(
        key=key,
        subject=forged.subject,
        since_ns=forged.first_ns,
        last_ns=forged.last_ns,
        count=forged.count,
        confidence="certain" if forged.certain else "likely",
        severity="warning",
        sentence=f"Forged resets: {times(forged.count, 'reset')} of connections of {port} {sure}came from neither end",
        evidence=(
            *forged.evidence[:4],
            f"in connections with {named}{more}",
            "a middlebox, a firewall or an attacker on the way sent them in a peer's name",
        ),
        steps=(
            Step(
                "whyreset capture -o forged.pcapng --duration 300",
                "packets at both ends, held side by side, prove which reset nobody sent",
            ),
        ),
        resets=tuple(forged.resets),
        claims=(
            Claims(
                causes=frozenset({_CAUSE}),
                direction=key[2],
                netns_cookie=key[0],
                ports=frozenset({key[1]}),
                since_ns=forged.first_ns,
                until_ns=forged.last_ns + SECOND_NS,
            ),
        ),
        stage="certain" if forged.certain else "",
        over=over,
    )
