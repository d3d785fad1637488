"""What commands share to say which resets someone asks for: `watch`'s options, and filters in the words of JSON keys.

    cause=forged                    port=443,8443               src=192.0.2.0/24 and not dport=22
    trigger.flags=SA or count>10    evidence~"window was 0"     (says or comment) and certainty!=certain

A key is a name of a line of JSON, dotted where it lies deeper; «port» and «address» stand for those of either end.
Without a value it asks whether the key is there. Values of one comparison are separated by commas; any of them will do.
Words side by side mean «and».
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from whyreset.model import Finding, Reset, Tick

Line = Mapping[str, Any]
Test = Callable[[Line], bool]

#: A deeper expression is a mistake.
DEPTH_MAX = 50

_TOKEN = re.compile(r"""\s*(?:([()])|(!=|>=|<=|=|~|>|<)|"([^"]*)"|([^\s()=!<>~",]+)|(,))""")
#: What one word asks of several keys.
BOTH_ENDS = {"port": ("sport", "dport"), "address": ("src", "dst")}


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked for; an empty or None word lets all through.

    A filter hides lines, it never changes the account.
    """

    direction: str = "both"
    #: Names or inode numbers of namespaces.
    netns: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()
    #: Slugs or families.
    causes: frozenset[str] = frozenset()

    def words(self) -> str:
        """What is asked for, in words; "" for everything."""
        parts = [] if self.direction == "both" else [self.direction]
        for name, chosen in (
            ("port", sorted(self.ports)),
            ("cause", sorted(self.causes)),
            ("netns", sorted(self.netns)),
        ):
            if chosen:
                parts.append(f"{name} {' or '.join(map(str, chosen))}")
        return ", ".join(parts)

    @property
    def by_detail(self) -> bool:
        """Whether it asks for something that is not known of resets that were only counted."""
        return bool(self.ports or self.causes)

    def wants_netns(self, inode: int, name: str) -> bool:
        """Whether this namespace was asked for."""
        return not self.netns or str(inode) in self.netns or (bool(name) and name in self.netns)

    def wants(self, reset: Reset) -> bool:
        """Whether this reset was asked for."""
        if self.direction != "both" and reset.facts.direction != self.direction:
            return False
        if self.ports and not self.ports & {reset.port, reset.sample.local_port, reset.sample.remote_port}:
            return False
        if self.causes and not self.causes & {reset.cause.name, reset.cause.family, *reset.cause.candidates}:
            return False
        return self.wants_netns(reset.sample.netns, reset.netns_name)

    def wants_finding(self, finding: Finding) -> bool:
        """Whether a finding is about something that was asked for; its causes are not told."""
        subject = finding.subject
        if self.ports and subject.port not in self.ports:
            return False
        # without a namespace it is the whole machine's, and so everybody's
        return not subject.netns or self.wants_netns(subject.netns, subject.netns_name)

    def narrow(self, tick: Tick) -> Tick:
        """What of it was asked for. A verdict is of all resets, so that it goes where only some are wanted."""
        return replace(
            tick,
            resets=tuple(each for each in tick.resets if self.wants(each)),
            counts=tuple(each for each in tick.counts if self.wants_netns(each.netns, each.netns_name)),
            alerts=tuple(each for each in tick.alerts if self.wants_netns(each.netns, each.netns_name)),
            findings=tuple(each for each in tick.findings if self.wants_finding(each)),
            verdict=None if self.by_detail or self.direction != "both" else tick.verdict,
        )


class ExpressionError(ValueError):
    """What is wrong with a filter, in one sentence."""


def parse(text: str, keys: Collection[str]) -> Test:
    """The test that a filter stands for; a line passes where it returns True.

    Args:
        text: the filter.
        keys: the dotted names that lines have.

    Raises ExpressionError.
    """
    return _Parser(text, keys).parse()


class _Parser:
    """Recursive descent over the tokens: or, and, not, comparison."""

    def __init__(self, text: str, keys: Collection[str]) -> None:
        self._keys = keys
        self._tokens = _split(text)
        self._depth = 0

    def parse(self) -> Test:
        if not self._tokens:
            raise ExpressionError("the filter is empty")
        test = self._either()
        if self._tokens:
            raise ExpressionError(f"the filter has {self._tokens[0][1]!r} where nothing fits")
        return test

    def _either(self) -> Test:
        tests = [self._all()]
        while self._word("or"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda line: any(test(line) for test in tests)

    def _all(self) -> Test:
        tests = [self._not()]
        while self._word("and") or (self._tokens and self._tokens[0] not in (("mark", ")"), ("word", "or"))):
            tests.append(self._not())
        return tests[0] if len(tests) == 1 else lambda line: all(test(line) for test in tests)

    def _not(self) -> Test:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ExpressionError("the filter is nested too deep")
        try:
            if self._word("not"):
                test = self._not()
                return lambda line: not test(line)
            if self._tokens and self._tokens[0] == ("mark", "("):
                self._tokens.pop(0)
                test = self._either()
                if not self._tokens or self._tokens.pop(0) != ("mark", ")"):
                    raise ExpressionError("the filter lacks a closing parenthesis")
                return test
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        if not self._tokens:
            raise ExpressionError("the filter ends where a key is expected")
        kind, key = self._tokens.pop(0)
        if kind != "word":
            raise ExpressionError(f"the filter has {key!r} where a key is expected")
        paths = BOTH_ENDS.get(key, (key,))
        if unknown := [path for path in paths if path not in self._keys]:
            raise ExpressionError(f"there is no key {unknown[0]!r}; there are {', '.join(sorted(self._keys))}")
        if not self._tokens or self._tokens[0][0] != "operator":
            return lambda line: any(bool(_value(line, path)) for path in paths)
        operator = self._tokens.pop(0)[1]
        wanted = [self._one(operator)]
        while self._tokens and self._tokens[0] == ("comma", ","):
            self._tokens.pop(0)
            wanted.append(self._one(operator))
        if operator == "!=":
            return lambda line: not any(_any(_value(line, path), wanted) for path in paths)
        return lambda line: any(_any(_value(line, path), wanted) for path in paths)

    def _one(self, operator: str) -> Callable[[Any], bool]:
        if not self._tokens or self._tokens[0][0] not in ("word", "text"):
            raise ExpressionError(f"the filter lacks a value after {operator!r}")
        return _matcher(operator, self._tokens.pop(0)[1])

    def _word(self, word: str) -> bool:
        if self._tokens and self._tokens[0] == ("word", word):
            self._tokens.pop(0)
            return True
        return False


def _split(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"the filter has {text[at:].strip()[:20]!r} where nothing fits")
        mark, operator, quoted, word, comma = found.groups()
        if mark or operator or comma:
            tokens.append(("mark" if mark else "operator" if operator else "comma", mark or operator or comma))
        else:
            tokens.append(("word", word) if word else ("text", quoted))
        at = found.end()
    return tokens


def _value(line: Line, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = line
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _any(value: Any, wanted: list[Callable[[Any], bool]]) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(matches(each) for each in values for matches in wanted if each is not None)


def _matcher(operator: str, wanted: str) -> Callable[[Any], bool]:
    if operator in ("=", "!="):
        return _equal(wanted)
    if operator == "~":
        return lambda value: wanted.lower() in str(value).lower()
    return _ordered(operator, wanted)


def _equal(wanted: str) -> Callable[[Any], bool]:
    if "/" in wanted:
        try:
            network = ipaddress.ip_network(wanted, strict=False)
        except ValueError:
            pass
        else:
            return lambda value: _inside(value, network)
    return lambda value: _text(value) == wanted


def _inside(value: Any, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(value) in network
    except ValueError:
        return False


def _ordered(operator: str, wanted: str) -> Callable[[Any], bool]:
    def compare(value: Any) -> bool:
        pair: tuple[Any, Any] = (value, wanted)  # times sort as text
        if isinstance(value, int | float):
            pair = (value, number)
        if pair[1] is None:
            return False
        less, equal = pair[0] < pair[1], pair[0] == pair[1]
        return bool({"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator])

    try:
        number: float | None = float(wanted)
    except ValueError:
        number = None
    return compare


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
