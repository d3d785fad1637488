"""Why a reset was sent: one module and one page for each cause, in the order in which they are asked.

Each module's `explain` returns None for «not mine». They are pure: facts in, cause out.
"""

from __future__ import annotations

from types import ModuleType

from whyreset.causes import (
    accept_queue_full,
    bad_handshake_ack,
    closed_port,
    data_after_close,
    destroyed,
    disconnect,
    firewall_reject,
    forged,
    half_open,
    in_flight,
    invalid_syn,
    keepalive_timeout,
    late_duplicate,
    linger2_expired,
    linger_zero,
    mptcp,
    not_accepted,
    not_from_stack,
    old_ack,
    older,
    out_of_memory,
    paws,
    scan_probe,
    stray_segment,
    time_wait_assassination,
    time_wait_reuse,
    time_wait_segment,
    too_many_orphans,
    unknown,
    unread_data,
    unsent_ack,
    unsolicited_syn_ack,
)
from whyreset.model import Cause, Facts

#: The order matters where a later cause takes what an earlier one leaves.
CAUSES: tuple[ModuleType, ...] = (
    firewall_reject,
    not_from_stack,
    forged,
    closed_port,
    scan_probe,
    linger_zero,
    unread_data,
    disconnect,
    destroyed,
    not_accepted,
    linger2_expired,
    data_after_close,
    keepalive_timeout,
    too_many_orphans,
    out_of_memory,
    accept_queue_full,
    invalid_syn,
    time_wait_reuse,
    time_wait_segment,
    in_flight,
    time_wait_assassination,
    late_duplicate,
    unsolicited_syn_ack,
    bad_handshake_ack,
    half_open,
    stray_segment,
    paws,
    old_ack,
    unsent_ack,
    mptcp,
    unknown,
)


def explain(facts: Facts) -> Cause:
    """The cause of resets with these facts; «unknown» is an answer.

    A reset received from this same host is explained by what was seen when it was sent.
    """
    if facts.direction == "received" and facts.twin_cause is not None:
        twin = facts.twin_cause
        return Cause(
            name=twin.name,
            family=twin.family,
            certainty=twin.certainty,
            candidates=twin.candidates,
            evidence=("seen on this host when it was sent",),
            missing=twin.missing,
        )
    inferred = older.infer(facts)
    if inferred is not None:
        return older.without_word(_ask(older.with_reason(facts, inferred)), inferred)
    return _ask(facts)


def _ask(facts: Facts) -> Cause:
    for module in CAUSES:
        cause: Cause | None = module.explain(facts)
        if cause is not None:
            return cause
    raise AssertionError("the last cause takes what is left")
