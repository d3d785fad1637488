"""Lines for people: one for each reset or group, without colour, safe to print whatever a process calls itself."""

from __future__ import annotations

from whyreset.model import Count, Notice, Reset
from whyreset.outputs import sentences
from whyreset.words import clock, escape


def reset_text(reset: Reset) -> str:
    """«12:00:03  sent      3 x closed port 8080, until 12:00:01 gunicorn[2214], from 192.0.2.1 [closed-port]: …»"""
    many = f"{reset.count} x " if reset.count > 1 else ""
    parts = [
        sentences.port_text(sentences.say(reset), reset.facts, reset.port),
        sentences.owner_text(reset),
        f"{'to' if reset.facts.active_open else 'from'} {sentences.remotes_text(reset.remotes, reset.sample.remote)}",
        f"in {reset.netns_name}" if reset.netns_name else "",
    ]
    told = ", ".join(part for part in parts if part)
    why = "; ".join(reset.evidence)
    return escape(f"{clock(reset.time_ns)}  {reset.facts.direction:<8}  {many}{told} [{reset.cause.name}]: {why}")


_FIGURES = (
    "counted",
    "seen",
    "explained",
    "unknown",
    "lost",
    "unseen",
    "uncounted",
    "received",
    "received_lost",
    "past_stack",
    "off_wire",
)


def figures_text(figures: dict[str, int]) -> str:
    """An account in words, what is 0 left out."""
    return (
        ", ".join(f"{name.replace('_', ' ')} {figures[name]}" for name in _FIGURES if figures.get(name))
        or "nothing counted"
    )


def count_text(count: Count) -> str:
    """The account of one namespace in one line."""
    where = count.netns_name or f"namespace {count.netns}"
    figures = {name: getattr(count, name) for name in _FIGURES}
    return escape(f"account of {where}{' (gone)' if count.gone else ''}: {figures_text(figures)}")


def families_text(count: Count) -> str:
    """«12:00:03  sent      12 resets; 40 so far: about 30 abort (TCPAbortOnClose), 10 perhaps closed-port or …»"""
    parts = [
        f"about {each.count} {each.family} ({', '.join(each.counters)})"
        if each.certainty != "unknown"
        else f"{each.count} perhaps {_either(each.candidates)}"
        for each in count.families
    ]
    now = count.delta.get("counted", 0)
    told = f"{now} reset{'' if now == 1 else 's'}; {count.counted} so far: {', '.join(parts)}"
    return escape(f"{clock(count.time_ns)}  sent      {told}")


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def totals_text(totals: dict[str, int]) -> str:
    """The account of all namespaces in one line."""
    return f"account: {figures_text(totals)}"


def notice_text(notice: Notice) -> str:
    """A loss or a limit in one line."""
    return escape(f"note: {notice.count} {notice.text}" if notice.count else f"note: {notice.text}")
