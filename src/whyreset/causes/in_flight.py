"""The answer to a segment that was in flight when the same connection was reset. It belongs to that reset."""

from __future__ import annotations

from whyreset.causes.base import certain, goes_on_after_reset, has_no_connection, likely, reason, remembered
from whyreset.model import Cause, Facts

NAME = "in-flight"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or "A" not in trigger or "S" in trigger or goes_on_after_reset(facts):
        return None
    if facts.ended not in ("reset-sent", "reset-received"):
        return None
    if facts.at_once:
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            remembered(facts),
            "it was on its way when that happened: no trouble of its own",
        )
    if facts.soon:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            remembered(facts),
            "so soon after that it was on its way still, or its sender busy",
            candidates=(NAME, "half-open"),
            missing="whether the reset before had reached the peer by then",
        )
    return None
