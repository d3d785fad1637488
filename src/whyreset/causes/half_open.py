"""The peer goes on with a connection that this host no longer knows. RFC 9293 section 3.5.1."""

from __future__ import annotations

from whyreset.causes.base import certain, has_no_connection, likely, reason, remembered
from whyreset.model import Cause, Facts

NAME = "half-open"
FAMILY = "half-open"


def explain(facts: Facts) -> Cause | None:
    if facts.reason == "TCP_INVALID_ACK_SEQUENCE" and facts.state == "SYN_SENT":
        return _met_by_syn(facts)
    if not has_no_connection(facts) or not facts.trigger or "A" not in facts.trigger:
        return None
    if facts.ended in ("reset-sent", "reset-received", "half-closed", "silent") and "S" not in facts.trigger:
        return certain(NAME, FAMILY, reason(facts), remembered(facts), "the peer does not know that it is gone")
    if facts.ended == "abandoned":
        return certain(NAME, FAMILY, reason(facts), "an answer to {owner}'s own SYN, which it gave up {ended} before")
    if "S" in facts.trigger or "F" in facts.trigger:
        return None
    unknown = "the connection's end: it closed before watching began, or elsewhere"
    if facts.trigger_payload and facts.trigger_options:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            "{length} bytes of data for a connection that this host does not know",
            missing=unknown,
        )
    if facts.trigger_options and not facts.embryos and not facts.cookies_recent:
        # tools leave TCP options out; a stack that negotiated timestamps puts them into each segment
        return likely(
            FAMILY,
            FAMILY,
            reason(facts),
            "an acknowledgement with TCP options, as stacks send them, for a connection that this host does not know",
            candidates=(NAME, "late-duplicate", "stray-segment"),
            missing=unknown,
        )
    return None


def _met_by_syn(facts: Facts) -> Cause | None:
    """Our SYN goes to a peer that still uses the same ports: RFC 9293 figure 9, seen from the other side."""
    trigger = facts.trigger or ""
    if "S" in trigger or "A" not in trigger or (trigger == "A" and not facts.trigger_payload):
        return None
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        "{remote} goes on with an earlier connection of the same ports, while {owner} opens a new one",
        candidates=(NAME, "late-duplicate"),
        missing="how that connection ended here",
    )
