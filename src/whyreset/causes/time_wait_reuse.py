"""Our SYN met the peer's TIME-WAIT of the same four-tuple; its ACK was reset, and the SYN is sent again. Harmless."""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "time-wait-reuse"
FAMILY = "time-wait"


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger or ""
    if facts.reason != "TCP_INVALID_ACK_SEQUENCE" or facts.state != "SYN_SENT" or "A" not in trigger or "S" in trigger:
        return None
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "{remote} still holds an earlier connection of the same ports",
        "{owner}'s SYN is sent again: harmless",
    )
