"""The cause cannot be told from what was seen. Says what would have to be seen."""

from __future__ import annotations

from whyreset.causes.packets import nothing_but_resets, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "unknown"
FAMILY = "unknown"

_PEER = ("unread-data", "linger-zero", "not-accepted", "half-open", "firewall-reject", "forged")


def explain(facts: Facts) -> Cause:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
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


def from_packets(traits: Traits) -> Cause:
    if nothing_but_resets(traits):
        what = "a reset without ACK on a connection of which nothing else was seen"
        missing = "the segments before it: a filter for resets alone throws them away"
    elif traits.state_lost:
        what = "an open connection was forgotten for want of room, and this reset may be its end"
        missing = "the connection's beginning"
    elif traits.delay == "late":
        what = "a reset {delay} after the last segment that it could answer"
        missing = "what happened at the host that sent it"
    else:
        what = "it fits no segment before it, and not what a host sends of its own accord"
        missing = "packets that the capture does not hold"
    return Cause(name=NAME, family=FAMILY, certainty="unknown", candidates=_OPEN, evidence=(what,), missing=missing)


_OPEN = ("half-open", "linger-zero", "unread-data", "data-after-close", "in-flight", "firewall-reject", "forged")
