"""A SYN-ACK echoes a timestamp that this host did not send with its SYN.

RFC 7323 sections 3.2 and 5; tcp_rcv_synsent_state_process(). An old timestamp in any other state is answered with an
ACK, never with a reset.
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "paws"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_RFC7323_PAWS":
        return None
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "a SYN-ACK from {remote} echoes a timestamp that {owner}'s SYN did not bring",
        *before(facts),
    )
