"""An acknowledgement too old for a connection that is being opened. RFC 5961 section 5; tcp_ack()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "old-ack"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if facts.reason not in (
        "TCP_OLD_ACK",
        "TCP_TOO_OLD_ACK",
    ):
        return None
    return certain(
        NAME, FAMILY, reason(facts), "{remote} acknowledged what had been acknowledged before", *before(facts)
    )
