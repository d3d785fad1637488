"""The cause cannot be told from what was seen. Says what would have to be seen."""

from __future__ import annotations

from whyreset.model import Cause, Facts

NAME = "unknown"
FAMILY = "unknown"

_PEER = ("unread-data", "linger-zero", "not-accepted", "half-open", "firewall-reject", "forged")


def explain(facts: Facts) -> Cause:
    if facts.direction == "received":
        return Cause(
            name=NAME,
            family=FAMILY,
            certainty="unknown",
            candidates=_PEER,
            evidence=("{remote} reset {owner}'s connection",),
            missing="the same reset seen at its sender: whyreset there, or the packets",
        )
    said = f"kernel reason {facts.reason}" if facts.reason else "the kernel gave no reason"
    return Cause(name=NAME, family=FAMILY, certainty="unknown", evidence=(said,), missing=_missing(facts))


def _missing(facts: Facts) -> str:
    if facts.crowded and not facts.reason:
        return "too many kinds of resets at once to keep details"
    if facts.reason in ("", "NOT_SPECIFIED"):
        return "the kernel's own reason (Linux 6.12 and newer give it): several fit what was seen"
    return "a rule for this case: please report it"
