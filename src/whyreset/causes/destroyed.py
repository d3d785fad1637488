"""An administrator destroyed the socket: ss -K, SOCK_DESTROY. tcp_abort()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "destroyed"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    # tcp_abort() sends while the state still stands; everything else sets CLOSE first
    if facts.reason != "TCP_STATE" or facts.trigger is not None or not facts.in_closer or facts.state in ("", "CLOSE"):
        return None
    return certain(
        NAME, FAMILY, reason(facts), "{owner}'s socket was destroyed from outside by {closer}", *before(facts)
    )
