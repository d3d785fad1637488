"""An acknowledgement too old for a connection that is being opened. RFC 5961 section 5; tcp_ack().

In SYN-RECEIVED a full socket (simultaneous open, Fast Open) resets; in any other state it sends a challenge ACK.
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "old-ack"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if facts.reason not in ("TCP_OLD_ACK", "TCP_TOO_OLD_ACK"):
        return None
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "the number that {remote} acknowledges is older than all that {owner} has outstanding",
        *before(facts),
    )
