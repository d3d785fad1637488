"""The peer did not answer keepalive probes, or the user timeout passed.

RFC 1122 section 4.2.3.6; tcp_keepalive_timer().
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.causes.packets import aborts, of_its_own_accord, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "keepalive-timeout"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason != "TCP_KEEPALIVE_TIMEOUT":
        return None
    limit = "TCP_USER_TIMEOUT had passed" if facts.user_timeout else "their number reached TCP_KEEPCNT"
    return certain(
        NAME,
        FAMILY,
        reason(facts),
        "{remote} left keepalive probes unanswered",
        limit,
        "data last came or went {idle} before",
    )


def from_packets(traits: Traits) -> Cause | None:
    if not of_its_own_accord(traits) or not traits.sender_keepalives:
        return None
    return likely(
        NAME,
        FAMILY,
        "{receiver} left keepalive probes of {sender} unanswered, the last {probes}; then {sender} gave it up",
        candidates=aborts(traits),
        missing="whether the application gave up by itself at that moment",
    )
