"""RFC 1337: an old duplicate made the peer's TIME-WAIT acknowledge, and this host, without state, reset it."""

from __future__ import annotations

from whyreset.causes.base import has_no_connection, likely, reason, remembered
from whyreset.causes.packets import answers_ack, closed_in_order, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "time-wait-assassination"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
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


def from_packets(traits: Traits) -> Cause | None:
    """Only an ACK that was there before is TIME-WAIT's: the first may as well have met a host without state."""
    if not answers_ack(traits) or trigger(traits) not in ("A", "PA") or not traits.trigger_again:
        return None
    if not closed_in_order(traits):
        return None
    return likely(
        NAME,
        FAMILY,
        "the connection had closed in order; {receiver} acknowledged its end once more, as TIME-WAIT does",
        "{sender}, which no longer knew it, answered with a reset",
        candidates=(NAME, "late-duplicate"),
        missing="what reached the side in TIME-WAIT to make it answer",
    )
