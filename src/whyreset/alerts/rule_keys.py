"""What stands behind each key of a rule: its value's syntax, and what was expected where that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from whyreset.alerts.expression import ExpressionError, parse
from whyreset.alerts.rule import Delay, Expression, Lookup, Rule

#: Look-up methods; some of them with a percentage behind their name, as `percentile95`.
METHODS = (
    *("average", "mean", "min", "max", "sum", "incremental_sum", "incremental-sum", "median", "stddev", "cv", "rsd"),
    *("ses", "ema", "ewma", "des", "countif", "trimmed-mean", "trimmed-median", "percentile"),
)
#: And those that the last three may have.
_PERCENTAGES = {
    "trimmed-mean": ("1", "2", "3", "5", "10", "15", "20", "25"),
    "trimmed-median": ("1", "2", "3", "5", "10", "15", "20", "25"),
    "percentile": ("25", "50", "75", "80", "90", "95", "97", "98", "99"),
}
_LOOKUP_OPTIONS = {
    "absolute": "absolute",
    "abs": "absolute",
    "absolute_sum": "absolute",
    "absolute-sum": "absolute",
    "unaligned": "unaligned",
    "percentage": "percentage",
    "min2max": "min2max",
    **{name: name for name in ("average", "min", "max", "sum")},
    "null2zero": "null2zero",
    "match-ids": "match-ids",
    "match_ids": "match-ids",
    "match-names": "match-names",
    "match_names": "match-names",
}
#: Host labels that are known here. Netdata's other own ones (they begin with _) are passed over.
_LABELS = {"_os": "os", "_hostname": "hosts"}
_LABEL = re.compile(r"([^\s=]+)\s*=\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "Y": 31536000}
_GROUPING = re.compile(r"([^\s(]+)\s*(?:\(([^)]*)\)\s*)?")
_LONGEST = 10 * _SECONDS["Y"]
_MOST_TIMES = 1000
_DURATION = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([smhdwMY])[A-Za-z]*)?")


class Wrong(Exception):
    """Something is wrong with a value.

    Args:
        at: index of the character where something else was expected.
        text: what was expected.
        word: what may be a slip of the pen for one of `names`.
        names: what could stand there.
    """

    def __init__(self, at: int, text: str, word: str = "", names: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.at = at
        self.word = word
        self.names = names


def words_of(value: str, begin: int = 0) -> Iterator[tuple[int, str]]:
    """Each word with its place, from this place on."""
    for match in re.compile(r"\S+").finditer(value, begin):
        yield match.start(), match[0]


def like(word: str, names: Iterable[str]) -> str:
    """«; is it 'warn'?» where a name is near to a word that is none, else nothing. Takes some time."""
    from difflib import get_close_matches  # rarely needed, and slow to import

    close = get_close_matches(word, list(names), 1)
    return f"; is it {close[0]!r}?" if close else ""


def duration(word: str, at: int) -> int:
    """«10s», «-1.5m», «2h» in seconds."""
    match = _DURATION.fullmatch(word)
    if not match:
        raise Wrong(at, f"expected a duration such as 10s, 5m or 1h, not {word!r}")
    seconds = float(match[1]) * _SECONDS[match[2] or "s"]
    if abs(seconds) > _LONGEST:
        raise Wrong(at, f"expected at most ten years, not {word!r}")
    return int(seconds)


def _number(word: str, at: int) -> float:
    try:
        number = float(word)
    except ValueError:
        raise Wrong(at, f"expected a number, not {word!r}") from None
    return number


def _next(words: Iterator[tuple[int, str]], value: str, after: str) -> tuple[int, str]:
    found = next(words, None)
    if found is None:
        raise Wrong(len(value), f"expected something after «{after}»")
    return found


def _lookup(value: str, rule: Rule, wrong: list[Wrong]) -> dict[str, object]:
    method = _GROUPING.match(value)
    if not method:
        raise Wrong(0, f"expected a method such as average, not {value!r}")
    name, percent = _method(method[1], method[2])
    words = words_of(value, method.end())
    at, word = _next(words, value, method[0].strip())
    after = duration(word, at)
    if after == 0:
        raise Wrong(at, f"expected a window such as -10s, not {word!r}")
    every, before, options, dimensions = abs(after), 0, set(), ()
    for at, word in words:
        key = word.lower()
        if key in _LOOKUP_OPTIONS:
            options.add(_LOOKUP_OPTIONS[key])
        elif key in ("at", "every"):
            at, amount = _next(words, value, word)
            seconds = duration(amount, at)
            before, every = (seconds, every) if key == "at" else (before, seconds)
        elif key == "of":
            rest = value[at + len(word) :].strip()
            if rest.lower() != "all":
                dimensions = tuple(filter(None, (each.strip() for each in re.split(r"[,|]", rest))))
            break
        elif key == "foreach":
            wrong.append(Wrong(at, "foreach is not known here: write a rule for each dimension"))
            break
        else:
            known = ", ".join(["at", "every", "of", *_LOOKUP_OPTIONS])
            wrong.append(Wrong(at, f"expected one of {known}, not {word!r}"))
    lookup = Lookup(
        method=name, percent=percent, after=after, before=before, options=frozenset(options), dimensions=dimensions
    )
    return {"lookup": lookup, "every": every}


def _method(word: str, option: str | None) -> tuple[str, float | None]:
    """Its name and percentage, which stands behind it or, in newer files, in parentheses."""
    if option is not None:
        percent = _number(option.strip() or "nan", len(word) + 1)
        if word not in _PERCENTAGES or not 0 <= percent <= 100:
            raise Wrong(len(word), f"expected a percentage, of one of {', '.join(_PERCENTAGES)}, not {option!r}")
        return word, percent
    if word in METHODS:
        return word, None
    name = word.rstrip("0123456789")
    if word.removeprefix(name) in _PERCENTAGES.get(name, ()):
        return name, float(word.removeprefix(name))
    raise Wrong(0, f"expected a method ({', '.join(METHODS)}), not {word!r}", word, METHODS)


def _every(value: str, _rule: Rule, _wrong: list[Wrong]) -> dict[str, object]:
    seconds = duration(value, 0)
    if seconds <= 0:
        raise Wrong(0, f"expected a duration of a second or more, not {value!r}")
    return {"every": seconds}


def _delay(value: str, _rule: Rule, wrong: list[Wrong]) -> dict[str, object]:
    words, found = words_of(value), dict[str, float]()
    for at, word in words:
        key = word.lower()
        if key not in ("up", "down", "multiplier", "max"):
            wrong.append(Wrong(at, f"expected up, down, multiplier or max, not {word!r}"))
            next(words, None)
            continue
        at, amount = _next(words, value, word)
        try:
            found[key] = _number(amount, at) if key == "multiplier" else duration(amount, at)
            if key == "multiplier" and not 0 < found[key] <= _MOST_TIMES:
                del found[key]
                raise Wrong(at, f"expected a multiplier above 0 and up to {_MOST_TIMES}, not {amount!r}")
        except Wrong as error:
            wrong.append(error)
    up, down, multiplier = int(found.get("up", 0)), int(found.get("down", 0)), found.get("multiplier", 1.0)
    longest = int(min(found.get("max", max(up * multiplier, down * multiplier)), _LONGEST))
    return {"delay": Delay(up=up, down=down, multiplier=multiplier, maximum=longest)}


def _repeat(value: str, _rule: Rule, wrong: list[Wrong]) -> dict[str, object]:
    words, found = words_of(value), {"warning": 0, "critical": 0}
    for at, word in words:
        key = word.lower()
        if key == "off":
            return {"repeat_warning": 0, "repeat_critical": 0}
        if key not in found:
            wrong.append(Wrong(at, f"expected off, warning or critical, not {word!r}"))
            next(words, None)
            continue
        at, amount = _next(words, value, word)
        try:
            found[key] = max(duration(amount, at), 0)
        except Wrong as error:
            wrong.append(error)
    return {"repeat_warning": found["warning"], "repeat_critical": found["critical"]}


def _options(value: str, rule: Rule, wrong: list[Wrong]) -> dict[str, object]:
    options = set(rule.options)
    for at, word in words_of(value):
        if word.lower() in ("no-clear-notification", "no-clear"):
            options.add("no-clear-notification")
        else:
            wrong.append(Wrong(at, f"expected no-clear-notification, not {word!r}"))
    return {"options": frozenset(options)}


#: From a value, what there is so far, and a list for what is wrong with it: the fields that it sets.
Key = Callable[[str, Any, list[Wrong]], dict[str, object]]


def _expression(key: str) -> Key:
    def read(value: str, _rule: Rule, _wrong: list[Wrong]) -> dict[str, object]:
        try:
            return {key: Expression(value, parse(value))}
        except ExpressionError as error:
            raise Wrong(error.position, str(error)) from None

    return read


def _text(name: str, *, quotes: bool = True) -> Key:
    return lambda value, _rule, _wrong: {name: value if quotes else re.sub("['\"]", " ", value).strip()}


def patterns(name: str) -> Key:
    """A key whose value is a list of simple patterns."""
    return lambda value, _rule, _wrong: {name: tuple(value.split())}


def _nothing(_value: str, _rule: Rule, _wrong: list[Wrong]) -> dict[str, object]:
    """For keys that choose among what whyreset has only one of, or are for Netdata's own programs."""
    return {}


def _labels(value: str, _rule: Rule, wrong: list[Wrong]) -> dict[str, object]:
    """Newer files name system and host here: «_os=linux freebsd»."""
    labels = list(_LABEL.finditer(value))
    if not labels or labels[0].start():
        raise Wrong(0, f"expected «label=pattern», not {value!r}")
    found: dict[str, object] = {}
    for label, end in zip(labels, [*(each.start() for each in labels[1:]), len(value)], strict=True):
        words = tuple(value[label.end() : end].replace("|", " ").split())
        if label[1] in _LABELS:
            found[_LABELS[label[1]]] = words
        elif not label[1].startswith("_"):
            known = " and ".join(_LABELS)
            wrong.append(Wrong(label.start(), f"expected one of {known}: {label[1]!r} is not known here"))
    return found


KEYS: dict[str, Key] = {
    "on": _text("on"),
    "os": patterns("os"),
    "hosts": patterns("hosts"),
    "families": patterns("families"),
    "lookup": _lookup,
    "calc": _expression("calc"),
    "every": _every,
    "green": lambda value, _rule, _wrong: {"green": _number(value, 0)},
    "red": lambda value, _rule, _wrong: {"red": _number(value, 0)},
    "warn": _expression("warn"),
    "crit": _expression("crit"),
    "delay": _delay,
    "repeat": _repeat,
    "options": _options,
    "to": _text("to"),
    "exec": _text("exec"),
    "units": _text("units", quotes=False),
    "summary": _text("summary", quotes=False),
    "info": _text("info", quotes=False),
    "class": _text("kind"),
    "type": _text("type"),
    "component": _text("component"),
    "host labels": _labels,
    **dict.fromkeys(("plugin", "module", "charts", "chart labels"), _nothing),
}
