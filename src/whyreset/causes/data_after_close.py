"""The peer sent data after the application here had closed. RFC 9293 section 3.10.7.4; tcp_rcv_state_process().

A connection in FIN-WAIT-2 that nobody holds any more is soon kept as a TIME-WAIT mini socket; that answers alike.
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.model import Cause, Facts

NAME = "data-after-close"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if facts.reason == "TCP_ABORT_ON_DATA" and facts.trigger_payload and not facts.linger2_negative:
        return certain(NAME, FAMILY, reason(facts), "{owner} had closed; then {length} more bytes came from {remote}")
    if facts.reason == "TCP_TIMEWAIT_SOCKET" and facts.substate == "FIN_WAIT2" and facts.trigger_payload:
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            "{owner} had closed {ended} before; then {length} more bytes came from {remote}",
        )
    if facts.direction == "received" and facts.state in ("CLOSE_WAIT", "LAST_ACK") and facts.data_unacked:
        return likely(
            NAME,
            FAMILY,
            "{remote} had closed its side, then {owner} sent more",
            missing="the same reset seen at its sender",
        )
    return None
