"""A bare ACK or the like without any connection: a probe or backscatter; alone it cannot be told which."""

from __future__ import annotations

from whyreset.causes.base import has_no_connection, likely, reason
from whyreset.model import Cause, Facts

NAME = "stray-segment"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
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
