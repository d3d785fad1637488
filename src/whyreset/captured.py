"""What the resets of captures mean: the rows of a summary go to the findings, as far as packets alone tell.

Nobody's side is known in a capture, unless it was said: then resets are seen from the service's, which sent or received
them. Each service's address is a host of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from whyreset.findings.base import SECOND_NS, Batch
from whyreset.findings.judge import Judge
from whyreset.model import Contact, Direction, Finding, Record, Remotes, Reset, Verdict
from whyreset.outputs.report.gather import Gathering, Row
from whyreset.outputs.report.top import Top

#: Remotes of a row that are handed on.
_REMOTES = 64


def meaning(found: Gathering, contacts: Iterable[Contact] = ()) -> tuple[list[Finding], Verdict]:
    """The findings over all that was gathered, and the verdict.

    Args:
        found: what the captures hold; its rows are bounded, so this is too.
        contacts: who tried which ports.
    """
    judge = Judge(window_ns=0)
    hosts: dict[str, int] = {}
    end_ns = 0
    findings: dict[str, Finding] = {}
    for row in sorted(found.rows.values(), key=lambda row: row.last_ns):
        host = hosts.setdefault(row.address, len(hosts) + 1)
        end_ns = max(end_ns, row.last_ns)
        judge.see(Batch(now_ns=row.last_ns, resets=(_reset(row, host),)))
        findings.update((each.id, each) for each in judge.judge(row.last_ns))
    judge.see(Batch(now_ns=end_ns, contacts=tuple(contacts)))
    findings.update((each.id, each) for each in judge.judge(end_ns + SECOND_NS))
    return list(findings.values()), judge.verdict(end_ns, min((row.first_ns for row in found.rows.values()), default=0))


def _reset(row: Row, host: int) -> Reset:
    """All of a row as one group of resets, as `watch` would have it of that host."""
    observed = row.sample
    sent = row.by_service if observed.direction == "observed" else observed.direction == "sent"
    seen, recorded = observed.seen, observed.recorded
    here, there = ((seen.src, seen.sport), (seen.dst, seen.dport))[:: 1 if sent else -1]
    direction: Direction = "sent" if sent else "received"
    return Reset(
        number=seen.number,
        count=row.count,
        facts=replace(observed.facts, direction=direction),
        cause=observed.cause,
        evidence=observed.evidence,
        sample=Record(
            number=seen.number,
            time_ns=row.first_ns,
            direction=direction,
            netns=host,
            netns_cookie=host,
            family=seen.family,
            local=here[0],
            local_port=here[1],
            remote=there[0],
            remote_port=there[1],
        ),
        time_ns=row.first_ns,
        last_ns=row.last_ns,
        port=row.port,
        netns_name=row.address,
        remotes=_remotes(row.peers),
        owner=recorded.owner if recorded else None,
        closer=recorded.closer if recorded else None,
        on_wire=row.count,
    )


def _remotes(top: Top) -> Remotes:
    return Remotes(distinct=top.distinct, exact=top.exact, top=tuple(top.most(_REMOTES)))
