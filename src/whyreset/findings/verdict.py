"""What some time's resets mean, in one sentence: the weightiest finding, its share, what else there is, what is left.

Rules. What hurts more goes first, then what explains more. A finding that is only suspected is never the first word
where another one is certain or likely and hurts as much. What no finding explains is said, with its causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from whyreset.findings.base import times
from whyreset.model import Share, Step, Verdict
from whyreset.words import percent

_SEVERITY = {"critical": 3, "warning": 2, "notice": 1, "harmless": 0}
_CONFIDENCE = {"certain": 2, "likely": 2, "suspected": 0}
#: Further findings, and causes of what is left, that the sentence names.
_FURTHER, _CAUSES = 2, 3


def verdict(
    shares: Iterable[Share],
    unexplained: Counter[str],
    steps: Mapping[str, tuple[Step, ...]],
    *,
    now_ns: int,
    since_ns: int,
) -> Verdict:
    """Puts them in order and into words.

    Args:
        shares: the findings.
        unexplained: causes of the resets that none explains.
        steps: what to do next, by the finding's id.
        now_ns: end of the time that it is of.
        since_ns: its beginning.
    """
    ordered = sorted(
        shares, key=lambda each: (-_SEVERITY[each.severity], -_CONFIDENCE[each.confidence], -each.count, each.id)
    )
    left = unexplained.total()
    resets = left + sum(each.count for each in ordered)
    causes = tuple(unexplained.most_common(8))
    return Verdict(
        time_ns=now_ns,
        since_ns=since_ns,
        resets=resets,
        shares=tuple(ordered),
        unexplained=left,
        causes=causes,
        sentence=_sentence(ordered, causes, left, resets),
        steps=steps.get(ordered[0].id, ()) if ordered else (),
    )


def _sentence(shares: list[Share], causes: tuple[tuple[str, int], ...], left: int, resets: int) -> str:
    parts = []
    for each in shares[: 1 + _FURTHER]:
        # a whole that is explained by nothing but this needs no figure
        part = f" ({percent(each.count, resets)} of {times(resets, 'reset')})" if each.count else ""
        parts.append(f"{each.sentence}{part}")
    if len(shares) > 1 + _FURTHER:
        parts.append(f"and {len(shares) - 1 - _FURTHER} more")
    if left:
        named = ", ".join(f"{name} {count:,}" for name, count in causes[:_CAUSES])
        more = f" and {len(causes) - _CAUSES} more" if len(causes) > _CAUSES else ""
        what = "explained by no finding" if shares else "and nothing that they mean together was found"
        parts.append(f"{times(left, 'reset')} {what}: {named}{more}")
    return "; ".join(parts) or "no resets"
