"""The answer of `whyreset who` for people: a short sentence, then the details, then what is not known."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator

from whyreset.model import Owner
from whyreset.outputs.sentences import process_text
from whyreset.questions import Connections, Former, Found, Recent, Standing
from whyreset.words import amount, describe_exit, escape, name

_WIDTH_MAX = 120
_DAY_NS = 86_400_000_000_000


def text(found: Found, width: int = 80) -> str:
    """The whole answer, in lines of at most `width` characters where words allow."""
    width = max(40, min(width, _WIDTH_MAX))
    lines = _wrap(f"{sentence(found)}", width)
    for title, rows in _details(found):
        lines += ["", title, *(line for row in rows for line in _wrap(row, width, indent=2))]
    if found.left_out:
        lines += ["", f"{found.left_out} more entries are not shown"]
    lines += [""] if found.missing or found.namesake else []
    if found.namesake:
        lines += _wrap(f"process {found.question.port} is {_who(found.namesake)}; it has no TCP sockets", width)
    for each in found.missing:
        lines += _wrap(f"not known: {each.lost} ({each.why})", width)
    return "".join(f"{line}\n" for line in lines)


def sentence(found: Found) -> str:
    """The short answer: who has it, who had it, how that ended, what came of it."""
    if not found.question.pid:
        return "; ".join(_places(found))
    before = [f"{found.question.place} nobody listens now"] if found.question.port else []
    return "; ".join([*before, *_processes(found)])


# ---- the short answer ----


def _places(found: Found) -> Iterator[str]:
    place = found.question.place
    if found.listeners:
        first = found.listeners[0]
        here = [each for each in found.listeners if each.netns_cookie == first.netns_cookie]
        names = list(dict.fromkeys(_who(each.owner) for each in here))
        many = f" and {amount(len(names) - 2, 'other')}" if len(names) > 2 else ""
        verb = "listens" if len(names) == 1 else "listen"
        yield f"{place} {' and '.join(names[:2])}{many} {verb}{_where(first, found)}{_since(first.since_ns, found)}"
        spaces = {each.netns_cookie for each in found.listeners} - {first.netns_cookie}
        if spaces:
            yield f"listeners in {len(spaces)} other network namespace{'s' * (len(spaces) > 1)} too"
    else:
        yield f"{place} nobody listens now"
        if found.former:
            last = found.former[0]
            yield f"until {_clock(last.until_ns, found)} {_ending(last, found)}"
        elif not found.known:
            yield "nothing is known of it" + (
                "" if not found.watched_ns else f" since {_clock(found.watched_ns, found)}"
            )
    if found.connections and not found.listeners:
        yield from _left(found)
    yield from _resets(found)


def _left(found: Found) -> Iterator[str]:
    """Connections without a listener: to that port elsewhere, or what is left of one that has gone."""
    out = [each for each in found.connections if each.outgoing]
    here = [each for each in found.connections if not each.outgoing]
    if out:
        names = list(dict.fromkeys(_who(each.owner) for each in out if each.owner))
        many = f" and {amount(len(names) - 2, 'other')}" if len(names) > 2 else ""
        by = f" by {' and '.join(names[:2])}{many}" if names else ""
        yield f"{amount(sum(each.count for each in out), 'connection')} to it{by}"
    if here:
        yield f"{amount(sum(each.count for each in here), 'connection')} with it as the local port"


def _processes(found: Found) -> Iterator[str]:
    if not found.processes:
        yield f"there is no process {found.question.pid}" + (
            "" if found.known else ", and nothing is known of a former one"
        )
    else:
        first = found.processes[0]
        if first.alive:
            yield f"{_who(first)} runs"
        else:
            when = f" at {_clock(first.process.ended_ns, found)}" if first.process.ended_ns else ""
            yield f"{_who(first)} is gone: {describe_exit(first.process) or 'how it ended is not known'}{when}"
        ports = list(dict.fromkeys(f":{each.port}" for each in found.listeners))
        if ports:
            yield f"it listens at {', '.join(ports[:5])}" + (f" and {len(ports) - 5} more" if len(ports) > 5 else "")
    total = sum(each.count for each in found.connections)
    if total:
        yield amount(total, "connection")
    yield from _resets(found)


def _resets(found: Found) -> Iterator[str]:
    begins_ns = min((each for each in (found.watched_ns, found.kept_ns) if each), default=0)
    if not begins_ns:
        return
    resets, word = found.resets, f"since {_clock(begins_ns, found)}"
    if not found.listeners and found.former:
        last, word = found.former[0], "since"
        resets = tuple(
            each for each in resets if each.first_ns >= last.until_ns and each.netns_cookie == last.netns_cookie
        )
    # where both ends are on this host each of them is told twice
    for direction in ("sent", "received"):
        if count := sum(each.count for each in resets if each.direction == direction):
            yield f"{amount(count, 'reset')} {direction} {word}"
            return


# ---- the details ----


def _details(found: Found) -> Iterator[tuple[str, Iterable[str]]]:
    if found.listeners:
        yield "listening now", [_listener(each, found) for each in found.listeners]
    if found.former:
        yield "before", [_former(each, found) for each in found.former]
    if found.processes:
        yield "process", [row for each in found.processes for row in _process(each, found)]
    if found.connections:
        yield "connections", [_connections(each, found) for each in found.connections]
    if found.resets:
        yield "resets", [_recent(each, found) for each in found.resets]
    if found.traces:
        yield "logs", [f"{_clock(each.time_ns, found)}  {each.log}: {escape(each.text)}" for each in found.traces]


def _listener(each: Standing, found: Found) -> str:
    more = f" and {each.holders} more" if each.holders else ""
    queue = ""
    if each.queue:
        full = each.queue[0] > each.queue[1]
        queue = f", accept queue {each.queue[0]} of {each.queue[1]}{' (full)' if full else ''}"
    where = _where(each, found) + _since(each.since_ns, found)
    return f"{_end(each.address, each.port)}  {_who(each.owner)}{more}{where}{queue}"


def _former(each: Former, found: Found) -> str:
    begin = _clock(each.since_ns, found) if each.since_ns else "?"
    span = f"{begin} to {_clock(each.until_ns, found)}"
    return f"{_end(each.address, each.port)}  {span}  {_ending(each, found)}"


def _ending(each: Former, found: Found) -> str:
    who = _who(each.owner) + _where(each, found)
    if each.last is None:
        return f"{who}, {each.end}"
    own = describe_exit(each.owner.process)
    return f"{who}{f', {own}' if own else ''}; {name(each.last)} held its socket last: {each.end}"


def _process(each: Owner, found: Found) -> Iterator[str]:
    process = each.process
    state = "runs" if each.alive else describe_exit(process) or "gone"
    ended = f" at {_clock(process.ended_ns, found)}" if process.ended_ns and not each.alive else ""
    yield f"{_who(each)}  {state}{ended}"
    if process.command:
        yield f"command: {escape(' '.join(process.command))[:160]}"
    places = [word for word in (process.exe and f"exe {process.exe}", process.user and f"user {process.user}") if word]
    if places:
        yield escape(", ".join(places))


def _connections(each: Connections, found: Found) -> str:
    states = ", ".join(f"{count} {state.replace('_', '-')}" for state, count in each.states.items())
    peers = ", ".join(
        (_end(address, each.remote_port) if each.remote_port else escape(address))
        + (f" ({count})" if each.count > 1 else "")
        for address, count in each.remotes
    )
    rest = f" and {each.distinct - len(each.remotes)} more" if each.distinct > len(each.remotes) else ""
    who = _who(each.owner) if each.held else "no process"
    way = "to" if each.outgoing else "from" if each.accepted else "with"
    return f"{who}{_where(each, found)}  {states}" + (f"  {way} {peers}{rest}" if peers else "")


def _recent(each: Recent, found: Found) -> str:
    span = _clock(each.last_ns, found)
    if each.count > 1 and _clock(each.first_ns, found) != span:
        span = f"{_clock(each.first_ns, found)} to {span}"
    way = "to" if each.direction == "sent" else "from"
    peer = f" {way} {escape(each.remote)}" if each.remote else ""
    last = " (the last)" if each.count > 1 and peer else ""
    why = "; ".join(map(escape, each.evidence))
    count = f"{each.count} x " if each.count > 1 else ""
    return f"{span}  {count}{each.what}, {each.direction}{peer}{last}{_where(each, found)}: {why}"


# ---- words ----


def _who(owner: Owner | None) -> str:
    if owner is None:
        return "an unknown process"
    return process_text(owner.process)


def _where(each: Standing | Former | Connections | Recent, found: Found) -> str:
    if each.netns_cookie == found.home_cookie:
        return ""
    return f" in netns {escape(each.netns_name) or each.netns}"


def _end(address: str, port: int) -> str:
    return f"[{escape(address)}]:{port}" if ":" in address else f"{escape(address)}:{port}"


def _since(time_ns: int, found: Found) -> str:
    return f" since {_clock(time_ns, found)}" if time_ns else ""


def _clock(time_ns: int, found: Found) -> str:
    """The time of day; with its date where that is not today's."""
    moment, today = time.localtime(time_ns / 1e9), time.localtime(found.time_ns / 1e9)
    same = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M:%S", moment)


def _wrap(line: str, width: int, indent: int = 0) -> list[str]:
    return textwrap.wrap(
        line,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
