"""A segment for a connection in TIME-WAIT (or FIN-WAIT-2 kept as one) was answered with a reset.

tcp_timewait_state_process().
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.causes.packets import answers_other, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "time-wait-segment"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason != "TCP_TIMEWAIT_SOCKET":
        return None
    what = "a new SYN" if "S" in (facts.trigger or "") else "a segment"
    return certain(
        NAME, FAMILY, reason(facts), what + " for the four-tuple of a connection that {side} closed {ended} before"
    )


def from_packets(traits: Traits) -> Cause | None:
    if (
        not answers_other(traits)
        or trigger(traits) != "S"
        or (traits.before, traits.handshake) != ("half-closed", "syn")
    ):
        return None
    return likely(
        NAME,
        FAMILY,
        "{receiver} sent a new SYN for the four-tuple of a connection that was closed by one side alone",
        candidates=(NAME, "closed-port", "firewall-reject"),
        missing="whether the host that closed still knew the connection then",
    )
