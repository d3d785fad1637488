"""Findings and verdicts as lines of JSON and as lines for people."""

from __future__ import annotations

from whyreset.model import Finding, Step, Verdict
from whyreset.outputs.keys_findings import FindingShareKey, StepKey, SubjectKey, VerdictKey
from whyreset.outputs.lines import SCHEMA, FindingLine, VerdictLine
from whyreset.outputs.wire import identifier, process_key, timestamp
from whyreset.words import clock, escape

_STATES = {"open": "", "update": "still: ", "closed": "over: "}


def finding_line(finding: Finding) -> FindingLine:
    """A finding as a line."""
    subject = finding.subject
    return FindingLine(
        schema=SCHEMA,
        time=timestamp(finding.time_ns),
        id=finding.id,
        name=finding.name,
        state=finding.state,
        subject=SubjectKey(
            netns=subject.netns or None,
            netns_cookie=subject.netns_cookie or None,
            netns_name=subject.netns_name,
            port=subject.port,
            address=subject.address,
            process=process_key(subject.process) if subject.process else None,
            remote=subject.remote,
        ),
        since=timestamp(finding.since_ns),
        until=timestamp(finding.until_ns) if finding.until_ns else "",
        count=finding.count,
        confidence=finding.confidence,
        severity=finding.severity,
        text=escape(finding.sentence),
        evidence=[escape(each) for each in finding.evidence],
        steps=_steps(finding.steps),
        resets=[identifier(each) for each in finding.resets],
    )


def verdict_line(verdict: Verdict) -> VerdictLine:
    """A verdict as a line."""
    return VerdictLine(schema=SCHEMA, time=timestamp(verdict.time_ns), verdict=verdict_key(verdict))


def verdict_key(verdict: Verdict) -> VerdictKey:
    """A verdict within another line."""
    return VerdictKey(
        since=timestamp(verdict.since_ns),
        text=escape(verdict.sentence),
        resets=verdict.resets,
        unexplained=verdict.unexplained,
        findings=[
            FindingShareKey(
                finding=each.id,
                name=each.name,
                count=each.count,
                severity=each.severity,
                confidence=each.confidence,
                text=escape(each.sentence),
            )
            for each in verdict.shares
        ],
        causes=dict(verdict.causes),
        steps=_steps(verdict.steps),
    )


def finding_text(finding: Finding) -> str:
    """«12:00:04  finding   critical: Service down: api.service ... [service-down]», and what to do under it.

    What is only suspected is said quietly, without its evidence.
    """
    subject = finding.subject
    where = f", in {subject.netns_name}" if subject.netns_name else ""
    suspected = "suspected: " if finding.confidence == "suspected" else ""
    severity = "" if finding.state == "closed" else f"{finding.severity}: "
    head = f"{_STATES[finding.state]}{severity}{suspected}{finding.sentence}{where} [{finding.name}]"
    lines = [escape(f"{clock(finding.time_ns)}  finding   {head}")]
    if finding.state == "open" and not suspected:
        lines += [escape(f"{'':20}{each}") for each in finding.evidence]
        lines += [escape(f"{'':20}next: {each.command}  # {each.why}") for each in finding.steps]
    return "\n".join(lines)


def verdict_text(verdict: Verdict) -> str:
    """«12:00:04  verdict   Service down: ... (98.7 % of 43 resets)»"""
    return escape(f"{clock(verdict.time_ns)}  verdict   {verdict.sentence}")


def _steps(steps: tuple[Step, ...]) -> list[StepKey]:
    return [StepKey(command=each.command, why=each.why) for each in steps]
