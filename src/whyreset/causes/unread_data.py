"""Closed while received data lay unread. RFC 2525 section 2.17; __tcp_close()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, closing, is_fast_close, reason
from whyreset.model import Cause, Facts

NAME = "unread-data"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if facts.reason != "TCP_ABORT_ON_CLOSE" or facts.linger_zero or is_fast_close(facts):
        return None
    # __tcp_close() took copied_seq into account only from about 6.18 on
    unread = "{unread} bytes unread" if facts.unread else "no byte was unread: older kernels count what was read, too"
    return certain(NAME, FAMILY, reason(facts), unread, *closing(facts), *before(facts))
