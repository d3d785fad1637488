"""connect(2) with AF_UNSPEC on an open connection. tcp_disconnect()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "disconnect"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if facts.trigger is not None:
        return None
    # close(2) with SO_LINGER 0 gives the same reason, but its file is gone (linger-zero)
    if facts.reason == "TCP_DISCONNECT_WITH_DATA" and not facts.released:
        return certain(NAME, FAMILY, reason(facts), "disconnected by {closer} with data still to send", *before(facts))
    # tcp_disconnect() sets CLOSE before it sends; the descriptor stays open, unlike with close(2)
    if (
        facts.reason == "TCP_STATE"
        and facts.state == "CLOSE"
        and facts.in_closer
        and facts.has_file
        and not facts.released
    ):
        return certain(
            NAME, FAMILY, reason(facts), "the socket is still open: {closer} called connect(AF_UNSPEC)", *before(facts)
        )
    return None
