"""Our SYN met the peer's TIME-WAIT of the same four-tuple; its ACK was reset, and the SYN is sent again. Harmless.

RFC 9293 section 3.10.7.3; tcp_rcv_synsent_state_process().
"""

from __future__ import annotations

from whyreset.causes.base import likely, reason
from whyreset.model import Cause, Facts

NAME = "time-wait-reuse"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    # TIME-WAIT answers with a bare ACK; what brings data or a FIN is not in TIME-WAIT (half-open)
    if facts.reason != "TCP_INVALID_ACK_SEQUENCE" or facts.state != "SYN_SENT":
        return None
    if facts.trigger != "A" or facts.trigger_payload:
        return None
    return likely(
        NAME,
        FAMILY,
        reason(facts),
        "{remote} still holds an earlier connection of the same ports",
        "{owner}'s SYN is sent again: harmless",
        candidates=(NAME, "half-open"),
        missing="the peer's state: one that is still open answers a SYN with the same ACK (RFC 5961 section 4)",
    )
