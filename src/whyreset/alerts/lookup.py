"""What a look-up makes of some seconds of a chart. Every method as Netdata 1.37.1 was seen to do it.

tests/alerts/recorded/lookups.json holds its answers; what looks odd below (the median of an even number of values, the
percentile that is a mean) is what it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from whyreset.alerts.patterns import accepts
from whyreset.alerts.rule import Lookup

#: The longest memory of an exponential average, in values (Netdata's «ses max window» and «des max window»).
_LONGEST_AVERAGE = 15


def window(lookup: Lookup, now: int) -> tuple[int, int]:
    """The first and the last second of a look-up made in this second; the value of a second is that of its end."""
    length = abs(lookup.after)
    last = now - 1 + lookup.before
    if "unaligned" not in lookup.options:
        # up, if it does not end now: the window may then reach beyond what there is
        last -= last % length if lookup.before == 0 else -(-last % length)
    return last - length + 1, last


def chosen(lookup: Lookup, names: Sequence[tuple[str, str]]) -> list[int]:
    """Which of a chart's dimensions, by id and name, a look-up takes."""
    return [
        index
        for index, (identifier, name) in enumerate(names)
        if not lookup.dimensions
        or ("match-names" not in lookup.options and accepts(lookup.dimensions, identifier))
        or ("match-ids" not in lookup.options and accepts(lookup.dimensions, name))
    ]


def apply(lookup: Lookup, names: Sequence[tuple[str, str]], rows: Sequence[Sequence[float]]) -> float:
    """A look-up's value; nan where there is none.

    Args:
        lookup: what is asked for.
        names: each dimension's id and name.
        rows: a window's seconds, each with a value for each dimension; nan where it was not collected.
    """
    indices = chosen(lookup, names)
    if not indices or not rows:
        return math.nan
    wanted = range(len(names)) if "percentage" in lookup.options else indices
    values = {index: _over_time(lookup, [row[index] for row in rows]) for index in wanted}
    found = [values[index] for index in indices if not math.isnan(values[index])]
    if not found:
        return math.nan
    if "percentage" in lookup.options:
        total = sum(abs(value) for value in values.values() if not math.isnan(value))
        found = [value * 100 / total if total else 0.0 for value in found]
    if "absolute" in lookup.options:
        found = [abs(value) for value in found]
    if "min2max" in lookup.options:
        return max(0.0, *found) - min(0.0, *found)
    return next((join(found) for name, join in _OVER_DIMENSIONS.items() if name in lookup.options), sum(found))


def _over_time(lookup: Lookup, column: list[float]) -> float:
    if "null2zero" in lookup.options:
        values = [0.0 if math.isnan(value) else value for value in column]
    else:
        values = [value for value in column if not math.isnan(value)]
    if not values:
        return math.nan
    value = _METHODS[lookup.method](values, lookup.percent)
    return value if math.isfinite(value) else math.nan


def _mean(values: list[float], _percent: float | None) -> float:
    return sum(values) / len(values)


def _incremental_sum(values: list[float], _percent: float | None) -> float:
    return values[-1] - values[0]


def _middle(ordered: list[float]) -> float:
    """The median as Netdata takes it: of an even number of values the two above the middle."""
    middle = len(ordered) // 2
    if len(ordered) == 2:
        return (ordered[0] + ordered[1]) / 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle] + ordered[middle + 1]) / 2


def _median(values: list[float], _percent: float | None) -> float:
    return _middle(sorted(values))


def _trimmed_median(values: list[float], percent: float | None) -> float:
    """Without what lies within so many percent of the range from its ends."""
    ordered = sorted(values)
    cut = (ordered[-1] - ordered[0]) * (5.0 if percent is None else percent) / 100
    return _middle([value for value in ordered if ordered[0] + cut <= value <= ordered[-1] - cut] or ordered[:1])


def _part(values: list[float], share: float, *, middle: bool) -> float:
    """The mean of a share of the values: of the lowest, or of those in the middle; a fraction of a value is blended."""
    ordered = sorted(values)
    count = len(ordered)
    if count == 1 or ordered[0] == ordered[-1]:
        return ordered[0]
    used = int(count * share) or 1
    fraction = (share - used / count) * count
    downwards = ordered[0] < 0 or ordered[-1] < 0
    if downwards:
        ordered.reverse()
    start = (count - used) // 2 if middle else 0
    end = start + used
    total, counted = sum(ordered[start:end]), used
    if fraction > 0 and end < count:
        total += ordered[end] * fraction + ordered[end - 1] * (1 - fraction)
        counted += 1
    return total / counted


def _trimmed_mean(values: list[float], percent: float | None) -> float:
    return _part(values, 1 - (5.0 if percent is None else percent) / 100 * 2, middle=True)


def _percentile(values: list[float], percent: float | None) -> float:
    return _part(values, (95.0 if percent is None else percent) / 100, middle=False)


def _stddev(values: list[float], _percent: float | None) -> float:
    """Of a sample. (The library's statistics would take longer to import than all rules take to read.)"""
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _cv(values: list[float], _percent: float | None) -> float:
    mean = math.fsum(values) / len(values)
    return 100 * _stddev(values, None) / abs(mean) if len(values) > 1 and mean else math.nan


def _ses(values: list[float], _percent: float | None) -> float:
    alpha = 2 / (min(len(values), _LONGEST_AVERAGE) + 1)
    level = values[0]
    for value in values:
        level = alpha * value + (1 - alpha) * level
    return level


def _des(values: list[float], _percent: float | None) -> float:
    alpha = 2 / (min(len(values), _LONGEST_AVERAGE) + 1)
    level = trend = values[0]
    for number, value in enumerate(values[1:]):
        if number == 0:
            level, trend = value, value - trend
        before = level
        level = alpha * value + (1 - alpha) * (level + trend)
        trend = alpha * (level - before) + (1 - alpha) * trend
    return level


def _countif(values: list[float], _percent: float | None) -> float:
    """Without a condition, which a rule cannot give, it is the percentage of zeros."""
    return 100 * values.count(0.0) / len(values)


_METHODS: dict[str, Callable[[list[float], float | None], float]] = {
    "average": _mean,
    "mean": _mean,
    "min": lambda values, _percent: min(values, key=abs),
    "max": lambda values, _percent: max(values, key=abs),
    "sum": lambda values, _percent: sum(values),
    "incremental_sum": _incremental_sum,
    "incremental-sum": _incremental_sum,
    "median": _median,
    "trimmed-median": _trimmed_median,
    "trimmed-mean": _trimmed_mean,
    "percentile": _percentile,
    "stddev": _stddev,
    "cv": _cv,
    "rsd": _cv,
    "ses": _ses,
    "ema": _ses,
    "ewma": _ses,
    "des": _des,
    "countif": _countif,
}

#: What newer files may ask for instead of the sum of all dimensions.
_OVER_DIMENSIONS: dict[str, Callable[[list[float]], float]] = {
    "average": lambda found: sum(found) / len(found),
    "min": min,
    "max": max,
}
