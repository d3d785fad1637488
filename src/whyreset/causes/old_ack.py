"""An acknowledgement too old for a connection that is being opened. RFC 5961 section 5; tcp_ack().

In SYN-RECEIVED a full socket (simultaneous open, Fast Open) resets; in any other state it sends a challenge ACK.
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, likely, reason
from whyreset.causes.packets import crossed_syns, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "old-ack"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason not in ("TCP_OLD_ACK", "TCP_TOO_OLD_ACK"):
        return None
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "the number that {remote} acknowledges is older than all that {owner} has outstanding",
        *before(facts),
    )


def from_packets(traits: Traits) -> Cause | None:
    if not crossed_syns(traits) or traits.seq != "below":
        return None
    return likely(
        NAME,
        FAMILY,
        "both ends had sent a SYN, and the number that {receiver} acknowledges is too old for {sender}",
        candidates=(NAME, "bad-handshake-ack"),
        missing="whether the host that reset it still waited for the handshake's end",
    )
