"""dependency-silent: what our own programs need does not answer. Rules and cases stand in dependency_silent.md."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from whyreset.findings.base import SECOND_NS, Batch, Draft, Table, times
from whyreset.findings.dependencies import Dependencies, Dependency
from whyreset.model import Attempt, Subject
from whyreset.words import span

#: The first SYN is sent again after a second (RFC 6298 section 2.1): who gave up before has not waited for an answer.
PATIENCE_NS = SECOND_NS
#: Tries before it is told; of several processes, or where SYNs were sent until the kernel gave up, so many.
_TRIES, _FEW = 3, 2
#: TCP_RTO_MAX.
_LONGEST = 120
_NAMESPACES = 256


def takes_ns(retries: int) -> int:
    """How long the kernel tries with net.ipv4.tcp_syn_retries: 1 s, twice as long after each (tcp_write_timeout())."""
    return sum(min(1 << number, _LONGEST) for number in range(min(max(retries, 0), 255) + 1)) * SECOND_NS


class DependencySilent:
    """Finds destinations that do not answer."""

    NAME = "dependency-silent"

    def __init__(self) -> None:
        self._silent = Dependencies()
        #: net.ipv4.tcp_syn_retries by the namespace's cookie.
        self._retries: Table[int, int] = Table(_NAMESPACES)
        self._home = 0

    def see(self, batch: Batch) -> None:
        """Connections that were given up, and the settings of their namespaces."""
        self._home = batch.host.netns if batch.host else self._home
        for place in batch.places:
            if (retries := place.settings.get("tcp_syn_retries")) is not None:
                self._retries.pop(place.netns_cookie)
                self._retries.touch(place.netns_cookie, partial(int, retries))
        for attempt in batch.attempts:
            if attempt.longest_ns >= PATIENCE_NS:
                self._take(attempt, batch.epoch_ns)
        self._silent.forget(batch.now_ns)

    def drafts(self, now_ns: int) -> Iterable[Draft]:
        """One for each destination that somebody needs."""
        for key, each in self._silent.items():
            retries = self._retries.get(key[0])
            ran_out = retries is not None and each.longest_ns >= 0.95 * takes_ns(retries)
            if each.tries < (_FEW if ran_out or len(each.known) > 1 else _TRIES):
                continue
            yield Draft(
                key=key,
                subject=each.subject,
                since_ns=each.first_ns,
                last_ns=each.last_ns,
                count=each.tries,
                confidence="certain",
                severity="warning",
                sentence=(
                    f"Dependency silent: {each.place()} answered none of {times(each.tries, 'connection')} of"
                    f" {each.who()}, given up after {_took(each)}"
                ),
                evidence=tuple(_evidence(each, retries, ran_out)),
                steps=tuple(each.steps(self._home)),
                stands=True,
                stage="" if retries is None else "ran out" if ran_out else "gave up",
            )

    def _take(self, attempt: Attempt, epoch_ns: int) -> None:
        subject = Subject(
            netns=attempt.netns,
            netns_cookie=attempt.netns_cookie,
            netns_name=attempt.netns_name,
            port=attempt.port,
            process=attempt.process,
            remote=attempt.remote,
        )
        # of several some may have been given up at once, for another address that was faster
        patient = attempt.count if attempt.shortest_ns >= PATIENCE_NS else 1
        first_ns, last_ns = attempt.first_ns + epoch_ns, attempt.last_ns + epoch_ns
        known = self._silent.at(subject, first_ns)
        known.tried(attempt.process, patient, first_ns, last_ns)
        shortest_ns = max(attempt.shortest_ns, PATIENCE_NS)
        known.shortest_ns = min(known.shortest_ns or shortest_ns, shortest_ns)
        known.longest_ns = max(known.longest_ns, attempt.longest_ns)


def _took(each: Dependency) -> str:
    shortest, longest = span(each.shortest_ns), span(each.longest_ns)
    return longest if each.shortest_ns >= 0.9 * each.longest_ns else f"{shortest} to {longest}"


def _evidence(each: Dependency, retries: int | None, ran_out: bool) -> Iterable[str]:
    yield "no SYN-ACK and no reset came: the packets are dropped on the way, or there is no such host"
    yield from each.evidence()
    if retries is None:
        return
    whole = f"{takes_ns(retries) // SECOND_NS} s"
    if ran_out:
        yield f"the kernel ran out of SYN retries: net.ipv4.tcp_syn_retries is {retries}, which takes {whole} here"
    else:
        yield f"given up by the program itself: net.ipv4.tcp_syn_retries is {retries}, which would take {whole}"
