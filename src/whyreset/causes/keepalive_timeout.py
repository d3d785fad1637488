"""The peer did not answer keepalive probes, or the user timeout passed.

RFC 1122 section 4.2.3.6; tcp_keepalive_timer().
"""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "keepalive-timeout"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
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
