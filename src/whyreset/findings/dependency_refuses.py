"""dependency-refuses: what our own programs need refuses them. Rules and cases stand in dependency_refuses.md."""

from __future__ import annotations

from collections.abc import Iterable

from whyreset.findings.base import SECOND_NS, Batch, Claims, Draft, source, subject_of, times
from whyreset.findings.dependencies import Dependencies, Dependency
from whyreset.model import Reset

#: Tries before it is told, over at least so long; of several processes as many as there are.
_TRIES, _OVER_NS = 3, SECOND_NS
_MANY = 10
_FAMILY = "closed-port"


class DependencyRefuses:
    """Finds destinations that refuse connections of this host."""

    NAME = "dependency-refuses"

    def __init__(self) -> None:
        self._refused = Dependencies()
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Resets that came in answer to a SYN; those sent on this host are told where they were sent."""
        self._home = batch.host.netns if batch.host else self._home
        for reset in batch.resets:
            facts = reset.facts
            if facts.direction == "received" and facts.state == "SYN_SENT" and reset.twin is None:
                self._take(reset)
        self._refused.forget(batch.now_ns)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each destination that somebody needs."""
        for key, each in self._refused.items():
            again = each.tries >= _TRIES and each.last_ns - each.first_ns >= _OVER_NS
            if not again and len(each.known) < 2:
                continue
            yield Draft(
                key=key,
                subject=each.subject,
                since_ns=each.first_ns,
                last_ns=each.last_ns,
                count=each.tries,
                confidence="certain",
                severity="warning" if each.tries >= _MANY else "notice",
                sentence=(
                    f"Dependency refuses: {each.place()} refused {times(each.tries, 'connection')} of {each.who()}"
                    f" in {each.span()}"
                ),
                evidence=(
                    "each SYN was answered with a reset: nobody listens there, or a firewall on the way refuses",
                    *each.evidence(),
                ),
                steps=tuple(each.steps(self._home)),
                resets=tuple(each.resets),
                claims=(
                    Claims(
                        causes=frozenset({_FAMILY}),
                        direction="received",
                        netns_cookie=key[0],
                        ports=frozenset({key[2]}),
                        remotes=frozenset({source(key[1])}),
                        since_ns=each.first_ns,
                    ),
                ),
            )

    def _take(self, reset: Reset) -> None:
        if reset.port is None or reset.remotes is None:
            return
        process = reset.owner.process if reset.owner else None
        for remote, count in reset.remotes.top:
            subject = subject_of(reset, port=reset.port, process=process, remote=remote)
            known: Dependency = self._refused.at(subject, reset.time_ns)
            known.tried(process, count, reset.time_ns, reset.last_ns)
            if len(known.resets) < 3:
                known.resets.append(reset.number)
