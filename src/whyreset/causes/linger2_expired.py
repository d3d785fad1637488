"""An orphan in FIN-WAIT-2 was given up.

tcp(7) TCP_LINGER2; __tcp_close(), tcp_rcv_state_process(), tcp_keepalive_timer().
"""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "linger2-expired"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if facts.reason == "TCP_ABORT_ON_LINGER" or (facts.reason == "TCP_ABORT_ON_DATA" and facts.linger2_negative):
        return certain(
            NAME, FAMILY, reason(facts), "TCP_LINGER2 was negative: {owner} does not wait for the peer's FIN"
        )
    # the keepalive timer of an orphan; a process would hold the lock
    if facts.reason == "TCP_STATE" and facts.state == "FIN_WAIT2" and not facts.in_closer:
        return certain(NAME, FAMILY, reason(facts), "the peer did not close its side in time (tcp_fin_timeout)")
    return None
