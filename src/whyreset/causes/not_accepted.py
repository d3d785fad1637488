"""The listener was closed while connections waited in its accept queue. inet_csk_listen_stop()."""

from __future__ import annotations

from whyreset.causes.base import certain, reason
from whyreset.model import Cause, Facts

NAME = "not-accepted"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    # inet_child_forget(): the child was never given a file, and its lock is not held as a user's
    if (
        facts.reason != "TCP_STATE"
        or facts.trigger is not None
        or facts.state != "CLOSE"
        or facts.in_closer
        or facts.has_file
    ):
        return None
    if facts.state_before == "SYN_RECV":
        # inet_csk_reqsk_queue_add(): any task may be current when a handshake completes
        how = "the listener was closed while the handshake was completing"
    else:
        how = "{closer} was exiting ({exit})" if facts.exiting else "{closer} closed the listener"
    return certain(NAME, FAMILY, reason(facts), "no process had accepted the connection", how)
