"""A reset that neither end sent: injected by a middlebox, a censor, a firewall or an attacker.

Weaver, Sommer, Paxson: Detecting Forged TCP Reset Packets, NDSS 2009; RFC 5961. Only packets tell it, never a kernel's
reason: what a kernel sent is no forgery. Missing one is better than a false alarm, so that what stacks do by chance
only adds to what they do not do.
"""

from __future__ import annotations

from whyreset.causes.base import certain, likely
from whyreset.causes.packets import answers_ack, answers_other, between_ends, seen
from whyreset.model import Cause, Facts
from whyreset.observation import Traits

NAME = "forged"
FAMILY = "injected"


def explain(facts: Facts) -> Cause | None:
    traits = seen(facts)
    # without anything of the sender there is nothing to compare with
    if traits is None or traits.alone:
        return None
    answer = answers_ack(traits) or answers_other(traits)
    impossible, strange, weak = _impossible(traits), _strange(traits, answer), _weak(traits, answer)
    signs = (*impossible, *strange, *weak)
    if impossible and (len(signs) > 1 or _goes_on_where_it_ended(traits, answer)):
        return certain(NAME, FAMILY, *signs)
    if not impossible and not strange:
        return None
    return likely(
        NAME,
        FAMILY,
        *signs,
        candidates=(NAME, "firewall-reject", "half-open"),
        missing="the same reset seen at the host that it names as its sender",
    )


def _goes_on_where_it_ended(traits: Traits, answer: bool) -> bool:
    """The sender's data goes on at the reset's own number, so that segments that changed their order do not explain it.

    A host that has sent a reset has deleted the connection (RFC 9293 section 3.10.7.4).
    """
    return traits.sender_went_on and traits.seq == "exact" and not answer


def _impossible(traits: Traits) -> list[str]:
    """What no compliant stack does."""
    signs = []
    if traits.sender_went_on:
        signs.append("{sender} went on with the connection after its reset, which a host that reset it cannot")
    if traits.next_reset == "ahead" and not traits.sender_fin:
        signs.append("another reset came {next} later, with a number beyond all that {sender} had sent")
    return signs


def _strange(traits: Traits, answer: bool) -> list[str]:
    """What a stack does in rare cases, or seems to where packets are missing."""
    signs = []
    # a scanner's own SYN has another TTL than what its kernel sends
    if traits.ttl == "different" and between_ends(traits):
        signs.append("it came with TTL {ttl}, {sender}'s own segments with {ttls}")
    if traits.seq == "far" and not answer:
        signs.append("its sequence number is far from all that {sender} ever sent")
    if traits.seq == "above" and not answer and traits.receiver_went_on:
        signs.append("its sequence number is not {sender}'s next, and {receiver} did not heed it (RFC 5961)")
    return signs


def _weak(traits: Traits, answer: bool) -> list[str]:
    """What stacks do now and then: a kernel resets sooner than any process answers, and may number that anew."""
    signs = []
    if traits.ip_id == "jumps":
        signs.append("its IP identification does not follow {sender}'s own")
    if traits.delay == "too-early" and answer:
        signs.append("it came {delay} after the segment that it answers, sooner than {sender} ever answered")
    return signs
