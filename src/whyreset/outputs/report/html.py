"""The summary as one HTML file that needs nothing else: no script, no style or picture from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whyreset.model import Verdict
from whyreset.observation import Conversations
from whyreset.outputs.report import phrases, plots
from whyreset.outputs.report import text as summary
from whyreset.outputs.report.gather import Gathering, Row
from whyreset.outputs.report.plots import text

#: Services of a cause, and scans, that the page holds.
PARTS_MAX = 20
SCANS_MAX = 50

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.3em;margin:0}h2{font-size:1.1em;margin:1.6em 0 .4em}svg text{font:11px system-ui,sans-serif;fill:#666}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px
solid #ddd}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.verdict{font-size:1.1em;
font-weight:600}.quiet{color:#666}.key{white-space:nowrap;margin-right:1em}.key i{display:inline-block;width:.8em;
height:.8em;margin-right:.3em}.bar{display:block;width:6em;height:.7em;background:#eee}.bar i{display:block;height:100%}
code{font-size:.95em}details{margin:.2em 0}summary{cursor:pointer}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}td,th{border-color:#444}.quiet{color:#999}.bar{
background:#333}svg text{fill:#999}}
"""
_HEAD = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width"><title>whyreset: {title}</title>'
    "<style>{style}</style></head><body>\n"
)


def page(
    files: Sequence[str],
    read: Conversations,
    found: Gathering,
    *,
    losses: Iterable[str] = (),
    version: str = "",
    meant: Verdict | None = None,
) -> str:
    """The whole page; all text in it is escaped."""
    parts = [
        _HEAD.format(title=text(files[0] if len(files) == 1 else f"{len(files)} files"), style=_STYLE),
        f"<h1>{text(summary.head(files, read))}</h1>",
        f"<p>{text(summary.share(read, found))}</p>",
    ]
    if verdict := phrases.verdict(found, meant):
        parts.append(f'<p class="verdict">{text(verdict)}</p>')
    if picture := plots.over_time(found.timeline):
        parts += ["<h2>Over time</h2>", picture, f"<p>{plots.legend(found.timeline)}</p>"]
    if found.resets:
        parts.append(_table(found))
    if scans := found.scans():
        parts.append("<h2>Who scans whom</h2><ul>")
        parts += [f"<li>{text(phrases.scan(prober))}</li>" for prober in scans[:SCANS_MAX]]
        parts.append("</ul>" + (f"<p>and {len(scans) - SCANS_MAX:,} more</p>" if len(scans) > SCANS_MAX else ""))
    if missing := list(losses):
        parts.append("<h2>What was not read</h2><ul>")
        parts += [f"<li>{text(line)}</li>" for line in missing]
        parts.append("</ul>")
    if len(files) > 1:
        parts.append(f"<h2>Files</h2><p>{', '.join(text(name) for name in files)}</p>")
    parts.append(f'<p class="quiet">whyreset {text(version)}. Times are UTC.</p></body></html>\n')
    return "\n".join(parts)


def _table(found: Gathering) -> str:
    rows = "".join(_row(row, found) for row in found.ranked())
    return f'<h2>Why</h2><table><tr><th class="n">resets</th><th></th><th>cause</th><th>who</th></tr>{rows}</table>'


def _row(row: Row, found: Gathering) -> str:
    sure = " (likely)" if row.certainty == "likely" else ""
    share = text(phrases.percent(row.count, found.resets))
    return (
        f'<tr><td class="n">{row.count:,}<br><span class="quiet">{share}</span>'
        f"</td><td>{plots.bar(row.count / found.resets, row.family)}</td><td><code>{text(row.cause)}</code>{sure}<br>"
        f'<span class="quiet">{text(phrases.meaning(row))}</span></td><td>{text(phrases.who(row))}'
        f"{_services(found.parts(row))}{_example(row)}</td></tr>\n"
    )


def _services(parts: Sequence[Row]) -> str:
    """A cause's services, where there are several."""
    if not parts:
        return ""
    items = [f"<li>{part.count:,}: {text(phrases.who(part))}</li>" for part in parts[:PARTS_MAX]]
    rest = len(parts) - len(items)
    if rest:
        items.append(f"<li>and {rest:,} more services</li>")
    return f"<details><summary>by service</summary><ul>{''.join(items)}</ul></details>"


def _example(row: Row) -> str:
    sample = row.sample
    others = [name for name in sample.cause.candidates if name != row.cause]
    details = [f"<li>{text(sentence)}</li>" for sentence in sample.evidence]
    if others:
        details.append(f"<li>may also be: {text(', '.join(others))}</li>")
    if sample.cause.missing:
        details.append(f"<li>to know more: {text(sample.cause.missing)}</li>")
    where = f"{text(sample.file)}, frame {sample.seen.frame}"
    return f"<details><summary>for example {where}</summary><ul>{''.join(details)}</ul></details>"
