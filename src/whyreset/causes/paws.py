"""A segment whose timestamp is too old. RFC 7323 section 5; tcp_validate_incoming()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, reason
from whyreset.model import Cause, Facts

NAME = "paws"
FAMILY = "protocol"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_RFC7323_PAWS":
        return None
    return certain(NAME, FAMILY, reason(facts), "the segment's timestamp is older than one seen before", *before(facts))
