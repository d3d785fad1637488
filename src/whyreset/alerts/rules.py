"""Rules in Netdata's health syntax, and what is wrong with them.

A rule begins with `alarm:` (for one chart) or `template:` (for every chart of a context) and ends where the next
begins; each further line is `key: value`, a backslash at its end goes on in the next line. A line that cannot be read
is told of and left out, everything else counts, as Netdata does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from whyreset.alerts.patterns import accepts
from whyreset.alerts.rule import Rule
from whyreset.alerts.rule_keys import KEYS, Wrong

#: What a statement may have with its continued lines, as in Netdata; and rules of one file.
LONGEST_STATEMENT = 4096
MOST_RULES = 2000
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._]")


class Problem(Struct, frozen=True):
    """Something in a file that cannot be read, and what was expected there."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class Rules(Struct, frozen=True):
    """What a file came to."""

    rules: tuple[Rule, ...]
    problems: tuple[Problem, ...]


class _Statement(Struct):
    """One `key: value` with its continued lines; runs of white space are one space."""

    text: str
    #: Line and column of each character.
    places: list[tuple[int, int]] = field(default_factory=list)

    def place(self, at: int) -> tuple[int, int]:
        if at < len(self.places):
            return self.places[at]
        line, column = self.places[-1]
        return line, column + 1


def read_rules(text: str, file: str) -> Rules:
    """The rules of a file.

    Args:
        text: what is in it.
        file: its name, for messages.
    """
    problems: list[Problem] = []
    rules: list[Rule] = []
    current: Rule | None = None
    given: set[str] = set()

    def finish(rule: Rule | None) -> None:
        if rule is None:
            return
        if lacks := _lacks(rule):
            problems.append(Problem(file, rule.line, 1, f"{rule.name} {lacks}: it is left out"))
        elif not accepts(rule.os, "linux"):
            pass  # Netdata's files hold the same rule once for each system
        elif any((rule.name, rule.on) == (each.name, each.on) for each in rules):
            problems.append(
                Problem(file, rule.line, 1, f"{rule.name} on {rule.on} stands here twice: the first counts")
            )
        elif len(rules) < MOST_RULES:
            rules.append(rule)
        else:
            problems.append(Problem(file, rule.line, 1, f"more than {MOST_RULES} rules: this one is left out"))

    for statement in _statements(text):
        line, column = statement.place(0)
        key, colon, value = statement.text.partition(":")
        at = len(key) + 1 + len(value) - len(value.lstrip())
        key, value = key.strip().lower(), value.strip()
        if len(statement.text) > LONGEST_STATEMENT:
            message = f"expected at most {LONGEST_STATEMENT} characters with continued lines"
        elif not colon:
            message = "expected «key: value»"
        elif not value:
            message = f"expected a value after «{key}:»"
        elif key in ("alarm", "template"):
            finish(current)
            name = _NOT_IN_NAMES.sub("_", value)
            current, given = Rule(name=name, template=key == "template", file=file, line=line), set()
            continue
        elif current is None:
            message = "expected «alarm: name» or «template: name» first"
        elif key not in KEYS:
            message = f"expected one of {', '.join(KEYS)}, not {key!r}"
        else:
            if key in given:
                problems.append(
                    Problem(file, line, column, f"{key!r} is given twice for {current.name}: the last counts")
                )
            given.add(key)
            wrong: list[Wrong] = []
            try:
                current = replace(current, **KEYS[key](value, current, wrong))
            except Wrong as error:
                wrong.append(error)
            problems += [Problem(file, *statement.place(at + each.at), str(each)) for each in wrong]
            continue
        problems.append(Problem(file, line, column, message))
    finish(current)
    return Rules(tuple(rules), tuple(sorted(problems, key=lambda each: (each.line, each.column))))


def _lacks(rule: Rule) -> str:
    if not rule.on:
        return "names no chart («on: chart»)"
    if not rule.every:
        return "does not say how often («every: 10s»)"
    if not (rule.lookup or rule.calc or rule.warn or rule.crit):
        return "has nothing to evaluate (none of lookup, calc, warn, crit)"
    return ""


def _statements(text: str) -> Iterator[_Statement]:
    """Each statement of a file, without comments and blank lines."""
    pending: list[tuple[str, int, int]] = []
    lines = text.replace("\0", " ").splitlines()
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        if not pending and (not stripped or stripped.startswith("#")):
            continue
        indent = len(line) - len(line.lstrip())
        goes_on = stripped.endswith("\\") and number <= len(lines)
        body = stripped[:-1] + " " if goes_on else stripped
        if sum(len(each[0]) for each in pending) <= LONGEST_STATEMENT:
            # what is longer is told of, and its rest need not be kept
            pending.append((body, number, indent + 1))
        if not goes_on:
            yield _join(pending)
            pending = []


def _join(parts: list[tuple[str, int, int]]) -> _Statement:
    chars: list[str] = []
    places: list[tuple[int, int]] = []
    for body, line, column in parts:
        for offset, char in enumerate(body):
            if char.isspace():
                if not chars or chars[-1] == " ":
                    continue
                char = " "
            chars.append(char)
            places.append((line, column + offset))
    return _Statement("".join(chars), places or [(parts[0][1], parts[0][2])])
