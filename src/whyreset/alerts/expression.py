"""Netdata's expression language: what stands behind `calc`, `warn` and `crit`.

The rules, as Netdata 1.37.1 was seen to follow them (tests/alerts/recorded/expressions.json holds its answers):

* Operators, loosest first: AND OR (equal), comparisons (equal), + -, * /, ?:. A tighter operator takes only the nearest
  operand of the operator *before* it, so `a AND b > c * d` is `a AND ((b > c) * d)`; each branch of ?: is one operand.
* nan and inf count as numbers inside: comparing with nan is false (nan == nan is true), inf is true. Only when the
  whole comes to nan or inf has the expression failed. A variable that nobody knows is nan.
* AND and OR swallow the one character that follows them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from msgspec import Struct

#: Operators of one expression; what Python can evaluate without running out of stack.
MOST_OPERATORS = 200
#: Two numbers that are nearer than this are equal.
_EPSILON = 1e-7


class Number(Struct, frozen=True):
    """A constant; may be nan or inf."""

    value: float


class Variable(Struct, frozen=True):
    """`$name` or `${name}`."""

    name: str


class Unary(Struct, frozen=True):
    """`!`, `+`, `-` or `abs` of one operand."""

    operator: str
    operand: Node


class Binary(Struct, frozen=True):
    """Two operands."""

    operator: str
    left: Node
    right: Node


class Choice(Struct, frozen=True):
    """`condition ? then : other`."""

    condition: Node
    then: Node
    other: Node


class Parentheses(Struct, frozen=True):
    """Keeps what is inside together."""

    inside: Node


Node = Number | Variable | Unary | Binary | Choice | Parentheses


class ExpressionError(ValueError):
    """An expression cannot be read.

    Attributes:
        position: index of the character where something else was expected.
    """

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


_LOOSENESS = {"&&": 2, "||": 2, **dict.fromkeys((">=", "<=", "!=", "==", "<", ">"), 3), "+": 4, "-": 4, "*": 5, "/": 5}
_CHOICE = 7
#: What may follow an operator: of letters, and of signs.
_AFTER_WORD, _AFTER_SIGN = r"(?=[\s($!+0-9-]|$)", r"(?=[\s($!+0-9A-Za-z-]|$)"
#: In this order: the first that fits is the operator.
_OPERATORS = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("&&", rf"and{_AFTER_WORD}.?|&&{_AFTER_SIGN}"),
        ("||", rf"or{_AFTER_WORD}.?|\|\|{_AFTER_SIGN}"),
        (">=", rf">={_AFTER_SIGN}"),
        ("<=", rf"<={_AFTER_SIGN}"),
        ("!=", rf"!={_AFTER_SIGN}"),
        ("==", rf"==?{_AFTER_SIGN}"),
        ("<", rf"<{_AFTER_SIGN}"),
        (">", rf">{_AFTER_SIGN}"),
        ("+", rf"\+{_AFTER_SIGN}"),
        ("-", rf"-{_AFTER_SIGN}"),
        ("*", rf"\*{_AFTER_SIGN}"),
        ("/", rf"/{_AFTER_SIGN}"),
        ("?", r"\?"),
    )
)
_UNARY = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("!", rf"not{_AFTER_WORD}|!"),
        ("+", rf"\+{_AFTER_SIGN}"),
        ("-", rf"-{_AFTER_SIGN}"),
        ("abs", r"abs(?=\()"),
    )
)
_SPACE = re.compile(r"\s*")
_VARIABLE = re.compile(r"\$(?:\{([^}]+)\}?|([A-Za-z0-9._]+))")
_NUMBER = re.compile(r"nan|inf|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def parse(text: str, *, usual: bool = False) -> Node:
    """An expression's tree.

    Args:
        text: what was written.
        usual: with the precedence that one expects, ?: the loosest of all, as newer Netdata reads it.

    Raises:
        ExpressionError: with what was expected, and where.
    """
    reader = _Reader(text, _join_usual if usual else _join)
    node = reader.expression()
    if reader.at < len(text):
        if reader.swallowed is not None:
            raise ExpressionError(reader.swallowed, "expected a space after AND or OR")
        raise ExpressionError(reader.at, f"expected an operator or the end, not {text[reader.at]!r}")
    return node


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, join: Callable[[Node, str, Node, Node | None], Node]) -> None:
        self._text = text
        self._join = join
        self._operators = 0
        self.at = 0
        #: where a parenthesis stood too close to the word before it
        self.swallowed: int | None = None

    def expression(self) -> Node:
        left = self._operand()
        while (operator := self._operator()) is not None:
            right = self._operand()
            other: Node | None = None
            if operator == "?":
                self._skip()
                self._expect(":", "expected «:» after one operand (put more than one into parentheses)")
                other = self._operand()
            left = self._join(left, operator, right, other)
        self._skip()
        if self._peek() not in ("", ")"):
            raise ExpressionError(self.at, f"expected an operator or the end, not {self._peek()!r}")
        return left

    def _operand(self) -> Node:
        self._skip()
        for name, pattern in _UNARY:
            if self._take(pattern) is not None:
                self._count()
                return Unary(name, self._operand())
        if self._peek() == "(":
            self._count()
            self.at += 1
            inside = self.expression()
            self._expect(")", "expected «)»")
            return Parentheses(inside)
        if match := self._take(_VARIABLE):
            return Variable(match[1] or match[2])
        if match := self._take(_NUMBER):
            return Number(float(match[0]))
        found = repr(self._peek()) if self._peek() else "the end"
        raise ExpressionError(self.at, f"expected a number, a $variable or «(», not {found}")

    def _operator(self) -> str | None:
        self._skip()
        for name, pattern in _OPERATORS:
            if match := self._take(pattern):
                if match[0][-1] == "(":
                    self.swallowed = self.at - 1
                self._count()
                return name
        return None

    def _count(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            raise ExpressionError(self.at, f"expected at most {MOST_OPERATORS} operators")

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self.at)
        if match:
            self.at = match.end()
        return match

    def _skip(self) -> None:
        self._take(_SPACE)

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]

    def _expect(self, char: str, message: str) -> None:
        if self._peek() != char:
            found = repr(self._peek()) if self._peek() else "the end"
            raise ExpressionError(self.at, f"{message}, not {found}")
        self.at += 1


def _join(left: Node, operator: str, right: Node, other: Node | None) -> Node:
    """A tighter operator takes the right operand of the one before it."""
    tightness = _CHOICE if operator == "?" else _LOOSENESS[operator]
    if isinstance(left, Binary) and tightness > _LOOSENESS[left.operator]:
        return Binary(left.operator, left.left, _make(left.right, operator, right, other))
    return _make(left, operator, right, other)


def _join_usual(left: Node, operator: str, right: Node, other: Node | None) -> Node:
    """A tighter operator takes the nearest operand, however many looser ones stand before it."""
    if isinstance(left, Choice):
        return Choice(left.condition, left.then, _join_usual(left.other, operator, right, other))
    tightness = _LOOSENESS.get(operator, 0)
    if isinstance(left, Binary) and tightness > _LOOSENESS[left.operator]:
        return Binary(left.operator, left.left, _join_usual(left.right, operator, right, other))
    return _make(left, operator, right, other)


def _make(left: Node, operator: str, right: Node, other: Node | None) -> Node:
    return Binary(operator, left, right) if other is None else Choice(left, right, other)


def evaluate(node: Node, variable: Callable[[str], float | None]) -> float:
    """What an expression comes to; nan where it failed.

    Args:
        node: the tree that `parse` gave.
        variable: the value of a name without its $; None where nobody knows it.
    """
    value = _value(node, variable)
    return value if math.isfinite(value) else math.nan


def _value(node: Node, variable: Callable[[str], float | None]) -> float:
    match node:
        case Number(value):
            return value
        case Variable(name):
            known = variable(name)
            return math.nan if known is None else known
        case Parentheses(inside):
            return _value(inside, variable)
        case Choice(condition, then, other):
            return _value(then if _true(_value(condition, variable)) else other, variable)
        case Unary(operator, operand):
            return _unary(operator, _value(operand, variable))
        case Binary("&&", left, right):
            return float(_true(_value(left, variable)) and _true(_value(right, variable)))
        case Binary("||", left, right):
            return float(_true(_value(left, variable)) or _true(_value(right, variable)))
        case Binary(operator, left, right):
            return _BINARY[operator](_value(left, variable), _value(right, variable))


def _true(value: float) -> bool:
    return value != 0 and not math.isnan(value)


def _unary(operator: str, value: float) -> float:
    if operator == "!":
        return float(not _true(value))
    if operator == "+":
        return value
    if math.isinf(value):
        return math.inf
    return -value if operator == "-" else abs(value)


def _equal(left: float, right: float) -> bool:
    if math.isfinite(left) and math.isfinite(right):
        return abs(left - right) <= _EPSILON
    return (math.isnan(left) and math.isnan(right)) or (math.isinf(left) and math.isinf(right))


def _arithmetic(work: Callable[[float, float], float]) -> Callable[[float, float], float]:
    def apply(left: float, right: float) -> float:
        if math.isnan(left) or math.isnan(right):
            return math.nan
        if math.isinf(left) or math.isinf(right):
            return math.inf
        return work(left, right)

    return apply


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    return math.copysign(math.inf, left) if left else math.nan


_BINARY: dict[str, Callable[[float, float], float]] = {
    ">=": lambda left, right: float(left >= right),
    "<=": lambda left, right: float(left <= right),
    "<": lambda left, right: float(left < right),
    ">": lambda left, right: float(left > right),
    "==": lambda left, right: float(_equal(left, right)),
    "!=": lambda left, right: float(not _equal(left, right)),
    "+": _arithmetic(lambda left, right: left + right),
    "-": _arithmetic(lambda left, right: left - right),
    "*": _arithmetic(lambda left, right: left * right),
    "/": _arithmetic(_divide),
}


def describe(node: Node) -> str:
    """The tree with every grouping shown, as Netdata's API writes it (`calc_parsed`)."""
    match node:
        case Number(value):
            return str(value) if not math.isfinite(value) else f"{value:.7f}".rstrip("0").rstrip(".")
        case Variable(name):
            return f"${{{name}}}"
        case Parentheses(inside):
            return describe(inside)
        case Unary("abs", operand):
            return f"abs({describe(operand)})"
        case Unary(operator, operand):
            return operator + describe(operand)
        case Binary(operator, left, right):
            return f"({describe(left)} {operator} {describe(right)})"
        case Choice(condition, then, other):
            return f"({describe(condition)} ? {describe(then)} : {describe(other)})"


def variables(node: Node) -> frozenset[str]:
    """The names that an expression asks for."""
    match node:
        case Number():
            return frozenset()
        case Variable(name):
            return frozenset({name})
        case Parentheses(inside):
            return variables(inside)
        case Unary(_, operand):
            return variables(operand)
        case Binary(_, left, right):
            return variables(left) | variables(right)
        case Choice(condition, then, other):
            return variables(condition) | variables(then) | variables(other)


def limit(node: Node) -> Node | None:
    """What an expression holds `$this` against: the other side of that comparison; else of the last comparison."""
    match node:
        case Binary(operator, left, right) if _LOOSENESS[operator] == 3:
            inner = limit(left) or limit(right)
            return right if inner is None or _names_this(left) else inner
        case Binary(_, left, right):
            found = [(each, inner) for each in (left, right) if (inner := limit(each)) is not None]
            this = [each for each in found if "this" in variables(each[0])]
            return (this or found)[-1][1] if found else None
        case Parentheses(inside) | Unary(_, inside):
            return limit(inside)
    return None


def _names_this(node: Node) -> bool:
    return isinstance(node, Variable) and node.name == "this"
