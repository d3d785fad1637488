"""The kernel refused an embryonic connection: another SYN in the handshake, or no connection could be made.

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
    # the queue may have been full when it was asked, microseconds before the reset was sent
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        "the handshake was complete, but no connection could be made of it",
        candidates=("accept-queue-full", NAME),
        missing="whether the accept queue was full at that moment: counter ListenOverflows moves if it was",
    )
