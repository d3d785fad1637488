"""A handshake segment with an unacceptable number.

RFC 9293 section 3.10.7.3; tcp_rcv_synsent_state_process(), cookie_v4_check().
"""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason
from whyreset.model import Cause, Facts

NAME = "bad-handshake-ack"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    trigger = facts.trigger or ""
    if facts.reason == "TCP_INVALID_ACK_SEQUENCE" and facts.state == "SYN_SENT" and "S" in trigger:
        return certain(NAME, FAMILY, reason(facts), "a SYN-ACK from {remote} that does not acknowledge {owner}'s SYN")
    if not has_no_connection(facts) or facts.state != "LISTEN" or facts.ended or "A" not in trigger:
        return None
    if "S" in trigger or "F" in trigger:
        return None
    if facts.cookies_recent and facts.trigger_payload:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "{owner} on port {port} has sent SYN cookies within two minutes, and this acknowledges none of them",
            "it brings data, as segments of an older connection do too",
            candidates=(NAME, "half-open"),
            missing="whether this remote had begun a handshake",
        )
    if facts.cookies_recent:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            "{owner} on port {port} has sent SYN cookies within two minutes, and this acknowledges none of them",
            missing="the handshake it claims to complete (counter SyncookiesFailed moves with each)",
        )
    if facts.embryos:
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "{owner} on port {port} holds half-open requests; the segment completes none of them",
            candidates=(NAME, "stray-segment", "half-open"),
            missing="whether this remote had begun a handshake",
        )
    return None
