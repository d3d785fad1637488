"""A bare ACK or the like without any connection: a probe or backscatter; alone it cannot be told which."""

from __future__ import annotations

from whyreset.causes.base import has_no_connection, likely, reason
from whyreset.causes.packets import answers_ack, between_ends, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "stray-segment"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or "A" not in trigger or "S" in trigger or facts.ended:
        return None
    if facts.trigger_options or facts.trigger_payload:
        return None
    kind = "a FIN with ACK" if "F" in trigger else "an ACK"
    return likely(
        NAME,
        FAMILY,
        reason(facts),
        f"{kind} without TCP options for a connection that this host does not know; scanners and floods send such",
        "stacks do where no timestamps were agreed on",
        missing="whether the sender ever had a connection here; how many ports and hosts it tries",
    )


def from_packets(traits: Traits) -> Cause | None:
    flags = trigger(traits)
    if not answers_ack(traits) or "S" in flags or traits.handshake != "none" or between_ends(traits):
        return None
    if traits.trigger_options or traits.trigger_payload or traits.state_lost or traits.receiver_sent_data:
        return None
    kind = "a FIN with ACK" if "F" in flags else "an ACK"
    return likely(
        NAME,
        FAMILY,
        f"{{receiver}} sent {kind} without TCP options for a connection of which nothing else was seen",
        "scanners and floods send such; stacks do where no timestamps were agreed on",
        candidates=(NAME, "half-open", "late-duplicate", "bad-handshake-ack", "firewall-reject"),
        missing="what came before the capture; how many ports and hosts the sender tries",
    )
