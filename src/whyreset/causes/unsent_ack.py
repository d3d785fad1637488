"""An acknowledgement of data that was never sent, on a connection that is being opened.

RFC 9293 section 3.10.7.4; tcp_ack().
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "unsent-ack"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_ACK_UNSENT_DATA":
        return None
    return certain(NAME, FAMILY, reason(facts), "{remote} acknowledged what {owner} had not sent", *before(facts))
