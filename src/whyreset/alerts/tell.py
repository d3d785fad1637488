"""Rules, silences and what is expected as lines for people, as `whyreset alerts` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from whyreset.alerts.doubts import doubts
from whyreset.alerts.mute_keys import DAYS
from whyreset.alerts.mutes import Expected, Silence
from whyreset.alerts.rule import Lookup, Rule
from whyreset.alerts.rules import Rules
from whyreset.alerts.surge import FLOOR, TIMES, WINDOWS
from whyreset.words import escape

#: Our detector has no file.
DETECTOR = (
    "resets_sent_surge, resets_received_surge  (detector, each second)",
    f"    more than {TIMES:g} times what is usual and {FLOOR:g} a second beyond chance, over {WINDOWS[0]} to"
    f" {WINDOWS[-1]} s; all together and by cause",
)


def rules_text(found: Rules, rules: Iterable[Rule], host: str) -> Iterator[str]:
    """What a file holds.

    Args:
        found: its content.
        rules: those of all files.
        host: the name of this host.
    """
    rules = tuple(rules)
    for rule in found.rules:
        yield from map(escape, _rule(rule, rules, host))
    for silence in found.silences:
        yield escape(f"silence: {silence.name}  ({_when(silence)})")
        yield escape(f"    of {' '.join(silence.rules)} in {' '.join(silence.netns)}")
    for expected in found.expected:
        yield escape(f"expected: {expected.name}")
        yield escape(f"    {_what(expected)}")


def _rule(rule: Rule, rules: tuple[Rule, ...], host: str) -> Iterator[str]:
    yield f"{rule.name}  ({rule.on}, every {rule.every} s)"
    for doubt in doubts(rule, rules, host):
        yield f"    {doubt}"
    if rule.lookup:
        yield f"    lookup  {_lookup(rule.lookup)}"
    for name, expression in (("calc", rule.calc), ("warn", rule.warn), ("crit", rule.crit)):
        if expression:
            yield f"    {name:<6}  {expression}"
    if rule.warn or rule.crit:
        delay = rule.delay
        yield (
            f"    told    after {delay.up} s up, {delay.down} s down"
            + (f", times {delay.multiplier:g} up to {delay.maximum} s" if delay.multiplier != 1 else "")
            + (", no end told" if "no-clear-notification" in rule.options else "")
            + (f"; to {rule.to}" if rule.to else "")
        )


def _lookup(lookup: Lookup) -> str:
    percent = f"{lookup.percent:g}" if lookup.percent is not None else ""
    words = [f"{lookup.method}{percent} of {', '.join(lookup.dimensions) or 'all'} over {abs(lookup.after)} s"]
    words += [f"until {-lookup.before} s ago"] if lookup.before else []
    return ", ".join([*words, *sorted(lookup.options)])


def _when(silence: Silence) -> str:
    parts = []
    if silence.days:
        names = [name for name, day in DAYS.items() if day in silence.days]
        minutes = silence.at // 60
        days = "daily" if len(names) == len(DAYS) else " ".join(names)
        parts.append(f"{days} {minutes // 60:02}:{minutes % 60:02} UTC for {silence.seconds // 60} min")
    for word, moment in (("from", silence.begin), ("until", silence.end)):
        if moment:
            parts.append(f"{word} {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(parts) or "always"


def _what(expected: Expected) -> str:
    words = [
        ("cause", " ".join(expected.causes)),
        ("owner", " ".join(expected.owners)),
        ("port", " ".join(map(str, sorted(expected.ports)))),
        ("remote", " ".join(map(str, expected.remotes))),
    ]
    return "; ".join(f"{name} {value}" for name, value in words if value)
