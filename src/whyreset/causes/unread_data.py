"""Closed while received data lay unread. RFC 2525 section 2.17; __tcp_close()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, closing, is_fast_close, likely, reason
from whyreset.causes.packets import aborts, harm, nothing_but_resets, of_its_own_accord, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "unread-data"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    if (traits := seen(facts)) is not None:
        return from_packets(traits)
    if facts.reason != "TCP_ABORT_ON_CLOSE" or facts.linger_zero or is_fast_close(facts):
        return None
    # __tcp_close() took copied_seq into account only from about 6.18 on
    unread = "{unread} unread" if facts.unread else "no byte was unread: older kernels count what was read, too"
    return certain(NAME, FAMILY, reason(facts), unread, *closing(facts), *before(facts))


def from_packets(traits: Traits) -> Cause | None:
    if not of_its_own_accord(traits) or traits.sender_keepalives:
        return None
    if nothing_but_resets(traits):
        return likely(
            FAMILY,
            FAMILY,
            "{sender} reset the connection of its own accord: a sequence number of its own, and an ACK",
            candidates=aborts(traits),
            missing="what came before: the capture holds nothing but resets of this connection",
        )
    if not traits.receiver_sent_data:
        return None
    what = "{sender} reset the connection of its own accord: its own next number, and an ACK"
    if traits.sender_window_zero:
        return likely(
            NAME,
            FAMILY,
            what,
            "its window was 0: data lay unread",
            *harm(traits),
            candidates=aborts(traits),
            missing="whether the application had set SO_LINGER 0, too",
        )
    if not traits.sender_sent_data:
        what += "; it had sent no data"
    return likely(
        FAMILY,
        FAMILY,
        what,
        *harm(traits),
        candidates=aborts(traits),
        missing="the application that sent it: packets do not show what it had read, nor why it gave up",
    )
