"""A segment for a connection in TIME-WAIT (or FIN-WAIT-2 kept as one) was answered with a reset.

tcp_timewait_state_process().
"""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "time-wait-segment"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_TIMEWAIT_SOCKET":
        return None
    what = "a new SYN" if "S" in (facts.trigger or "") else "a segment"
    return certain(
        NAME, FAMILY, reason(facts), what + " for the four-tuple of a connection that {owner} closed {ended} before"
    )
