"""A SYN-ACK for a SYN that this host's stack never sent.

Backscatter of a spoofed flood, or a raw-socket scanner here.
"""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.model import Cause, Facts

NAME = "unsolicited-syn-ack"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger or ""
    if not has_no_connection(facts) or not {"S", "A"} <= set(trigger) or "F" in trigger or facts.ended == "abandoned":
        return None
    if facts.ended and facts.active_open and facts.segment == "old":
        # its number is of the remembered connection: a SYN-ACK that is sent again, since our ACK of it was lost
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            remembered(facts),
            "a SYN-ACK whose number is not beyond that connection",
            candidates=("half-open", "late-duplicate", NAME),
            missing="whether it answers that connection's SYN",
        )
    return certain(
        NAME, FAMILY, reason(facts), "a SYN-ACK from {remote} for a connection that this host's stack did not open"
    )
