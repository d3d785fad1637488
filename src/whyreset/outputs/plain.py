"""Lines for people: one for each reset or group, without colour, safe to print whatever a process calls itself."""

from __future__ import annotations

import time

from whyreset.model import Count, Notice, Reset
from whyreset.words import escape, name


def reset_text(reset: Reset) -> str:
    """«12:00:03  sent      3 x closed-port      :8080  from 192.0.2.1  …»"""
    clock = time.strftime("%H:%M:%S", time.localtime(reset.time_ns / 1e9))
    cause = reset.cause.name + ("" if reset.cause.certainty == "certain" else "?")
    many = f"{reset.count} x " if reset.count > 1 else ""
    where = f" in {reset.netns_name}" if reset.netns_name else ""
    why = "; ".join(reset.evidence)
    return escape(f"{clock}  {reset.facts.direction:<8}  {many}{cause}  {_place(reset)}{_who(reset)}{where}: {why}")


def _place(reset: Reset) -> str:
    remotes, sample = reset.remotes, reset.sample
    if reset.count == 1 or (remotes and remotes.exact and remotes.distinct == 1):
        remote = sample.remote
    else:
        remote = f"{'' if remotes and remotes.exact else 'about '}{remotes.distinct if remotes else 'many'} remotes"
    if reset.port is None:
        return f"many ports, {remote}"
    if reset.facts.active_open:
        return f"{_bracket(remote)}:{reset.port}"
    return f":{reset.port} <- {remote}"


def _bracket(address: str) -> str:
    return f"[{address}]" if ":" in address else address


#: Where the owner is less than the connection's own.
_BEFORE = {"former listener": ", before: ", "one of the listeners": ", perhaps: "}


def _who(reset: Reset) -> str:
    if reset.owner is None:
        return ""
    process = reset.owner.process
    unit = process.unit or process.container_name or process.container[:12]
    before = _BEFORE.get(reset.owner.via, "  ")
    return (
        before
        + name(process)
        + (f" ({unit})" if unit else "")
        + ("" if reset.owner.alive or reset.owner.via == "former listener" else " (gone)")
    )


_FIGURES = ("counted", "seen", "explained", "unknown", "lost", "unseen", "uncounted", "received", "received_lost")


def _figures(figures: dict[str, int]) -> str:
    return (
        ", ".join(f"{name.replace('_', ' ')} {figures[name]}" for name in _FIGURES if figures[name])
        or "nothing counted"
    )


def count_text(count: Count) -> str:
    """The account of one namespace in one line."""
    where = count.netns_name or f"namespace {count.netns}"
    figures = {name: getattr(count, name) for name in _FIGURES}
    return escape(f"account of {where}{' (gone)' if count.gone else ''}: {_figures(figures)}")


def totals_text(totals: dict[str, int]) -> str:
    """The account of all namespaces in one line."""
    return f"account: {_figures(totals)}"


def notice_text(notice: Notice) -> str:
    """A loss or a limit in one line."""
    return escape(f"note: {notice.count} {notice.text}" if notice.count else f"note: {notice.text}")
