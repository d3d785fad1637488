"""A SYN came for a port on which nobody listens. RFC 9293 section 3.10.7.1; tcp_v4_rcv(), label no_tcp_socket."""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.model import Cause, Facts

NAME = "closed-port"
FAMILY = "closed-port"


def explain(facts: Facts) -> Cause | None:
    if facts.direction == "sent" and facts.reason == "NO_SOCKET" and facts.trigger == "S":
        return certain(NAME, FAMILY, reason(facts), "a SYN for port {port}: nobody listened on it at that address")
    if facts.direction == "received" and facts.state == "SYN_SENT":
        # an acceptable reset in SYN-SENT acknowledges our SYN; a firewall's looks the same
        return likely(
            NAME,
            FAMILY,
            "{owner}'s SYN to {remote}:{port} was answered with a reset",
            candidates=(NAME, "firewall-reject", "not-from-stack"),
            missing="the same reset seen at its sender: a stack and a firewall refuse alike",
        )
    return None
