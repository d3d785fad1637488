"""Rules in Netdata's health syntax, and what is wrong with them.

A rule begins with `alarm:` (for one chart) or `template:` (for every chart of a context) and ends where the next
begins; each further line is `key: value`, a backslash at its end goes on in the next line. A line that cannot be read
is told of and left out, everything else counts, as Netdata does it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from whyreset.alerts.charts import one_name
from whyreset.alerts.mute_keys import SILENCE_KEYS, expect_keys
from whyreset.alerts.mutes import Expected, Silence
from whyreset.alerts.patterns import accepts
from whyreset.alerts.rule import Rule
from whyreset.alerts.rule_keys import KEYS, Key, Wrong, like
from whyreset.alerts.space import RECEIVED_SURGE, SENT_SURGE

#: What a statement may have with its continued lines, as in Netdata; and rules of one file.
LONGEST_STATEMENT = 4096
MOST_RULES = 2000
#: Nobody reads more complaints of one file.
MOST_PROBLEMS = 200
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

    rules: tuple[Rule, ...] = ()
    silences: tuple[Silence, ...] = ()
    expected: tuple[Expected, ...] = ()
    problems: tuple[Problem, ...] = ()


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


def read_rules(text: str, file: str, *, causes: Collection[str] = ()) -> Rules:
    """The rules of a file, with the silences and what is expected.

    Args:
        text: what is in it.
        file: its name, for messages.
        causes: slugs and families that may be expected; none for any.
    """
    reader = _Reader(file, causes)
    for statement in _statements(text):
        reader.take(statement)
    return reader.finished()


class _Block(Struct):
    """What stands between two beginnings."""

    kind: str
    line: int
    value: Rule | Silence | Expected
    given: set[str] = field(default_factory=set)
    wrong: bool = False


class _Reader:
    """Takes the statements of one file."""

    def __init__(self, file: str, causes: Collection[str]) -> None:
        self._file = file
        #: what begins a block, and the keys that it may have
        self._keys: dict[str, dict[str, Key]] = {
            "alarm": KEYS,
            "template": KEYS,
            "silence": SILENCE_KEYS,
            "expect": expect_keys(causes),
        }
        self._problems: list[Problem] = []
        self._blocks: list[_Block] = []
        #: names and charts of the rules among them
        self._there: set[tuple[str, str]] = set()
        self._block: _Block | None = None

    def take(self, statement: _Statement) -> None:
        line, column = statement.place(0)
        key, colon, value = statement.text.partition(":")
        at = len(key) + 1 + len(value) - len(value.lstrip())
        key, value = key.strip().lower(), value.strip()
        if len(statement.text) > LONGEST_STATEMENT:
            self._complain(line, column, f"expected at most {LONGEST_STATEMENT} characters with continued lines")
        elif not colon:
            self._complain(line, column, "expected «key: value»")
        elif not value:
            self._complain(line, column, f"expected a value after «{key}:»")
        elif key in self._keys:
            self._finish()
            self._block = _Block(kind=key, line=line, value=_beginning(key, value, self._file, line))
        elif self._block is None:
            self._complain(line, column, "expected «alarm: name» or «template: name» first")
        elif key not in (keys := self._keys[self._block.kind]):
            self._complain(line, column, f"expected one of {', '.join(keys)}, not {key!r}", key, keys)
        else:
            self._set(self._block, keys[key], key, value, statement, at)

    def finished(self) -> Rules:
        self._finish()
        values = [block.value for block in self._blocks]
        return Rules(
            tuple(value for value in values if isinstance(value, Rule)),
            tuple(value for value in values if isinstance(value, Silence)),
            tuple(value for value in values if isinstance(value, Expected)),
            tuple(sorted(self._problems, key=lambda each: (each.line, each.column))),
        )

    def _set(self, block: _Block, read: Key, key: str, value: str, statement: _Statement, at: int) -> None:
        if key in block.given:
            self._complain(*statement.place(0), f"{key!r} is given twice for {block.value.name}: the last counts")
        block.given.add(key)
        wrong: list[Wrong] = []
        try:
            block.value = replace(block.value, **read(value, block.value, wrong))
        except Wrong as error:
            wrong.append(error)
        for each in wrong:
            self._complain(*statement.place(at + each.at), str(each), each.word, each.names)

    def _complain(self, line: int, column: int, text: str, word: str = "", names: Iterable[str] = ()) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            text += like(word, names) if word else ""
            self._problems.append(Problem(self._file, line, column, text))
        elif len(self._problems) == MOST_PROBLEMS:
            self._problems.append(Problem(self._file, line, column, "there is more that cannot be read"))
        if self._block is not None:
            self._block.wrong = True

    def _finish(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        lacks = _lacks(block)
        if not lacks and isinstance(block.value, Rule):
            if not accepts(block.value.os, "linux"):
                return  # Netdata's files hold the same rule once for each system
            if block.value.name in (SENT_SURGE, RECEIVED_SURGE):
                lacks = "is a name of our own detectors: it is left out"
            elif _key(block.value) in self._there:
                lacks = f"stands here twice for {block.value.on}: the first counts"
        if not lacks and len(self._blocks) >= MOST_RULES:
            lacks = f"is more than the {MOST_RULES}th of this file: it is left out"
        if lacks:
            self._complain(block.line, 1, f"{block.value.name} {lacks}")
            return
        self._blocks.append(block)
        if isinstance(block.value, Rule):
            self._there.add(_key(block.value))


def _beginning(kind: str, name: str, file: str, line: int) -> Rule | Silence | Expected:
    if kind == "silence":
        return Silence(name=name)
    if kind == "expect":
        return Expected(name=name)
    return Rule(name=_NOT_IN_NAMES.sub("_", name), template=kind == "template", file=file, line=line)


def _key(rule: Rule) -> tuple[str, str]:
    return rule.name, one_name(rule.on)


def _lacks(block: _Block) -> str:
    rule = block.value
    if not isinstance(rule, Rule):
        # half of a silence would mute too much
        if block.wrong:
            return "is left out, since not all of it can be read"
        if isinstance(rule, Silence) and rule.end and rule.end <= rule.begin:
            return "is left out, since it ends before it begins"
        return "" if block.given else "says nothing: it is left out"
    lacks = ""
    if not rule.on:
        lacks = "names no chart («on: chart»)"
    elif not rule.every:
        lacks = "does not say how often («every: 10s»)"
    elif not (rule.lookup or rule.calc or rule.warn or rule.crit):
        lacks = "has nothing to evaluate (none of lookup, calc, warn, crit)"
    if lacks and block.wrong:
        lacks += ", as not all of it can be read"
    return f"{lacks}: it is left out" if lacks else ""


def _statements(text: str) -> Iterator[_Statement]:
    """Each statement of a file, without comments and blank lines."""
    pending: list[tuple[str, int, int]] = []
    length = 0
    lines = text.replace("\0", " ").splitlines()
    for number, line in enumerate([*lines, ""], 1):
        stripped = line.strip()
        if not pending and (not stripped or stripped.startswith("#")):
            continue
        indent = len(line) - len(line.lstrip())
        goes_on = stripped.endswith("\\") and number <= len(lines)
        body = stripped[:-1] + " " if goes_on else stripped
        if length <= LONGEST_STATEMENT:
            # what is longer is told of, and its rest need not be kept
            pending.append((body[: LONGEST_STATEMENT + 1], number, indent + 1))
            length += len(body)
        if not goes_on:
            yield _join(pending)
            pending, length = [], 0


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
