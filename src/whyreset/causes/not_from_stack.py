"""A reset left this host, and its TCP stack neither traced nor counted it (OutRsts): something else made it."""

from __future__ import annotations

from whyreset.causes.base import certain
from whyreset.model import Cause, Facts

NAME = "not-from-stack"
FAMILY = "closed-port"


def explain(facts: Facts) -> Cause | None:
    if facts.direction != "sent" or not facts.past_stack or facts.reject == "moved":
        return None
    evidence = ["on the wire from {local}, port {port}, but the TCP stack neither traced nor counted it"]
    if facts.reject == "uncounted":
        evidence.append("a reject rule fits it, but no counter tells whether it was the one: {rules}")
    elif facts.reject == "unread":
        evidence.append("whether a reject rule fits it is not known: {rules}")
    else:
        evidence.append("no reject rule that fits it has counted anything")
    evidence.append("raw and packet sockets there now: {sockets}")
    return certain(NAME, FAMILY, *evidence)
