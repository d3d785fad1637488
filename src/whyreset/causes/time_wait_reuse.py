"""Our SYN met the peer's TIME-WAIT of the same four-tuple; its ACK was reset, and the SYN is sent again. Harmless.

RFC 9293 section 3.10.7.3; tcp_rcv_synsent_state_process().
"""

from __future__ import annotations

from whyreset.causes.base import likely, reason
from whyreset.causes.packets import answers_ack, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "time-wait-reuse"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
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


def from_packets(traits: Traits) -> Cause | None:
    if not answers_ack(traits) or trigger(traits) != "A" or traits.trigger_payload:
        return None
    if traits.opener != "sender" or traits.handshake != "syn" or traits.seq == "exact":
        return None
    what = "{receiver} answered a SYN of {sender} with a bare ACK of an earlier connection of the same ports"
    if traits.before == "orderly":
        return likely(
            FAMILY,
            FAMILY,
            what,
            "that connection had closed in order: {receiver} holds it in TIME-WAIT",
            candidates=(NAME, "time-wait-assassination"),
            missing="whether a stack sent the SYN, which then sends it again",
        )
    return likely(
        NAME,
        FAMILY,
        what,
        candidates=(NAME, "time-wait-assassination", "half-open"),
        missing="the other side's state: one that is still open answers a SYN with the same ACK (RFC 5961 section 4)",
    )
