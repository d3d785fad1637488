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
#: So many connections that may have gone on only because segments changed their order.
_LIKELY = 3
_SHOWN = 5


class _Forged(Tally, kw_only=True):
    peers: set[str] = field(default_factory=set)
    #: Segments that went on with connections beyond a reset in their sender's name, and those of them that are certain.
    went_on: int = 0
    proofs: int = 0
    evidence: tuple[str, ...] = ()


class ForgedResets:
    """Finds forged resets: where packets showed them, or where who is said to have sent one went on."""

    NAME = "forged-resets"

    def __init__(self) -> None:
        self._known: Table[tuple[int, int | None, str], _Forged] = Table(ENDS, weight=lambda forged: forged.count)

    def see(self, batch: Batch) -> None:
        """Resets that neither end sent."""
        for reset in batch.resets:
            if reset.cause.name == _CAUSE or _went_on(reset):
                self._note(reset)
        if len(self._known):
            self._known.drop(lambda forged: batch.now_ns - forged.last_ns > 2 * QUIET_NS)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each service and direction."""
        for key, forged in self._known.items():
            if forged.count or forged.proofs or forged.went_on >= _LIKELY:
                yield _draft(key, forged, over=now_ns - forged.last_ns > QUIET_NS)

    def _note(self, reset: Reset) -> None:
        went_on = _went_on(reset)
        key = reset.sample.netns_cookie, reset.port, "received" if went_on else reset.facts.direction
        forged = self._known.touch(key, lambda: _Forged.of(reset, reset.port))
        if went_on:
            forged.last_ns = max(forged.last_ns, reset.last_ns)
            forged.first_ns = min(forged.first_ns, reset.time_ns - 1_000_000 * (reset.sample.ended_ms or 0))
            forged.went_on += reset.count
            forged.proofs += reset.count if reset.cause.certainty == "certain" else 0
        else:
            forged.add(reset)
        forged.evidence = forged.evidence or reset.evidence
        for peer, _ in sources(reset):
            if len(forged.peers) < PEERS:
                forged.peers.add(peer)


def _went_on(reset: Reset) -> bool:
    """What this host reset shows that an earlier reset, which it took for its peer's, was not."""
    return reset.cause.name == "half-open" and reset.facts.traits is None and reset.facts.goes_on_after_reset


def _draft(key: tuple[int, int | None, str], forged: _Forged, *, over: bool) -> Draft:
    port = f"port {forged.subject.port}" if forged.subject.port is not None else "several ports"
    named = ", ".join(sorted(forged.peers)[:_SHOWN])
    more = f" and {len(forged.peers) - _SHOWN} more" if len(forged.peers) > _SHOWN else ""
    certain = bool(forged.certain or forged.proofs)
    sure = "" if certain else "probably "
    count = forged.count or forged.went_on
    went_on = (
        f"{times(forged.went_on, 'segment')} went on with connections that a reset in their sender's name had ended"
    )
    return Draft(
        key=key,
        subject=forged.subject,
        since_ns=forged.first_ns,
        last_ns=forged.last_ns,
        count=count,
        confidence="certain" if certain else "likely",
        severity="warning",
        sentence=f"Forged resets: {times(count, 'reset')} of connections of {port} {sure}came from neither end",
        evidence=(
            *forged.evidence[:4],
            *([went_on] if forged.went_on else []),
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
            *(_beside(key, forged) if forged.went_on else ()),
        ),
        stage="certain" if certain else "",
        over=over,
    )


def _beside(key: tuple[int, int | None, str], forged: _Forged) -> Iterable[Claims]:
    """What was taken for the peers' own resets, and what this host answered when they went on."""
    for direction, cause in (("received", "unknown"), ("sent", "half-open")):
        yield Claims(
            causes=frozenset({cause}),
            direction=direction,
            netns_cookie=key[0],
            ports=frozenset({key[1]}),
            remotes=frozenset(forged.peers),
            since_ns=forged.first_ns,
            until_ns=forged.last_ns + SECOND_NS,
        )
