"""A view as lines of text for a terminal of any size: the important first, the rest as room allows.

Everything that others may have named (processes, units, addresses, evidence) is escaped here and is never markup.
"""

from __future__ import annotations

import textwrap

from msgspec import Struct
from rich.cells import cell_len
from rich.text import Text

from whyreset.outputs.terminal.view import AlertView, FindingView, RowView, SideView, View
from whyreset.words import amount, escape

#: Below these a terminal is narrow or short: parts are left out.
_NARROW, _SHORT, _TALL = 60, 16, 20
#: Columns of share and port.
_LEFT, _LEFT_NARROW = 13, 12
#: Lines for rows from which on the first of them are told in full.
_ROOMY = 7
#: Rows of the summary.
_SUMMARY = 12
#: From so many lines on there is room for twice as many alerts and notes, which get so many each.
_LARGE, _ALERTS, _NOTES = 30, 2, 1
#: A row's lines, and those of one that is opened; resets shown of the latter.
_LINES, _OPENED, _RESETS = 4, 12, 4
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"

#: Findings that are shown, twice as many where there is room.
_FINDINGS = 2
_SEVERITY = {"critical": "bold red", "warning": "bold yellow", "notice": "", "harmless": "dim"}
_TREND = {"new": "yellow", "rising": "red", "falling": "green", "steady": "", "over": ""}


class Size(Struct, frozen=True):
    """What a terminal has room for."""

    width: int
    height: int
    #: It can show block characters and dashes.
    blocks: bool = True
    #: Rows are opened: their last resets, triggers and evidence are told.
    opened: bool = False
    #: Keys are heard; else only signals end it.
    keys: bool = True
    #: Rows tell how many there were in all, not how many a second.
    summary: bool = False


def render(view: View, size: Size, clock: str) -> list[Text]:
    """The whole screen: at most `height` lines, none wider than `width`."""
    roomy = size.height >= _SHORT
    head = [_header(view, size, clock)]
    if view.only:
        head.append(Text(f"only {escape(view.only)}: rates and shares are of these", style="yellow"))
    head += _alerts(view.alerts, size)
    head += _findings(view.findings, size)
    if roomy:
        head.append(Text())
    foot = _foot(view, size)
    room = size.height - len(head) - len(foot)
    sides = [(name, side) for name, side in (("SENT", view.sent), ("RECEIVED", view.received)) if side is not None]
    body = _sides(sides, size, room) if any(side.rows for _, side in sides) else _calm(view, size)
    body = body[: max(room, 0)]
    body += [Text()] * (room - len(body))
    return [_cut(line, size.width) for line in [*head, *body, *foot]][: size.height]


def _header(view: View, size: Size, clock: str) -> Text:
    text = Text("whyreset", style="bold")
    span = f"for {_span(view.watched_seconds)}"
    told = [*(f": TCP resets of {escape(scope)}, {span}" for scope in _scopes(view)), f" {span}"]
    text.append(_fitting(size.width - len("whyreset") - len(clock) - 2, told))
    gap = size.width - text.cell_len - len(clock)
    if gap > 0:
        text.append(" " * gap + clock, style="dim")
    return text


def _scopes(view: View) -> tuple[str, str]:
    """What is watched, with the names of namespaces and without."""
    return view.scope, view.scope.partition(" (")[0]


def _alerts(alerts: tuple[AlertView, ...], size: Size) -> list[Text]:
    """One line each, above all else; where they are too many the last says how many are left."""
    room = 1 if size.height < _SHORT else _ALERTS * (1 + (size.height >= _LARGE))
    shown = alerts if len(alerts) <= room else alerts[: max(room - 1, 1)]
    lines = []
    for each in shown:
        text = _fitting(size.width, [escape(text) for text in each.texts])
        style = "dim" if each.muted else "bold red" if each.critical else "bold yellow"
        lines.append(Text(text, style=style))
    if room > 1 and (left := len(alerts) - len(shown)):
        lines.append(Text(f"and {amount(left, 'more alert')}", style="yellow"))
    return lines


def _findings(findings: tuple[FindingView, ...], size: Size) -> list[Text]:
    """The first in full with what to do next, others in a line each; harmless ones only where there is room."""
    large = size.height >= _LARGE
    most = _FINDINGS * (1 + large)
    lines: list[Text] = []
    for each in [each for each in findings if large or each.severity != "harmless"][:most]:
        suspected = "suspected: " if each.suspected else ""
        share = f" ({each.share})" if each.share else ""
        text = escape(f"{suspected}{each.sentence}{share}")
        full = (not lines or large) and size.height >= _SHORT
        style = _SEVERITY[each.severity]
        lines += [Text(part, style=style) for part in _wrap(text, size.width, 3 if full else 1)]
        if full and each.step:
            lines.append(Text(f"  next: {escape(each.step)}"))
    return lines


def _foot(view: View, size: Size) -> list[Text]:
    account = f"Account: {view.account}"
    style = "green" if view.complete else "yellow"
    if size.height < _SHORT:
        return [Text(account, style=style)]
    notes = _NOTES * (1 + (size.height >= _LARGE))
    lines = [
        Text(part, style="yellow") for note in view.notices[-notes:] for part in _wrap(escape(note), size.width, 2)
    ]
    lines += [Text(part, style=style) for part in _wrap(account, size.width, 2)]
    for each in view.unseen[:2]:
        lines += [Text(part, style="dim") for part in _wrap(f"Not seen: {escape(each)}", size.width, 2)]
    hint = f"Keys: v {'hides' if size.opened else 'shows'} the evidence, q ends." if size.keys else "Ctrl-C ends."
    return [*lines, Text(hint, style="dim")]


def _wrap(text: str, width: int, most: int) -> list[str]:
    """In at most so many lines; the last holds what is left, and is cut later."""
    lines = textwrap.wrap(text, max(width, 10), subsequent_indent="  ")
    return [*lines[: most - 1], *([" ".join(lines[most - 1 :])] if len(lines) >= most else [])]


def _calm(view: View, size: Size) -> list[Text]:
    """Nothing has happened: says so, and that it would be seen."""
    which = "sent" if view.received is None else "received" if view.sent is None else "sent or received"
    seen = any(side.total for side in (view.sent, view.received) if side)
    since = "for a quarter of an hour" if seen else "since watching began"
    told = f"No {'such ' if view.only else ''}TCP reset has been {which} {since}."
    lines = [told, f"Still counting in {view.scope}: the next one is shown here at once."]
    if not view.only:
        lines.append("To see one, ask a closed port: curl http://127.0.0.1:9/")
    wrapped = [part for line in lines for part in textwrap.wrap(escape(line), max(size.width - 2, 10))]
    return [Text(f"  {part}") for part in wrapped]


def _sides(sides: list[tuple[str, SideView]], size: Size, room: int) -> list[Text]:
    """What this host sends comes first; what it receives gets a third of the room, and what the first leaves."""
    gap = [Text()] if size.height >= _SHORT else []
    (first, above), *rest = sides
    heading = size.height >= _TALL and size.width >= _NARROW and any(side.rows for _, side in sides)
    out = [_rates(first, above, size)]
    if heading:
        out.append(Text("share  port  what happened in the last minute, and what it means", style="dim"))
    if not rest:
        return [*out, *_rows(above, size, room - len(out))]
    [(second, below)] = rest
    left = room - len(out) - len(gap) - 1
    wanted = _wanted(below.rows, size)
    share = left // 3 if any(not row.quiet for row in below.rows) else 1
    lower = _rows(below, size, min(max(share, left - _wanted(above.rows, size)), wanted))
    return [*out, *_rows(above, size, left - len(lower)), *gap, _rates(second, below, size), *lower]


def _rates(name: str, side: SideView, size: Size) -> Text:
    text = Text(f"{name:<9}", style="bold")
    text.append(f"{_number(side.now)}/s now", style="bold" if side.now else "")
    if size.width >= _NARROW:
        text.append(f"   {_number(side.ten)}/s over 10 s   {_number(side.minute)}/s over 1 min  ")
        text.append(_spark(side.seconds, size.width - text.cell_len, size.blocks), style="cyan")
    else:
        text.append(f", {_number(side.minute)}/s over 1 min")
    return text


def _spark(seconds: tuple[int, ...], width: int, blocks: bool) -> str:
    """One character a second, or so many seconds that they fit; the newest at the right."""
    if width < 5 or not any(seconds):
        return ""
    step = next(each for each in (1, 2, 3, 4, 5, 6, 10, 12) if len(seconds) <= width * each)
    sums = [sum(seconds[max(end - step, 0) : end]) for end in range(len(seconds), 0, -step)]
    highest, bars = max(sums), _BARS if blocks else _PLAIN_BARS
    # whatever is not nothing is seen, and nothing is a line
    drawn = "".join(bars[-(-each * 7 // highest) if each else 0] for each in reversed(sums))
    return drawn.rjust(width)


def _wanted(rows: tuple[RowView, ...], size: Size) -> int:
    return sum(len(_row(row, size, _OPENED if size.opened else _LINES)) for row in rows)


def _rows(side: SideView, size: Size, room: int) -> list[Text]:
    """The first rows in full, within most of the room; then one line each, and how many are left."""
    rows = side.rows
    if room <= 0 or not rows:
        return []
    out: list[Text] = []
    for index, row in enumerate(rows):
        others = len(rows) - index - 1
        # full where all that follow still fit; what goes on also while most of the room is free, if there is some
        free = max(room - len(out) - others, 1)
        if row.trend != "over" and room >= _ROOMY:
            free = max(free, room * 3 // 4 - len(out))
        if len(out) + 1 == room and others and room > 1:
            share = sum(each.share for each in rows[index:])
            return [*out, Text(f"{_percent(share):>5}  and {others + 1} more", style="dim")]
        out += _row(row, size, min(free, _OPENED if size.opened else _LINES))
        if len(out) >= room:
            break
    return out[:room]


def _row(row: RowView, size: Size, most: int) -> list[Text]:
    """A row in at most so many lines."""
    narrow = size.width < _NARROW
    left = _LEFT_NARROW if narrow else _LEFT
    rate = Text() if narrow else Text(f"{row.total:,} x") if size.summary else _rate(row)
    room = size.width - left - (rate.cell_len + 2 if rate else 0)
    faint = row.quiet or (row.trend == "over" and not size.summary)
    what = escape(row.what) + (" (likely)" if row.likely else "")
    head = f"{what}: {escape(row.meaning)}" if row.meaning else what
    who = ", ".join(escape(part) for part in (row.who, row.where) if part)
    parts = [part for part in (who, escape(row.whom)) if part]
    if most == 1 or row.quiet:
        # one line: rather who than what it means
        shorter = ["; ".join([what, *parts]), "; ".join([what, *parts[:1]])] if row.who else [head]
        lines = [_fitting(room, ["; ".join([head, *parts]), *shorter])]
    else:
        lines = _flow([head, *parts], room, size.width - left, most)
    first = Text.assemble((f"{_percent(row.share):>5}", "bold"), (f"{escape(row.port):>6} ", "cyan"))
    first.pad_right(left - first.cell_len)
    text = _cut(Text(lines[0]), room)
    text.stylize("bold", 0, 0 if faint else len(what))
    first.append_text(text)
    first.append(" " * (size.width - first.cell_len - rate.cell_len))
    first.append_text(rate)
    out = [first, *[Text(" " * left + line) for line in lines[1:]]]
    if size.opened and len(out) < most:
        out += [Text(" " * left + line, style="dim") for line in _opened(row, size.width - left)[: most - len(out)]]
    if faint:
        out = [Text(line.plain, style="dim") for line in out]
    return out


def _fitting(width: int, texts: list[str]) -> str:
    """The first that fits, or else the last."""
    return next((text for text in texts if cell_len(text) <= width), texts[-1])


def _flow(parts: list[str], first: int, width: int, most: int) -> list[str]:
    """Each part on lines of its own, or beside the one before where both fit; the last line holds what is left."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}; {part}" if lines else part
        if lines and (cell_len(joined) <= (first if len(lines) == 1 else width) or len(lines) == most):
            lines[-1] = joined
            continue
        room = width if lines else first
        lines += [part] if cell_len(part) <= room else textwrap.wrap(part, max(room, 10))
    return lines if len(lines) <= most else [*lines[: most - 1], " ".join(lines[most - 1 :])]


def _opened(row: RowView, width: int) -> list[str]:
    """What is behind a row: the evidence, what is missing for more, and the last resets with what provoked them."""
    told = []
    if row.evidence:
        told += textwrap.wrap(
            f"evidence: {'; '.join(map(escape, row.evidence))}", max(width, 20), subsequent_indent="  "
        )
    if row.missing:
        told += textwrap.wrap(f"to know more: {escape(row.missing)}", max(width, 20), subsequent_indent="  ")
    for each in row.details[:_RESETS]:
        many = f"{each.count} x " if each.count > 1 else ""
        told.append(escape(f"{each.clock}  {many}{each.route}" + (f", {each.trigger}" if each.trigger else "")))
    return told


def _rate(row: RowView) -> Text:
    if row.trend == "over":
        return Text(f"{row.idle_seconds:.0f} s ago" if row.idle_seconds < 60 else f"last {row.last}")
    rate = f"{_number(row.rate)}/s" if row.rate >= 1 and row.minute >= 10 else f"{row.minute}/min"
    text = Text(rate)
    if row.trend != "steady":
        text.append(f" {row.trend}", style=_TREND[row.trend])
    return text


def _percent(share: float) -> str:
    if not share:
        return "-"
    if share < 0.01 or 0.99 < share < 1:
        return "<1 %" if share < 0.5 else ">99 %"
    return f"{round(share * 100)} %"


def _number(rate: float) -> str:
    return f"{rate:.1f}" if 0 < rate < 10 and rate != round(rate) else f"{rate:,.0f}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h"


def _cut(text: Text, width: int) -> Text:
    text.truncate(max(width, 1), overflow="ellipsis")
    return text


def summary(view: View, size: Size) -> list[Text]:
    """What is left on the terminal at the end: the first rows, over the whole time."""
    told = [f"TCP resets of {escape(scope)} for {_span(view.watched_seconds)}" for scope in _scopes(view)]
    lines = [Text(_fitting(size.width, told), style="bold")]
    for name, side in (("sent", view.sent), ("received", view.received)):
        if side is None or not side.total:
            continue
        lines.append(Text(f"{side.total:,} {name}", style="bold"))
        for row in side.rows[:_SUMMARY]:
            lines += _row(row, size, _LINES)
        if rest := len(side.rows) - _SUMMARY if len(side.rows) > _SUMMARY else 0:
            share = sum(row.share for row in side.rows[_SUMMARY:])
            lines.append(Text(f"{_percent(share):>5}  and {rest} more", style="dim"))
    lines += [Text(part) for part in _wrap(f"Account: {view.account}", size.width, _LINES)]
    return [_cut(line, size.width) for line in lines]
