"""connect(2) with AF_UNSPEC on an open connection. tcp_disconnect()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "disconnect"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if facts.trigger is not None or facts.released:
        return None
    # a socket of the kernel's own has no file: with SO_LINGER 0 a close looks the same (linger-zero)
    if facts.kernel_socket and facts.linger_zero:
        return None
    if facts.reason == "TCP_DISCONNECT_WITH_DATA":
        return certain(NAME, FAMILY, reason(facts), "disconnected by {closer} with data still to send", *before(facts))
    # tcp_disconnect() sets CLOSE before it sends; the descriptor stays open, unlike with close(2)
    if facts.reason != "TCP_STATE" or facts.state != "CLOSE" or not facts.in_closer or not facts.has_file:
        return None
    how = "the kernel disconnected a socket of its own" if facts.kernel_socket else _CALLED
    return certain(NAME, FAMILY, reason(facts), how, *before(facts))


_CALLED = "the socket is still open: {closer} called connect(AF_UNSPEC)"
