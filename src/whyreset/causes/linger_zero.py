"""Closed with SO_LINGER and timeout 0: on purpose. socket(7); __tcp_close(), tcp_disconnect().

Where data lay unread as well the kernel speaks of that; on purpose wins.
"""

from __future__ import annotations

from whyreset.causes.base import before, certain, closing, is_fast_close, likely, reason
from whyreset.causes.packets import aborts, harm, nothing_but_resets, of_its_own_accord, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "linger-zero"
FAMILY = "abort"

#: tcp_disconnect() gives the second in LAST-ACK and CLOSING with data still to send.
_DISCONNECTED = ("TCP_STATE", "TCP_DISCONNECT_WITH_DATA")
_SET = "SO_LINGER 0 was set"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if not facts.linger_zero or facts.trigger is not None:
        return None
    if is_fast_close(facts):
        # the flag is the application's where Multipath TCP need not set it to be heard; else it is no evidence
        return _on_purpose(facts) if facts.state != "CLOSE" else None
    if facts.reason == "TCP_ABORT_ON_CLOSE":
        return _on_purpose(facts, *(["{unread} unread"] if facts.unread else []))
    if facts.reason not in _DISCONNECTED or facts.state != "CLOSE" or not facts.in_closer:
        return None
    if facts.kernel_socket:
        return likely(
            NAME,
            FAMILY,
            reason(facts),
            "a socket of the kernel's own, with SO_LINGER 0",
            *before(facts),
            candidates=(NAME, "disconnect", "mptcp"),
            missing="which part of the kernel gave it up: it has no file that tells closing from disconnecting",
        )
    # connect(AF_UNSPEC) on a socket with SO_LINGER 0 gives the same reason, but its file lives on
    return _on_purpose(facts) if facts.released else None


def _on_purpose(facts: Facts, *more: str) -> Cause:
    return certain(NAME, FAMILY, reason(facts), _SET, *more, *closing(facts), *before(facts))


def from_packets(traits: Traits) -> Cause | None:
    """Nothing was received that could lie unread, so that this leads what else it may be."""
    if (
        not of_its_own_accord(traits)
        or nothing_but_resets(traits)
        or traits.receiver_sent_data
        or traits.sender_keepalives
    ):
        return None
    return likely(
        FAMILY,
        FAMILY,
        "{sender} reset the connection of its own accord: its own next number, and an ACK",
        "it had received no data, so that none lay unread",
        *harm(traits),
        candidates=aborts(traits),
        missing="the application that sent it: packets do not show why it gave up",
    )
