"""The kernel refused an embryonic connection: another SYN in the handshake, or no connection could be made.

tcp_check_req(), label embryonic_reset.
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely, reason
from whyreset.causes.packets import answers_other, seen, trigger
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "invalid-syn"
FAMILY = "listen-queue"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason != "INVALID_SYN":
        return None
    if "S" in (facts.trigger or ""):
        return certain(NAME, FAMILY, reason(facts), "{remote} sent another SYN inside a handshake that it had begun")
    # the queue may have been full when it was asked, microseconds before the reset was sent
    return likely(
        FAMILY,
        FAMILY,
        reason(facts),
        "the handshake was complete, but no connection could be made of it",
        candidates=("accept-queue-full", NAME),
        missing="whether the accept queue was full at that moment: counter ListenOverflows moves if it was",
    )


def from_packets(traits: Traits) -> Cause | None:
    if not answers_other(traits) or trigger(traits) != "S" or traits.opener != "receiver":
        return None
    if traits.handshake != "syn-ack":
        return None
    return likely(
        NAME,
        FAMILY,
        "{receiver} sent another SYN inside a handshake that it had begun with {port} of {sender}",
        candidates=(NAME, "closed-port"),
        missing="whether the listener was closed meanwhile",
    )
