"""An acknowledgement of data that was never sent, on a connection that is being opened.

RFC 9293 section 3.10.7.4; tcp_ack().
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, likely, reason
from whyreset.causes.packets import crossed_syns, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "unsent-ack"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason != "TCP_ACK_UNSENT_DATA":
        return None
    return certain(NAME, FAMILY, reason(facts), "{remote} acknowledged what {owner} had not sent", *before(facts))


def from_packets(traits: Traits) -> Cause | None:
    if not crossed_syns(traits) or traits.seq not in ("above", "far"):
        return None
    return likely(
        NAME,
        FAMILY,
        "both ends had sent a SYN, and the number that {receiver} acknowledges is beyond all that {sender} had sent",
        candidates=(NAME, "bad-handshake-ack"),
        missing="whether the host that reset it still waited for the handshake's end",
    )
