"""Closed with SO_LINGER and timeout 0: on purpose. socket(7); __tcp_close(), tcp_disconnect().

Where data lay unread as well the kernel speaks of that; on purpose wins.
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, closing, reason
from whyreset.model import Cause, Facts

NAME = "linger-zero"
FAMILY = "abort"

#: tcp_disconnect() gives the second in LAST-ACK and CLOSING with data still to send.
_REASONS = ("TCP_STATE", "TCP_DISCONNECT_WITH_DATA")


def explain(facts: Facts) -> Cause | None:
    if not facts.linger_zero or facts.trigger is not None:
        return None
    if facts.reason == "TCP_ABORT_ON_CLOSE":
        return certain(
            NAME, FAMILY, reason(facts), "SO_LINGER 0 was set", "{unread} bytes unread", *closing(facts), *before(facts)
        )
    # connect(AF_UNSPEC) on a socket with SO_LINGER 0 gives the same reason, but its file lives on
    if facts.reason in _REASONS and facts.state == "CLOSE" and facts.in_closer and facts.released:
        return certain(NAME, FAMILY, reason(facts), "SO_LINGER 0 was set", *closing(facts), *before(facts))
    return None
