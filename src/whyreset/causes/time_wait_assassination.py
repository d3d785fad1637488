"""RFC 1337: an old duplicate made the peer's TIME-WAIT acknowledge, and this host, without state, reset it."""

from __future__ import annotations

from whyreset.causes.base import has_no_connection, likely, reason, remembered
from whyreset.model import Cause, Facts

NAME = "time-wait-assassination"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    # the side that closed last has no TIME-WAIT, so its peer has one; what it sends is the last ACK of all
    if not has_no_connection(facts) or facts.trigger not in ("A", "PA"):
        return None
    if facts.ended != "orderly" or facts.segment != "last-ack" or facts.state_before != "LAST_ACK":
        return None
    return likely(
        NAME,
        FAMILY,
        reason(facts),
        remembered(facts),
        "{remote} acknowledged its end once more, as TIME-WAIT does when an old segment or a new SYN reaches it",
        missing="what reached the peer to make it answer",
    )
