"""The peer sent data after the application here had closed. RFC 9293 section 3.10.7.4; tcp_rcv_state_process().

A connection in FIN-WAIT-2 that nobody holds any more is soon kept as a TIME-WAIT mini socket; that answers alike.
"""

from __future__ import annotations

from whyreset.causes.base import certain, gave_up_on_ack, likely, reason
from whyreset.causes.packets import answers_data_after_close, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "data-after-close"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason == "TCP_ABORT_ON_DATA" and facts.trigger_payload and not gave_up_on_ack(facts):
        done = "closed" if facts.orphaned else "shut down both directions (shutdown(2))"
        return certain(NAME, FAMILY, reason(facts), f"{{side}} had {done}; then {{length}} more came from {{remote}}")
    if facts.reason == "TCP_TIMEWAIT_SOCKET" and facts.substate == "FIN_WAIT2" and facts.trigger_payload:
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            "{side} had closed {ended} before; then {length} more came from {remote}",
        )
    # in LAST-ACK the FIN is outstanding too: that data was sent cannot be seen
    if facts.direction == "received" and facts.state == "CLOSE_WAIT" and facts.data_unacked:
        return likely(
            NAME,
            FAMILY,
            "{remote} had closed its side, then {side} sent more",
            missing="the same reset seen at its sender",
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    if not answers_data_after_close(traits):
        return None
    return likely(
        NAME,
        FAMILY,
        "{sender} had closed its side; then {length} more came from {receiver}, and it answered with a reset",
        candidates=(NAME, "half-open"),
        missing="whether the host that closed still knew the connection then",
    )
