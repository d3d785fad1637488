"""The answer to a segment that was in flight when the same connection was reset. It belongs to that reset."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.causes.packets import answers_ack, between_ends, closed_in_order, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "in-flight"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or "A" not in trigger or "S" in trigger or facts.goes_on_after_reset:
        return None
    if facts.ended not in ("reset-sent", "reset-received"):
        return None
    if facts.at_once:
        return certain(
            NAME,
            FAMILY,
            reason(facts),
            remembered(facts),
            "it was on its way when that happened: no trouble of its own",
        )
    if facts.soon:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            remembered(facts),
            "so soon after that it was on its way still, or its sender busy",
            candidates=(NAME, "half-open"),
            missing="whether the reset before had reached the peer by then",
        )
    return None


def from_packets(traits: Traits) -> Cause | None:
    """What is sent again did not hear of the reset before it: that is half-open."""
    if traits.sender_resets == "none" or not answers_ack(traits) or "S" in trigger(traits):
        return None
    if closed_in_order(traits) or not (between_ends(traits) or traits.receiver_sent_data):
        return None
    if traits.idle != "none" or (traits.trigger_again and traits.trigger_payload):
        return None
    return likely(
        NAME,
        FAMILY,
        "{sender} had reset the connection; it answered what {receiver} had on its way meanwhile",
        candidates=(NAME, "half-open"),
        missing="whether the reset before had reached the other side by then",
    )
