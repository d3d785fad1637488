"""The words of the screen: parts of a row, the account, what is watched, what cannot be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from whyreset.model import Alert, Missing, Record, Reset, Subject, Verdict
from whyreset.outputs import sentences
from whyreset.outputs.alerts import raised_texts
from whyreset.outputs.terminal.rows import MANY, Row, top_ports
from whyreset.outputs.terminal.view import AlertView, Detail, FindingView
from whyreset.words import amount, clock, percent

FIGURES = ("counted", "seen", "explained", "unknown", "lost", "unseen", "uncounted", "received", "received_lost")
#: What is known where packets are read.
ON_WIRE = ("past_stack", "off_wire")
#: Ports and namespaces that are named before the rest is only counted.
_NAMED = 3


def ports(row: Row) -> str:
    """The port of a row, «many», or nothing where it is about none."""
    if row.key.port == MANY:
        return "many"
    return str(row.key.port) if row.key.port else ""


def what(row: Row) -> str:
    """What happened; many ports are many."""
    text = row.key.saying.what
    return f"{text}s" if text.endswith(" port") and row.key.port == MANY else text


def meaning(row: Row) -> str:
    """What that means; that one address asks for many closed ports is said, and no more than that."""
    remotes = row.addresses.remotes()
    alone = remotes.exact and remotes.distinct == 1
    if row.key.port == MANY and alone and row.kept and row.kept[-1].cause.name == "closed-port" and not row.key.active:
        return "one address asks for port after port, nobody listens there"
    return row.key.saying.meaning


def where(row: Row, home: int) -> str:
    """The namespace, where it is another than the user's own."""
    if row.key.saying.quiet or not row.kept or row.key.netns == home:
        return ""
    if row.key.netns == MANY:
        return "in many network namespaces"
    return f"in netns {row.kept[-1].netns_name or row.key.netns}"


def who(row: Row) -> str:
    """The process, or how many of a kind."""
    if row.key.saying.quiet or not row.kept:
        return ""
    last = row.kept[-1]
    if last.owner is None:
        refused = last.cause.name == "closed-port" and last.facts.direction == "sent"
        return "no listener seen since watching began" if refused and row.key.port != MANY else ""
    if len(row.processes) > 1 and row.key.owner[0] == "":
        ended = set(row.processes.values())
        return sentences.kind_text(last, len(row.processes), ended.pop() if len(ended) == 1 else "")
    return sentences.owner_text(last)


def whom(row: Row) -> str:
    """«from 192.0.2.1 and 3 more», and who that is where it is a process of this host."""
    if not row.kept:
        return ""
    remotes = row.addresses.remotes()
    if not remotes.distinct:
        return ""
    # over many ticks an estimate is only a lower bound
    told = sentences.remotes_text(remotes, "") if remotes.exact else f"at least {remotes.distinct:,} addresses"
    text = f"{'to' if row.key.active else 'from'} {told}"
    peer = row.kept[-1].peer
    if peer is not None and remotes.exact and remotes.distinct == 1 and not row.key.saying.quiet:
        text += f" ({sentences.process_text(peer.process)} on this host)"
    if row.key.port == MANY and row.ports and not row.key.saying.quiet:
        first = list(top_ports(row.ports))[:_NAMED]
        rest = len(row.ports) - len(first)
        text += f"; ports {', '.join(map(str, first))}"
        if row.ports_crowded:
            text += f" and more than {rest:,} others" if rest else " and others"
        elif rest:
            text += f" and {rest:,} more"
    return text


def detail(reset: Reset) -> Detail:
    """One of the last resets of a row."""
    sample = reset.sample
    here, there = _place(sample.local, sample.local_port), _place(sample.remote, sample.remote_port)
    sent = sample.direction == "sent"
    return Detail(
        clock=f"{clock(reset.last_ns)}.{reset.last_ns // 1_000_000 % 1000:03d}",
        count=reset.count,
        route=f"{here} -> {there}" if sent else f"{there} -> {here}",
        trigger=_trigger(sample),
    )


_FLAGS = {"S": "SYN", "A": "ACK", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG"}


def _trigger(sample: Record) -> str:
    segment = sample.trigger
    if segment is None:
        return "no segment provoked it" if sample.direction == "sent" else ""
    flags = "+".join(_FLAGS.get(flag, flag) for flag in segment.flags) or "no flags"
    return f"answers {flags}" + (f", {amount(segment.length, 'byte')}" if segment.length else "")


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _in(subject: Subject, home: int) -> str:
    return f", in netns {subject.netns_name or subject.netns}" if subject.netns not in (0, home) else ""


def findings(verdict: Verdict | None, home: int) -> tuple[FindingView, ...]:
    """What resets mean; a command goes with the first.

    Args:
        verdict: the latest; None before there is one.
        home: inode number of the namespace that needs no name.
    """
    if verdict is None:
        return ()
    return tuple(
        FindingView(
            severity=each.severity,
            suspected=each.confidence == "suspected",
            sentence=f"{each.sentence}{_in(each.subject, home)}",
            share=f"{percent(each.count, verdict.resets)} of {amount(verdict.resets, 'reset')}" if each.count else "",
            step=verdict.steps[0].command if verdict.steps and not number else "",
        )
        for number, each in enumerate(verdict.shares)
    )


def account(totals: Mapping[str, int], *, seen: int) -> str:
    """The account in one line: what the kernel counted, and what became of each.

    Args:
        totals: the latest reading.
        seen: resets sent that were seen, also after that.
    """
    # without what only waits to be read
    known = totals["seen"] + totals["lost"] + totals["unseen"]
    received = f"{totals['received'] + totals['received_lost']:,} received"
    if totals["received_lost"]:
        received += f", {totals['received_lost']:,} of them too fast to see each"
    if totals.get("past_stack"):
        received += f"; {totals['past_stack']:,} left past the TCP stack"
    if not known:
        return f"{seen:,} sent, not counted yet" if seen else f"no reset sent, {received}"
    parts = [
        f"{totals[name]:,} {words}"
        for name, words in (("unknown", "of unknown cause"), ("lost", "too fast to see each"), ("unseen", "not seen"))
        if totals[name]
    ]
    told = f"{totals['explained']:,} explained, {', '.join(parts)}" if parts else "all explained"
    beyond = totals["uncounted"]
    agrees = f"the kernel counted {known - beyond:,}" if beyond else "the kernel's count agrees"
    if totals.get("off_wire"):
        agrees += f"; {totals['off_wire']:,} of them never left"
    return f"{known:,} sent, {told}; {agrees}; {received}"


def scope(namespaces: Iterable[tuple[int, str]], home: int) -> str:
    """What is watched: «this host and 3 more namespaces (blue, red, 1 without a name)»."""
    others = [(inode, name) for inode, name in namespaces if inode != home]
    if not others:
        return "this host"
    named = sorted(name for _, name in others if name)
    first = named[:_NAMED]
    nameless = len(others) - len(named)
    parts = [*first, *([f"{len(named) - _NAMED} more"] if len(named) > _NAMED else [])]
    if nameless and named:
        parts.append(f"{nameless} without a name")
    one = "" if len(others) == 1 else "s"
    return f"this host and {len(others)} more namespace{one}" + (f" ({', '.join(parts)})" if parts else "")


def missing(source: Missing) -> str:
    """What cannot be seen, and why."""
    return f"{source.lost} ({source.why})"


def alerts(raised: Iterable[Alert], home: int) -> tuple[AlertView, ...]:
    """The worst first, then those that people are told of, then the eldest: none changes its place by itself."""
    ordered = sorted(
        raised, key=lambda each: (each.new_status != "critical", bool(each.muted_by), each.since_ns, each.rule)
    )
    return tuple(
        AlertView(
            critical=each.new_status == "critical",
            muted=bool(each.muted_by),
            texts=raised_texts(each, home),
        )
        for each in ordered
    )
