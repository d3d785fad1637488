"""The summary in a terminal: what a person can read in ten seconds, then the rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from whyreset.observation import Conversations, Problem
from whyreset.outputs.report import phrases
from whyreset.outputs.report.gather import Gathering, Row
from whyreset.words import escape, span

#: Scans that are named.
_SCANS = 5


def head(files: Sequence[str], read: Conversations) -> str:
    """«x.pcap: 42 s from 2026-11-22 05:43:15 UTC, 5,801,223 packets, 600,000 TCP connections»."""
    name = files[0] if len(files) == 1 else f"{len(files):,} files"
    when = ""
    if read.first_ns is not None and read.last_ns is not None:
        began = datetime.datetime.fromtimestamp(read.first_ns // 1_000_000_000, datetime.UTC)
        when = f"{span(read.last_ns - read.first_ns)} from {began:%Y-%m-%d %H:%M:%S} UTC, "
    return f"{name}: {when}{read.packets:,} packets, {read.connections:,} TCP connections"


def share(read: Conversations, found: Gathering) -> str:
    """«5,341 resets; 4,996 of 20,000 connections were reset (25 %)»."""
    if not read.resets:
        return "No TCP connection was reset."
    percent = f" ({_percent(read.reset, read.connections)})" if read.connections else ""
    text = f"{read.resets:,} reset{'s' if read.resets != 1 else ''}; {read.reset:,} of {read.connections:,} connections"
    text += f" {'were' if read.reset != 1 else 'was'} reset{percent}"
    if found.resets != read.resets:
        text += f"; {found.resets:,} of the resets are shown"
    return text + "."


def rows(ranked: Sequence[Row], total: int, limit: int) -> Iterator[str]:
    """The rows as a table."""
    shown = ranked[:limit]
    names = [row.cause + ("" if row.certainty == "certain" else "?") for row in shown]
    width = max(map(len, names), default=0)
    for name, row in zip(names, shown, strict=True):
        number = row.sample.seen.number
        yield (
            f"{_percent(row.count, total):>6} {row.count:>9,}  {name:<{width}}  {phrases.who(row)}"
            f" (#{number}): {phrases.meaning(row)}"
        )
    if rest := sum(row.count for row in ranked[limit:]):
        yield f"{_percent(rest, total):>6} {rest:>9,}  in {len(ranked) - limit:,} more rows (--rows {len(ranked)})"


def losses(read: Conversations, problems: Sequence[tuple[str, Problem]], words: dict[str, str]) -> Iterator[str]:
    """What was not read, and what was forgotten.

    Args:
        read: the totals.
        problems: files that could not be read to their end.
        words: what each reason for passing over a packet means.
    """
    for file, problem in problems:
        yield f"{file}: {problem.text}, at byte {problem.byte:,}; what came before is counted"
    for reason, count in sorted(read.skipped.items(), key=lambda each: -each[1]):
        yield f"{count:,} packets were passed over: {words.get(reason, reason)}"
    if read.evicted_open:
        yield (
            f"{read.evicted_open:,} open connections were forgotten for want of room: resets on them may be unexplained"
        )
    if read.hurried:
        yield f"{read.hurried:,} resets were judged before all that followed them was seen, for want of room"


def summary(
    files: Sequence[str],
    read: Conversations,
    found: Gathering,
    *,
    limit: int,
    problems: Sequence[tuple[str, Problem]] = (),
    skipped: dict[str, str] | None = None,
) -> list[str]:
    """The whole summary, line by line, safe to print."""
    lines = [head(files, read), share(read, found)]
    if verdict := phrases.verdict(found):
        lines.append(verdict)
    if found.resets:
        lines += ["", *rows(found.ranked(), found.resets, limit)]
        if any(row.certainty != "certain" for row in found.ranked()[:limit]):
            lines.append("      ?: likely, or a family whose cause packets do not tell; --each says what would")
    if scans := found.scans():
        lines += ["", "who scans whom:", *(f"  {phrases.scan(prober)}" for prober in scans[:_SCANS])]
        if len(scans) > _SCANS:
            lines.append(f"  and {len(scans) - _SCANS:,} more")
    if missing := list(losses(read, problems, skipped or {})):
        lines += ["", *missing]
    return [escape(line) for line in lines]


def _percent(part: int, whole: int) -> str:
    """«25 %», «0.8 %», «<0.1 %»."""
    value = 100 * part / whole if whole else 0
    if part and value < 0.1:
        return "<0.1 %"
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"
