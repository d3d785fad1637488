"""The kernel refused an embryonic connection for another reason than a full queue.

tcp_check_req(), label embryonic_reset.
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.model import Cause, Facts

NAME = "invalid-syn"
FAMILY = "listen-queue"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "INVALID_SYN":
        return None
    if "S" in (facts.trigger or ""):
        return certain(NAME, FAMILY, reason(facts), "{remote} sent another SYN inside a handshake that it had begun")
    return likely(
        NAME,
        FAMILY,
        reason(facts),
        "the handshake was complete, but no connection could be made of it",
        missing="why: the accept queue was not full when the reset was sent",
    )
