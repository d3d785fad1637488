"""What others stored, for people: which surges, which families, who is near, what to do, what is lost for ever."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable, Iterator

from whyreset.model import FamilyShare
from whyreset.outputs.sentences import SAYINGS
from whyreset.stored import Past, StoredSurge, Suspect
from whyreset.words import duration, escape

_WIDTH_MAX = 110
_PLAIN_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]*")
#: What to do next, by family; the counters' word alone proves nothing, so each is a way to see.
_NEXT = {
    "closed-port": "`whyreset watch` names port and owner, should it come again; `whyreset who PORT` if it is known",
    "listen-queue": "`ss -lnt`: a Recv-Q near its Send-Q is a listener whose program accepts too slowly",
    "memory": "compare `cat /proc/net/sockstat` with net.ipv4.tcp_mem and net.ipv4.tcp_max_orphans",
    "half-open": "look for a balancer, NAT or firewall that forgot connections, or a restart of this host",
}


def text(past: Past, width: int = 80) -> str:
    """All of it, in lines of at most `width` characters where words allow."""
    width = max(50, min(width, _WIDTH_MAX))
    lines = [*_wrap(_headline(past), width), *_wrap(_source(past), width)]
    for surge in past.surges:
        lines += ["", *_surge(surge, past, width)]
    if past.more:
        lines += [
            "",
            f"{past.more} smaller surges with {past.more_resets:,} resets are not shown: ask for a shorter time",
        ]
    if steps := list(_next(past)):
        lines += ["", "next"]
        lines += [line for step in steps for line in _wrap(f"- {step}", width, indent=2)]
    lines += ["", "what can no longer be known"]
    for each in past.unknown:
        lines += _wrap(f"- {each.lost} ({each.why})", width, indent=2)
    if past.lacking:
        lacking = ", ".join(past.lacking)
        lines += _wrap(f"- what {lacking} would tell ({past.tool} does not store them)", width, indent=2)
    for note in past.notes:
        lines += _wrap(f"note: {note}", width)
    return "".join(f"{line}\n" for line in lines)


def _headline(past: Past) -> str:
    day = _day(past.since) != _day(past.until)
    span = f"from {_clock(past.since, with_day=True)} to {_clock(past.until, with_day=day)}"
    surges = len(past.surges) + past.more
    found = "no surge" if not surges else "1 surge" if surges == 1 else f"{surges} surges"
    return f"{found} of resets sent {span}; {past.count:,} resets in all"


def _source(past: Past) -> str:
    host = f" of host {past.host}" if past.host else ""
    every = "every second" if past.step == 1 else f"every {past.step} s"
    return f"by {past.tool}, {past.where}{host}: a value {every}"


def _surge(surge: StoredSurge, past: Past, width: int) -> Iterator[str]:
    day = _day(surge.begin) != _day(surge.end)
    with_day = _day(past.since) != _day(past.until)
    until = "it was not over" if surge.ongoing else f"to {_clock(surge.end, with_day=day)}"
    about = "about " if past.step > 1 else ""
    head = (
        f"{_clock(surge.begin, with_day=with_day)} {until}: {surge.count:,} resets in {about}"
        f"{duration(round((surge.end - surge.begin) * 1000))}, at most {surge.peak:,.0f}/s; "
        f"usual is {_rate(surge.usual)}"
    )
    yield from _wrap(head, width)
    total = sum(each.count for each in surge.families) or 1
    for each in sorted(surge.families, key=lambda each: -each.count):
        share = f"{100 * each.count / total:.0f} %"
        yield from _wrap(f"{share:>6}  {_family(each)}", width, indent=8)
    for hint in surge.hints:
        yield from _wrap(f"        {hint}", width, indent=8)
    yield from _suspects(surge.suspects, width)


def _family(share: FamilyShare) -> str:
    if share.certainty == "unknown":
        first, *others = share.candidates
        words = [first, *others[:-1]]
        either = " or ".join(part for part in (", ".join(words), others[-1] if others else "") if part)
        return f"{share.count:,} cannot be told apart any more, no counter speaks for them alone: {either}"
    causes = " or ".join(f"{each} ({SAYINGS[each].what})" if each in SAYINGS else each for each in share.causes)
    return f"{share.count:,} {share.family}, likely: {causes}; by {', '.join(share.counters)}"


def _suspects(suspects: Iterable[Suspect], width: int) -> Iterator[str]:
    shown = list(suspects)
    if not shown:
        return
    yield "        near in time, which is no proof:"
    for each in shown:
        incident = each.incident
        unit = f"{incident.unit}: " if incident.unit and incident.unit not in incident.text else ""
        yield from _wrap(
            f"          {_clock(incident.time_ns / 1e9)}  {_offset(each)}: {unit}{incident.text} ({incident.log})",
            width,
            indent=20,
        )


def _offset(suspect: Suspect) -> str:
    seconds = abs(suspect.offset)
    span = f"{seconds:.0f} s" if seconds < 120 else duration(round(seconds * 1000))
    if suspect.near == "end":
        return "as it ended" if seconds < 1.5 else f"{span} {'before' if suspect.offset < 0 else 'after'} its end"
    if seconds < 1.5:
        return "as it began"
    return f"{span} before it began" if suspect.offset < 0 else f"{span} into it"


def _next(past: Past) -> Iterator[str]:
    if not past.surges:
        return
    units = {each.incident.unit for surge in past.surges for each in surge.suspects}
    # a log's words are pasted into a shell only where they are plain
    units = {unit for unit in units if _PLAIN_UNIT.fullmatch(unit)}
    for unit in sorted(units)[:3]:
        yield f"`journalctl -u {unit} --since '{_clock(past.surges[0].begin - 120, with_day=True)}'`"
    families = [each for surge in past.surges for each in surge.families]
    named = dict.fromkeys(
        family
        for each in families
        for family in (each.candidates[:2] if each.certainty == "unknown" else (each.family,))
    )
    for family in named:
        causes = list(dict.fromkeys(cause for each in families if each.family == family for cause in each.causes))
        if family in _NEXT:
            yield f"{family}: {_NEXT[family]}"
        elif causes:
            yield f"{family}: `whyreset watch --cause {causes[0]}` names the program, should it come again"
    yield "for the next time: let `whyreset watch` run, it keeps what these counters cannot"


# ---- words ----


def _rate(rate: float) -> str:
    return "none" if rate < 0.005 else f"{rate:,.2f}/s" if rate < 10 else f"{rate:,.0f}/s"


def _day(at: float) -> tuple[int, int]:
    local = time.localtime(at)
    return local.tm_year, local.tm_yday


def _clock(at: float, *, with_day: bool = False) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S" if with_day else "%H:%M:%S", time.localtime(at))


def _wrap(line: str, width: int, indent: int = 2) -> list[str]:
    lead = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        escape(line.strip()),
        width,
        initial_indent=lead,
        subsequent_indent=" " * max(indent, len(lead)),
        break_long_words=False,
        break_on_hyphens=False,
    )
