"""An orphan in FIN-WAIT-2 was given up.

tcp(7) TCP_LINGER2; __tcp_close(), tcp_rcv_state_process(), tcp_keepalive_timer().
"""

from __future__ import annotations

from whyreset.causes.base import certain, gave_up_on_ack, is_orphan_timer, likely, reason
from whyreset.causes.packets import answers_ack, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "linger2-expired"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason == "TCP_ABORT_ON_LINGER" or gave_up_on_ack(facts):
        return certain(
            NAME, FAMILY, reason(facts), "TCP_LINGER2 was negative: {owner} does not wait for the peer's FIN"
        )
    if is_orphan_timer(facts):
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            "the peer did not close its side in the time that TCP_LINGER2 or tcp_fin_timeout leaves it",
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    """The ACK of a FIN that is answered with a reset: nobody waits for the other side's FIN."""
    if not answers_ack(traits) or trigger(traits) != "A" or traits.trigger_payload or traits.trigger_again:
        return None
    if traits.sender_fin != "acknowledged" or traits.receiver_fin or traits.sender_resets != "none":
        return None
    return likely(
        NAME,
        FAMILY,
        "{receiver} acknowledged {sender}'s FIN, and {sender} answered that with a reset",
        candidates=(NAME, "half-open"),
        missing="whether the host that closed still knew the connection then",
    )
