"""An orphan in FIN-WAIT-2 was given up.

tcp(7) TCP_LINGER2; __tcp_close(), tcp_rcv_state_process(), tcp_keepalive_timer().
"""

from __future__ import annotations

from whyreset.causes.base import certain, gave_up_on_ack, is_orphan_timer, reason
from whyreset.model import Cause, Facts

NAME = "linger2-expired"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
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
