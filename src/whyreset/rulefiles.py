"""Reads files of rules: those that ship with whyreset, and a user's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from whyreset import alerts
from whyreset.alerts.charts import kind_of, one_name
from whyreset.alerts.rule import Rule
from whyreset.alerts.rules import Problem, Rules, read_rules
from whyreset.causes import CAUSES

_STOCK = Path(alerts.__file__).with_name("stock")
#: A file that is larger holds something else.
_MOST_BYTES = 4 << 20
#: Values of charts that all rules of a namespace may look at in a second, some 10 ms; and what one evaluation costs
#: beside its look-up, in values.
_MOST_VALUES = 50_000
_EVALUATION = 150


class RuleFileError(Exception):
    """A file cannot be read; a sentence."""


def shipped() -> list[Rules]:
    """The rules that ship with whyreset."""
    return [read_rules(each.read_text(encoding="utf-8"), each.name) for each in sorted(_STOCK.glob("*.conf"))]


def read(name: str) -> list[Rules]:
    """A user's rules.

    Args:
        name: a file, or a folder of which all files *.conf are read.

    Raises:
        RuleFileError: it is not there, or cannot be read.
    """
    path = Path(name)
    try:
        paths = sorted(path.glob("*.conf")) if path.is_dir() else [path]
        if not paths:
            raise RuleFileError(f"there is no file *.conf in {name}")
        return [_read(each) for each in paths]
    except OSError as error:
        raise RuleFileError(f"cannot read {error.filename or name}: {error.strerror}") from error


def _read(path: Path) -> Rules:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise RuleFileError(f"this is no file of rules, it is larger than {_MOST_BYTES >> 20} MiB: {path}")
    if b"\0" in content:
        raise RuleFileError(f"this is no file of rules, it is not text in UTF-8: {path}")
    causes = {name for module in CAUSES for name in (module.NAME, module.FAMILY)}
    return read_rules(content.decode("utf-8-sig", "replace"), str(path), causes=causes)


def joined(found: list[Rules], host: str = "") -> Rules:
    """The content of several files; of rules with one name for one chart the first counts.

    Args:
        found: of each file.
        host: the name of this host: rules for others are left out. "" for all.
    """
    wanted = (rule for each in reversed(found) for rule in reversed(each.rules) if not host or rule.for_host(host))
    by_name = {(rule.name, one_name(rule.on)): rule for rule in wanted}
    rules, problems = _affordable(reversed(by_name.values()))
    return Rules(
        rules,
        tuple(silence for each in found for silence in each.silences),
        tuple(expected for each in found for expected in each.expected),
        (*(problem for each in found for problem in each.problems), *problems),
    )


def _affordable(rules: Iterable[Rule]) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Those that can be evaluated in time, and what is told of the others."""
    kept: list[Rule] = []
    problems: list[Problem] = []
    values = 0.0
    for rule in rules:
        cost = ((abs(rule.lookup.after) if rule.lookup else 0) + _EVALUATION) / rule.every if kind_of(rule.on) else 0
        if values + cost <= _MOST_VALUES:
            values += cost
            kept.append(rule)
        else:
            text = f"{rule.name} is left out: with it rules would look at more than {_MOST_VALUES:,} values a second"
            problems.append(Problem(rule.file, rule.line, 1, text))
    return tuple(kept), problems
