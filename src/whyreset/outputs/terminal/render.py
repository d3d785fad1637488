"""A view as lines of text for a terminal of any size: the important first, the rest as room allows.

Everything that others may have named (processes, units, addresses, evidence) is escaped here and is never markup.
"""

from __future__ import annotations

import textwrap

from msgspec import Struct
from rich.cells import cell_len
from rich.text import Text

from whyreset.outputs.terminal.view import RowView, SideView, View
from whyreset.words import escape

#: Below these a terminal is narrow or short: parts are left out.
_NARROW, _SHORT, _TALL = 60, 16, 20
#: Columns of share and port.
_LEFT, _LEFT_NARROW = 13, 12
#: Rows of the summary.
_SUMMARY = 12
#: A row's lines, and those of one that is opened; resets shown of the latter.
_LINES, _OPENED, _RESETS = 3, 12, 4
_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"

_TREND = {"new": "yellow", "rising": "red", "falling": "green", "steady": "", "over": ""}


class Size(Struct, frozen=True):
    """What a terminal has room for."""

    width: int
    height: int
    #: It can show block characters and dashes.
    blocks: bool = True
    #: Rows are opened: their last resets, triggers and evidence are told.
    opened: bool = False
    #: Rows tell how many there were in all, not how many a second.
    summary: bool = False


def render(view: View, size: Size, clock: str) -> list[Text]:
    """The whole screen: at most `height` lines, none wider than `width`."""
    roomy = size.height >= _SHORT
    head = [_header(view, size, clock), *([Text()] if roomy else [])]
    foot = _foot(view, size)
    room = size.height - len(head) - len(foot)
    if not view.sent.total and not view.received.total:
        body = [*_rates("SENT", view.sent, size), *_calm(view, size)] if roomy else _calm(view, size)
    else:
        body = _sides(view, size, room)
    body = body[: max(room, 0)]
    body += [Text()] * (room - len(body))
    return [_cut(line, size.width) for line in [*head, *body, *foot]][: size.height]


def _header(view: View, size: Size, clock: str) -> Text:
    text = Text("whyreset", style="bold")
    room = size.width - len("whyreset") - len(clock) - 2
    told = f" watches {escape(view.scope)}, for {_span(view.watched_seconds)}"
    if cell_len(told) > room:
        told = f" for {_span(view.watched_seconds)}"
    text.append(told)
    gap = size.width - text.cell_len - len(clock)
    if gap > 0:
        text.append(" " * gap + clock, style="dim")
    return text


def _foot(view: View, size: Size) -> list[Text]:
    most = 2 if size.height >= _SHORT else 0
    lines = [Text(note, style="yellow") for note in view.notices[len(view.notices) - most :]]
    mark = "green" if view.complete else "yellow"
    lines.append(Text.assemble(("Account: ", "bold"), (view.account, mark)))
    if size.height >= _SHORT:
        lines += [Text(f"Not seen: {escape(each)}", style="dim") for each in view.unseen[:2]]
        hint = "Keys: v hides the evidence, q ends." if size.opened else "Keys: v shows the evidence, q ends."
        lines.append(Text(hint, style="dim"))
    return lines


def _calm(view: View, size: Size) -> list[Text]:
    lines = [
        "No TCP reset has been sent or received since watching began.",
        f"Still counting in {view.scope}: the next one will be shown here at once.",
        "To see one now, ask a closed port: curl http://127.0.0.1:9/",
    ]
    wrapped = [part for line in lines for part in textwrap.wrap(escape(line), max(size.width - 2, 10))]
    return [Text(), *[Text(f"  {part}") for part in wrapped]]


def _sides(view: View, size: Size, room: int) -> list[Text]:
    heads = {"SENT": _rates("SENT", view.sent, size), "RECEIVED": _rates("RECEIVED", view.received, size)}
    gap = 1 if size.height >= _SHORT else 0
    left = room - sum(map(len, heads.values())) - gap
    received = view.received.rows
    loud = sum(1 for row in received if not row.quiet)
    # what this host sends comes first: the other side gets a third, and what that leaves
    wants = _wanted(received, size)
    share = max(min(wants, left // 3 if loud else 1), left - _wanted(view.sent.rows, size))
    below = _rows(view.received, size, max(min(share, wants), 0))
    above = _rows(view.sent, size, left - len(below))
    return [*heads["SENT"], *above, *([Text()] * gap), *heads["RECEIVED"], *below]


def _rates(name: str, side: SideView, size: Size) -> list[Text]:
    """The rates of one direction, and the heading of its rows."""
    text = Text(f"{name:<9}", style="bold")
    text.append(f"{_number(side.now)}/s now", style="bold" if side.now else "")
    if size.width >= _NARROW:
        text.append(f"   {_number(side.ten)}/s over 10 s   {_number(side.minute)}/s over 1 min  ")
        text.append(_spark(side.seconds, size.width - text.cell_len, size.blocks), style="cyan")
    else:
        text.append(f", {_number(side.minute)}/s over 1 min")
    if name != "SENT" or size.height < _TALL or size.width < _NARROW or not side.rows:
        return [text]
    return [text, Text("share  port  what happened in the last minute, and what it means", style="dim")]


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
        # full where all that follow still fit, or while most of the room is free
        free = max(room - len(out) - others, room * 3 // 4 - len(out), 1)
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
    parts = [escape(part) for part in (row.who, row.whom) if part]
    if most == 1 or row.quiet:
        short = "; ".join([what, *parts])
        lines = [_fitting(room, ["; ".join([head, *parts]), *([short] if row.who else []), head, short])]
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
    lines = [parts[0]]
    if cell_len(parts[0]) > first:
        cut = textwrap.wrap(parts[0], max(first, 10))
        lines = [cut[0], " ".join(cut[1:])]
    for part in parts[1:]:
        joined = f"{lines[-1]}; {part}"
        if cell_len(joined) <= (first if len(lines) == 1 else width) or len(lines) == most:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


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
    rate = f"{_number(row.rate)}/s" if row.rate >= 1 else f"{row.minute}/min"
    text = Text(rate)
    if row.trend != "steady":
        text.append(f" {row.trend}", style=_TREND[row.trend])
    return text


def _percent(share: float) -> str:
    if not share:
        return "-"
    return "<1 %" if share < 0.01 else f"{min(round(share * 100), 100)} %"


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
    lines = [Text(f"whyreset watched {escape(view.scope)} for {_span(view.watched_seconds)}", style="bold")]
    for name, side in (("sent", view.sent), ("received", view.received)):
        if not side.total:
            continue
        lines.append(Text(f"{side.total:,} {name}", style="bold"))
        for row in side.rows[:_SUMMARY]:
            lines += _row(row, size, _LINES)
        if rest := len(side.rows) - _SUMMARY if len(side.rows) > _SUMMARY else 0:
            share = sum(row.share for row in side.rows[_SUMMARY:])
            lines.append(Text(f"{_percent(share):>5}  and {rest} more", style="dim"))
    lines.append(Text(f"Account: {view.account}"))
    return [_cut(line, size.width) for line in lines]
