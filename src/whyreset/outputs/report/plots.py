"""Plots as inline SVG: resets over time by family of causes, and shares as bars. All text in them is escaped."""

from __future__ import annotations

import datetime
from html import escape as markup

from whyreset.outputs.report.timeline import Timeline
from whyreset.words import escape, span

#: One colour for each family, told apart by people who see red and green alike (Okabe and Ito).
COLOURS = {
    "closed-port": "#0072b2",
    "abort": "#e69f00",
    "half-open": "#56b4e9",
    "time-wait": "#009e73",
    "listen-queue": "#d55e00",
    "memory": "#cc79a7",
    "probe": "#882255",
    "protocol": "#999933",
    "injected": "#d40000",
    "unknown": "#999999",
}
_OTHER = "#666666"
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 960, 180, 60, 22


def over_time(timeline: Timeline) -> str:
    """Stacked bars: resets in each bin of time; "" where there are none."""
    kinds = timeline.bins()
    if not kinds:
        return ""
    used = len(kinds[0][1])
    highest = max(sum(bins[at] for _, bins in kinds) for at in range(used))
    step = (_WIDTH - _LEFT) / used
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}" role="img">',
        f"<title>resets over time, each bar {span(timeline.width_ns)}</title>",
        f'<text x="{_LEFT - 6}" y="12" text-anchor="end">{highest:,}</text>',
        f'<text x="{_LEFT - 6}" y="{_HEIGHT}" text-anchor="end">0</text>',
        f'<line x1="{_LEFT}" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}" stroke="#888"/>',
    ]
    for at in range(used):
        top = float(_HEIGHT)
        for kind, bins in kinds:
            if not bins[at]:
                continue
            height = bins[at] / highest * (_HEIGHT - 6)
            top -= height
            tip = f"{_clock(timeline.start_ns + at * timeline.width_ns)}: {bins[at]:,} {kind}"
            parts.append(
                f'<rect x="{_LEFT + at * step:.2f}" y="{top:.2f}" width="{max(step - 0.5, 0.5):.2f}" '
                f'height="{height:.2f}" fill="{colour(kind)}"><title>{text(tip)}</title></rect>'
            )
    for at in (0, used // 2, used):
        x, anchor = _LEFT + at * step, "start" if not at else "end" if at == used else "middle"
        clock = _clock(timeline.start_ns + at * timeline.width_ns)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="{anchor}">{clock}</text>')
    return "".join(parts) + "</svg>"


def legend(timeline: Timeline) -> str:
    """What the colours mean, as HTML."""
    return " ".join(
        f'<span class="key"><i style="background:{colour(kind)}"></i>{text(kind)} {sum(bins):,}</span>'
        for kind, bins in timeline.bins()
    )


def bar(share: float, family: str) -> str:
    """A share, from 0 to 1, as a bar in a table."""
    return f'<span class="bar"><i style="width:{share:.2%};background:{colour(family)}"></i></span>'


def colour(family: str) -> str:
    """The colour of a family."""
    return COLOURS.get(family, _OTHER)


def text(words: str) -> str:
    """Any text, made harmless for HTML and for whoever reads it."""
    return markup(escape(words))


def _clock(time_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(time_ns // 1_000_000_000, datetime.UTC)
    return f"{moment:%H:%M:%S}.{time_ns % 1_000_000_000 // 1_000_000:03d}"
