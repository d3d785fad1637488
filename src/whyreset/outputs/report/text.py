"""The summary in a terminal: what a person can read in ten seconds, then the rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from whyreset.model import Verdict
from whyreset.observation import Conversations
from whyreset.outputs.report import phrases
from whyreset.outputs.report.gather import Gathering, Row
from whyreset.outputs.report.phrases import percent
from whyreset.words import escape, span

#: Scans that are named.
_SCANS = 5
_LIKELY = "                  (?: likely, or a family whose cause packets do not tell; --each says what would)"


def head(files: Sequence[str], read: Conversations) -> str:
    """«x.pcap: 42 s from 2026-11-22 05:43:15 UTC, 5,801,223 packets, 600,000 TCP connections»."""
    name = {"-": "standard input"}.get(files[0], files[0]) if len(files) == 1 else f"{len(files):,} files"
    when = ""
    if read.first_ns is not None and read.last_ns is not None:
        began = datetime.datetime.fromtimestamp(read.first_ns // 1_000_000_000, datetime.UTC)
        when = f"{span(read.last_ns - read.first_ns)} from {began:%Y-%m-%d %H:%M:%S} UTC, "
    return f"{name}: {when}{read.packets:,} packets, {read.connections:,} TCP connections"


def share(read: Conversations, found: Gathering) -> str:
    """«5,341 resets; 4,996 of 20,000 connections were reset (25 %)»."""
    if not read.resets:
        return "No TCP connection was reset."
    part = f" ({percent(read.reset, read.connections)})" if read.connections else ""
    text = f"{read.resets:,} reset{'s' if read.resets != 1 else ''}; {read.reset:,} of {read.connections:,} connections"
    text += f" {'were' if read.reset != 1 else 'was'} reset{part}"
    if found.resets != read.resets:
        text += f"; {found.resets:,} of the resets are shown"
    return text + "."


def rows(ranked: Sequence[Row], found: Gathering, limit: int) -> Iterator[str]:
    """The rows as a table: what, who, and which services stand out."""
    total = found.resets
    for row in ranked[:limit]:
        sure = "" if row.certainty == "certain" else "?"
        yield f"{percent(row.count, total):>6} {row.count:>9,}  {row.cause}{sure}: {phrases.meaning(row)}"
        yield f"{'':>16}  {phrases.who(row)}; for example #{row.sample.seen.number}"
        for part in found.standing_out(row):
            yield f"{'':>16}  {part.count:,} of them: {phrases.who(part)}; for example #{part.sample.seen.number}"
    if rest := sum(row.count for row in ranked[limit:]):
        yield f"{percent(rest, total):>6} {rest:>9,}  in {len(ranked) - limit:,} more (--rows {len(ranked)} shows them)"


def losses(read: Conversations, words: dict[str, str]) -> Iterator[str]:
    """What was passed over, and what was forgotten.

    Args:
        read: the totals.
        words: what each reason for passing over a packet means.
    """
    for reason, count in sorted(read.skipped.items(), key=lambda each: -each[1]):
        yield f"{count:,} packets were passed over: {words.get(reason, reason)}"
    if read.evicted_open:
        yield f"{read.evicted_open:,} open connections were forgotten for want of room: resets on them say «state lost»"
    if read.hurried:
        yield f"{read.hurried:,} resets came too fast to wait for what followed them, which may tell forged ones"


def summary(
    files: Sequence[str],
    read: Conversations,
    found: Gathering,
    *,
    limit: int,
    by_service: bool = False,
    missing: Sequence[str] = (),
    meant: Verdict | None = None,
) -> list[str]:
    """The whole summary, line by line, safe to print."""
    lines = [head(files, read), share(read, found)]
    if verdict := phrases.verdict(found, meant):
        lines.append(verdict)
    if meant is not None:
        lines += [f"  next: {step.command}  # {step.why}" for step in meant.steps[:1]]
    if found.resets:
        ranked = found.ranked_rows() if by_service else found.ranked()
        lines += ["", *rows(ranked, found, limit)]
        if any(row.certainty != "certain" for row in ranked[:limit]):
            lines.append(_LIKELY)
    if scans := found.scans():
        lines += ["", "who scans whom:", *(f"  {phrases.scan(prober)}" for prober in scans[:_SCANS])]
        if len(scans) > _SCANS:
            lines.append(f"  and {len(scans) - _SCANS:,} more")
    if missing:
        lines += ["", *missing]
    return [escape(line) for line in lines]
