"""A SYN-ACK for a SYN that this host's stack never sent.

Backscatter of a spoofed flood, or a raw-socket scanner here.
"""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, reason
from whyreset.model import Cause, Facts

NAME = "unsolicited-syn-ack"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger or ""
    if (
        not has_no_connection(facts)
        or "S" not in trigger
        or "A" not in trigger
        or "F" in trigger
        or facts.ended == "abandoned"
    ):
        return None
    return certain(
        NAME, FAMILY, reason(facts), "a SYN-ACK from {remote} for a connection that this host's stack did not open"
    )
