"""A firewall's rule answered with a reset: nf_send_reset(), nf_send_reset6(). The TCP stack knows nothing of it."""

from __future__ import annotations

from whyreset.causes.base import certain
from whyreset.model import Cause, Facts

NAME = "firewall-reject"
FAMILY = "closed-port"


def explain(facts: Facts) -> Cause | None:
    if facts.direction != "sent" or not facts.past_stack or facts.reject != "moved":
        return None
    return certain(
        NAME,
        FAMILY,
        "on the wire from {local}, port {port}, but the TCP stack neither traced nor counted it",
        "the counter of a reject rule that fits it moved: {rules}",
    )
