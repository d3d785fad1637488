"""A sequence diagram as SVG. All text in it is escaped."""

from __future__ import annotations

from html import escape as markup
from itertools import chain

from whyreset.outputs.ladder.rungs import Ladder, Rung
from whyreset.words import escape

_LEFT, _RIGHT, _STEP, _TOP = 140, 640, 26, 70
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.time{fill:#777;text-anchor:end}.mid{text-anchor:middle}.end{font-weight:bold;"
    "text-anchor:middle}.why{fill:#b00020;font-weight:bold}line{stroke:#555}.reset line{stroke:#b00020;stroke-width:2}"
    ".reset polygon{fill:#b00020}polygon{fill:#555}"
)


def draw(ladder: Ladder, *, title: bool = True) -> str:
    """The whole picture."""
    height = _TOP + _STEP * len(ladder.rungs) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" width="900" height="{height}" role="img">',
        f"<style>{_STYLE}</style>",
        f"<title>{_text(ladder.title)}</title>",
        f'<text x="20" y="20">{_text(ladder.title)}</text>' if title else "",
        f'<text class="end" x="{_LEFT}" y="46">{_text(ladder.left)}</text>',
        f'<text class="end" x="{_RIGHT}" y="46">{_text(ladder.right)}</text>',
        f'<line x1="{_LEFT}" y1="54" x2="{_LEFT}" y2="{height - 10}"/>',
        f'<line x1="{_RIGHT}" y1="54" x2="{_RIGHT}" y2="{height - 10}"/>',
        *chain.from_iterable(_rung(rung, _TOP + _STEP * at) for at, rung in enumerate(ladder.rungs)),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _rung(rung: Rung, y: int) -> list[str]:
    middle = (_LEFT + _RIGHT) // 2
    if rung.left_out:
        return [f'<text class="mid" x="{middle}" y="{y + 4}">{rung.left_out:,} segments left out</text>']
    start, end = (_LEFT, _RIGHT) if rung.rightward else (_RIGHT, _LEFT)
    back = -8 if rung.rightward else 8
    lines = [
        '<g class="reset">' if rung.reset else "<g>",
        f'<text class="time" x="{_LEFT - 10}" y="{y + 4}">{rung.seconds:.6f} s</text>',
        f'<text class="mid" x="{middle}" y="{y - 4}">{_text(rung.label)}</text>',
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>',
        f'<polygon points="{end},{y} {end + back},{y - 4} {end + back},{y + 4}"/>',
        f'<text x="{_RIGHT + 10}" y="{y + 4}">frame {rung.frame}</text>',
    ]
    if rung.why:
        lines.append(f'<text class="why" x="{_RIGHT + 100}" y="{y + 4}">{_text(rung.why)}</text>')
    return [*lines, "</g>"]


def _text(text: str) -> str:
    return markup(escape(text))
