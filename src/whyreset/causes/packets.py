"""What the cause modules share where packets alone tell: the forms that a reset can have on the wire.

RFC 9293 section 3.5.2 gives an answer its form: to a segment with ACK, a reset without ACK whose sequence number is the
segment's acknowledgement; to one without, sequence number 0 and an ACK of the segment. A reset that an application
causes has an ACK and the next number that its sender would use (tcp_send_active_reset(); other stacks alike).

Words in braces are filled from the reset that is shown, in `evidence` only: those of SEEN_WORDS.
"""

from __future__ import annotations

from whyreset.model import Facts
from whyreset.observation import Traits

#: What evidence may ask for in braces. `sender` and `receiver` of the reset are addresses, `port` is the service's
#: («port 80», «many ports»), `length` the trigger's payload («5 bytes»), `delay` the time since the trigger, `idle` the
#: silence before the reset, `outstanding` what the sender had in flight and `unacked` what the receiver had (alike),
#: `probes` unanswered keepalive probes, `ttl` and `ttls` the reset's hop limit and the sender's own, `next` the time to
#: the next reset, `mptcp` the meaning of Multipath TCP's reason code.
SEEN_WORDS = frozenset(
    {
        *("sender", "receiver", "port", "length", "delay", "idle", "outstanding", "unacked", "probes", "ttl", "ttls"),
        *("next", "mptcp"),
    }
)

#: What the same packets may also mean, where neither end sent them.
NOT_ITS_OWN = ("firewall-reject", "forged")


def seen(facts: Facts) -> Traits | None:
    """What packets tell, where they alone tell; what Multipath TCP says in the reset itself is `mptcp`'s alone."""
    traits = facts.traits
    return traits if traits is not None and not facts.reason and traits.mptcp in ("", "other") else None


def trigger(traits: Traits) -> str:
    """The trigger's flags without those of congestion notification (a SYN may have both, RFC 3168); "" for none."""
    return (traits.trigger or "").replace("E", "").replace("C", "")


def answers_ack(traits: Traits) -> bool:
    """It has the form of the answer to its trigger, a segment with ACK, and came soon enough after it."""
    return (
        "A" in trigger(traits)
        and "A" not in traits.flags
        and traits.trigger_fits == "seq"
        and traits.delay in ("prompt", "too-early", "unknown")
    )


def answers_other(traits: Traits) -> bool:
    """It has the form of the answer to its trigger, a segment without ACK."""
    return (
        traits.trigger is not None
        and "A" not in traits.trigger
        and "A" in traits.flags
        and (traits.trigger_fits == "ack" or traits.seq == "zero")
    )


def answers_data_after_close(traits: Traits) -> bool:
    """The sender had closed its side, and data came then; some stacks put an ACK into the answer."""
    return (
        bool(traits.sender_fin)
        and traits.trigger_new_data
        and traits.sender_resets == "none"
        and (answers_ack(traits) or ("A" in traits.flags and traits.seq != "zero" and traits.delay == "prompt"))
    )


def of_its_own_accord(traits: Traits) -> bool:
    """It has the form of a reset that no segment provoked: an application's, or a timer's."""
    return (
        "A" in traits.flags
        and traits.seq != "zero"
        and not answers_other(traits)
        and not answers_data_after_close(traits)
    )


def nothing_but_resets(traits: Traits) -> bool:
    """No other segment of the connection was seen, of either side."""
    return traits.alone or (
        traits.handshake == "none"
        and traits.trigger is None
        and traits.delay == "unknown"
        and traits.seq in ("unknown", "zero")
        and not traits.sender_sent_data
    )


def between_ends(traits: Traits) -> bool:
    """The connection was open as far as packets tell, so that both ends knew of it."""
    return traits.handshake == "complete" or traits.sender_sent_data or bool(traits.sender_fin)


def crossed_syns(traits: Traits) -> bool:
    """The answer to an ACK by one who had sent both a SYN and a SYN-ACK: both ends opened at once."""
    return (
        answers_ack(traits)
        and trigger(traits) in ("A", "PA")
        and traits.opener == "sender"
        and traits.handshake == "syn-ack"
        and traits.seq != "exact"
    )


def closed_in_order(traits: Traits) -> bool:
    """Both sides had closed, and each had acknowledged that of the other."""
    return traits.sender_fin == "acknowledged" and traits.receiver_fin == "acknowledged"


def aborts(traits: Traits) -> tuple[str, ...]:
    """The ways to abort that these packets leave open, the commonest first."""
    causes = ["linger-zero"]
    if traits.receiver_sent_data:
        causes.insert(0, "unread-data")
    if traits.opener == "receiver" and not traits.sender_sent_data and not traits.sender_fin:
        causes.append("not-accepted")
    if traits.sender_keepalives:
        causes.insert(0, "keepalive-timeout")
    if traits.sender_fin == "acknowledged":
        causes.append("linger2-expired")
    causes += ["disconnect", "destroyed"]
    if traits.sender_sent_data or traits.sender_fin:  # what is closed with data still to send is an orphan
        causes += ["too-many-orphans", "out-of-memory"]
    return tuple(causes)


#: What the other side had to do with it: it decides the harm.
def harm(traits: Traits) -> tuple[str, ...]:
    """What the reset cost, in words."""
    if traits.handshake in ("syn", "syn-ack"):
        return ("the handshake was not complete",)
    if traits.receiver_fin and traits.sender_fin:
        return ("both sides had closed already",)
    if traits.receiver_fin:
        return ("{receiver} had closed its side already",)
    if traits.sender_fin:
        return ("{sender} had closed its side already",)
    lost = []
    if traits.sender_outstanding:
        lost.append("{outstanding} of {sender} not acknowledged")
    if traits.receiver_outstanding:
        lost.append("{unacked} of {receiver} not acknowledged")
    return tuple(lost) or ("the connection was open, nothing was on its way",)
