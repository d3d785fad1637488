"""One rule, as Netdata's health syntax describes it."""

from __future__ import annotations

from msgspec import Struct

from whyreset.alerts.bounds import Amount, Seconds
from whyreset.alerts.expression import Node, describe
from whyreset.alerts.patterns import accepts


class Expression(Struct, frozen=True):
    """An expression as it was written, and its tree."""

    text: str
    node: Node

    def __str__(self) -> str:
        return describe(self.node)


class Lookup(Struct, frozen=True, kw_only=True):
    """What is read from a chart's history: the seconds from `after` before the window's end, which is `before` now."""

    method: str
    #: For trimmed-mean, trimmed-median and percentile; None for the method's own.
    percent: float | None = None
    #: Seconds, negative: the length of the window.
    after: int
    #: Seconds, zero or negative: how long before now the window ends.
    before: int = 0
    options: frozenset[str] = frozenset()
    #: Patterns of dimensions; empty: all.
    dimensions: tuple[str, ...] = ()


class Delay(Struct, frozen=True, kw_only=True):
    """How long a notification waits, in seconds; each change meanwhile multiplies the wait of the next."""

    up: Seconds = 0
    down: Seconds = 0
    multiplier: Amount = 1.0
    maximum: Seconds = 0


class Rule(Struct, frozen=True, kw_only=True):
    """One rule; options keep Netdata's names, but for those that are words of Python."""

    name: str
    #: It is for every chart of a context, not for one chart.
    template: bool = False
    #: The chart's or the context's name.
    on: str = ""
    os: tuple[str, ...] = ("*",)
    hosts: tuple[str, ...] = ("*",)
    families: tuple[str, ...] = ("*",)
    lookup: Lookup | None = None
    calc: Expression | None = None
    #: Seconds between evaluations.
    every: int = 0
    green: float | None = None
    red: float | None = None
    warn: Expression | None = None
    crit: Expression | None = None
    delay: Delay = Delay()
    #: Seconds between reminders while it is in that state; 0: none.
    repeat_warning: int = 0
    repeat_critical: int = 0
    options: frozenset[str] = frozenset()
    to: str = ""
    exec: str = ""
    units: str = ""
    info: str = ""
    summary: str = ""
    kind: str = ""
    type: str = ""
    component: str = ""
    file: str = ""
    line: int = 0

    def for_host(self, host: str) -> bool:
        """Whether it is meant for a host of this name."""
        return accepts(self.hosts, host)
