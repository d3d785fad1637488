"""What of a rule can never come about here, or means something else elsewhere, though every line of it can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whyreset.alerts.charts import CHARTS, HOST_VARIABLES, LONGEST_LOOK, ChartKind, kind_of
from whyreset.alerts.evaluate import OWN_VARIABLES
from whyreset.alerts.expression import describe, parse, variables
from whyreset.alerts.lookup import chosen
from whyreset.alerts.rule import Rule
from whyreset.alerts.space import too_far
from whyreset.alerts.status import CONSTANTS


def doubts(rule: Rule, rules: Iterable[Rule], host: str) -> Iterator[str]:
    """A sentence for each thing that its author should know.

    Args:
        rule: what was read.
        rules: all rules that it will stand among.
        host: the name of this host.
    """
    kind = kind_of(rule.on)
    if not rule.for_host(host):
        yield f"never evaluated: it is not for this host, {host}"
    if kind is None:
        yield f"never evaluated: there is no chart {rule.on} here"
        return
    if rule.lookup:
        if too_far(rule):
            yield f"never evaluated: it looks further back than {LONGEST_LOOK} s"
        names = [(each.id, each.name) for each in kind.dimensions]
        if not chosen(rule.lookup, names):
            known = ", ".join(dict.fromkeys(name for pair in names for name in pair))
            yield f"never has a value: none of {', '.join(rule.lookup.dimensions)} is in {rule.on}, there are {known}"
    for key, expression in (("calc", rule.calc), ("warn", rule.warn), ("crit", rule.crit)):
        if expression and (usual := describe(parse(expression.text, usual=True))) != str(expression):
            yield f"newer Netdata reads {key} as {usual}: parentheses make it clear"
    unknown = sorted(_names(rule) - _known(rule, kind, tuple(rules)))
    if unknown:
        yield f"nobody knows {', '.join(f'${each}' for each in unknown)}: its value is nan"


def _names(rule: Rule) -> set[str]:
    expressions = (each for each in (rule.calc, rule.warn, rule.crit) if each is not None)
    return {name for each in expressions for name in variables(each.node)}


def _known(rule: Rule, kind: ChartKind, rules: tuple[Rule, ...]) -> set[str]:
    found = {*OWN_VARIABLES, *CONSTANTS, *HOST_VARIABLES}
    if not rule.lookup:
        found -= {"after", "before"}
    for each in CHARTS:
        here = {name for dimension in each.dimensions for name in (dimension.id, dimension.name)}
        here |= {other.name for other in rules if kind_of(other.on) is each}
        if each.family == kind.family:
            found |= here
        found |= {f"{chart}.{name}" for chart in each.names for name in here}
    return found
