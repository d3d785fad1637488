"""What an agent kept, for people: alerts, findings, who reset why and how often, and what is not known."""

from __future__ import annotations

import textwrap
import time

from msgspec import Struct

from whyreset.model import Alert, Finding, Notice, Reset
from whyreset.outputs import plain, sentences
from whyreset.outputs.alerts import alert_sentence
from whyreset.outputs.store.values import Run
from whyreset.words import amount, duration, escape

#: Rows of resets a direction, alerts and findings that are shown; what is beyond is counted.
ROWS, EVENTS = 20, 20
_MARGIN = " " * 16


class Gap(Struct, frozen=True, kw_only=True):
    """A time in which no agent watched; nanoseconds since the epoch."""

    from_ns: int
    to_ns: int
    #: How the agent before it ended.
    why: str


class Row(Struct, frozen=True, kw_only=True):
    """Resets that are one thing to people."""

    reset: Reset
    #: How many processes own them, and how these ended, where all did alike.
    owners: int = 0
    ended: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """What is known of some time. Times are nanoseconds since the epoch."""

    path: str
    since_ns: int
    until_ns: int
    #: Nothing is known of before.
    begins_ns: int
    #: The agent that runs now; 0 for none.
    agent: int
    runs: tuple[Run, ...]
    gaps: tuple[Gap, ...] = ()
    #: Merged over all the time, the most first; and resets that are in none of them for want of room.
    rows: tuple[Row, ...] = ()
    crowded: int = 0
    alerts: tuple[Alert, ...] = ()
    findings: tuple[Finding, ...] = ()
    #: Those of one text as one.
    notices: tuple[Notice, ...] = ()
    #: Sums over all namespaces, by the names of a count's figures.
    account: dict[str, int] = {}
    #: Rows that could not be read.
    unreadable: int = 0
    #: What was asked for, in words; "" for everything.
    only: str = ""


def text(kept: Kept, width: int) -> str:
    """All of it, in lines of that width."""
    lines = [*_head(kept), *_alerts(kept), *_findings(kept)]
    for name, direction in (("SENT", "sent"), ("RECEIVED", "received"), ("SEEN", "observed")):
        lines += _side(name, [row for row in kept.rows if row.reset.facts.direction == direction], kept.until_ns)
    if not kept.rows:
        lines += ["", f"No {'such ' if kept.only else ''}TCP reset was seen in that time."]
    lines += _foot(kept)
    return "".join(f"{part}\n" for line in lines for part in _wrapped(line, max(width, 40)))


def when(time_ns: int, now_ns: int) -> str:
    """A moment here; with its day where that is not now's."""
    at, now = time.localtime(time_ns / 1e9), time.localtime(now_ns / 1e9)
    return time.strftime("%H:%M:%S" if at[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", at)


def before_text(kept: Kept) -> str:
    """What the last minutes had, for somebody who begins to watch: one sentence; "" for nothing."""
    sent = [row.reset for row in kept.rows if row.reset.facts.direction == "sent"]
    received = sum(row.reset.count for row in kept.rows if row.reset.facts.direction == "received")
    minutes = round((kept.until_ns - max(kept.since_ns, kept.begins_ns)) / 6e10)
    count = sum(each.count for each in sent)
    top = [
        f"{_percent(each.count, count)} {sentences.port_text(sentences.say(each), each.facts, each.port)}"
        for each in sent[:2]
    ]
    whose = f" ({', '.join(top)}{', ...' if len(sent) > 2 else ''})" if top else ""
    alerts = {each.id for each in kept.alerts}
    parts = [f"{count:,} sent{whose}", f"{received:,} received", amount(len(alerts), "alert") if alerts else ""]
    told = ", ".join(part for part in parts if part)
    return f"the agent saw in the last {max(minutes, 1)} min: {told}; `whyreset history` tells more"


def _head(kept: Kept) -> list[str]:
    now = kept.until_ns
    span = duration((kept.until_ns - kept.since_ns) // 1_000_000)
    state = f"the agent runs (process {kept.agent})" if kept.agent else "no agent runs now"
    lines = [f"TCP resets from {when(kept.since_ns, now)} to {when(now, now)} ({span}); {state}"]
    if kept.only:
        lines.append(f"only {escape(kept.only)}")
    if kept.begins_ns > kept.since_ns:
        lines.append(f"The history begins at {when(kept.begins_ns, now)}: of before nothing is known.")
    lines += [
        f"Not watched from {when(gap.from_ns, now)} to {when(gap.to_ns, now)}: {escape(gap.why)}." for gap in kept.gaps
    ]
    return lines


def _alerts(kept: Kept) -> list[str]:
    shown = kept.alerts[-EVENTS:]
    lines = [f"{when(each.time_ns, kept.until_ns)}  {alert_sentence(each)}" for each in shown]
    return _section("ALERTS", lines, len(kept.alerts) - len(shown))


def _findings(kept: Kept) -> list[str]:
    shown = kept.findings[-EVENTS:]
    lines = []
    for each in shown:
        until = when(each.until_ns, kept.until_ns) if each.until_ns else "now"
        suspected = "suspected: " if each.confidence == "suspected" else ""
        where = f", in netns {each.subject.netns_name}" if each.subject.netns_name else ""
        told = escape(f"{each.severity}: {suspected}{each.sentence}{where} [{each.name}]")
        lines.append(f"{when(each.since_ns, kept.until_ns)} to {until}  {told}")
    return _section("FINDINGS", lines, len(kept.findings) - len(shown))


def _section(name: str, lines: list[str], more: int) -> list[str]:
    if not lines:
        return []
    return ["", name, *([f"{amount(more, 'earlier one')} left out: --json has them"] if more else []), *lines]


def _side(name: str, rows: list[Row], now_ns: int) -> list[str]:
    if not rows:
        return []
    whole = sum(row.reset.count for row in rows)
    lines = ["", f"{name} {whole:,}"]
    for row in rows[:ROWS]:
        each = row.reset
        first, last = when(each.time_ns, now_ns), when(each.last_ns, now_ns)
        many = row.owners > 1 and each.stop is None
        parts = [
            f"{_percent(each.count, whole):>6} {each.count:>7,}  {sentences.told(each)}",
            sentences.kind_text(each, row.owners, row.ended) if many else sentences.owner_text(each),
            _remotes(each),
            f"in netns {escape(each.netns_name)}" if each.netns_name else "",
            first if first == last else f"{first} to {last}",
        ]
        lines.append("; ".join(part for part in parts if part) + f" [{escape(each.cause.name)}]")
    if rest := rows[ROWS:]:
        count = sum(row.reset.count for row in rest)
        lines.append(f"{_percent(count, whole):>6} {count:>7,}  in {len(rest)} more rows: --json has them")
    return lines


def _remotes(reset: Reset) -> str:
    to = sentences.remotes_text(reset.remotes, reset.sample.remote)
    return escape(f"{'to' if reset.facts.active_open else 'from'} {to}") if to else ""


def _foot(kept: Kept) -> list[str]:
    lines = ["", f"Account: {plain.figures_text(kept.account)}"] if kept.account and not kept.only else [""]
    if kept.crowded:
        lines.append(f"{kept.crowded:,} resets are in no row: there were too many kinds of them.")
    lines += [f"Note: {plain.notice_text(each).removeprefix('note: ')}" for each in kept.notices[-EVENTS:]]
    missing = {each for run in kept.runs for each in run.missing}
    lines += sorted(escape(f"Not seen: {each.lost} ({each.source}: {each.why})") for each in missing)
    if kept.unreadable:
        lines.append(f"{amount(kept.unreadable, 'row')} could not be read: damaged, or of another version.")
    return lines


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    return "<1 %" if 0 < share < 1 else ">99 %" if 99 < share < 100 else f"{share:.0f} %"


def _wrapped(line: str, width: int) -> list[str]:
    """What does not fit goes on under the words, not under the figures."""
    indent = _MARGIN if line.startswith(" ") else "  "
    return textwrap.wrap(line, width, subsequent_indent=indent, drop_whitespace=True) if line.strip() else [""]
