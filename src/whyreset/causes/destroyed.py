"""An administrator destroyed the socket: ss -K, SOCK_DESTROY, or a BPF program. tcp_abort()."""

from __future__ import annotations

from whyreset.causes.base import before, certain, is_orphan_timer, reason
from whyreset.model import Cause, Facts

NAME = "destroyed"
FAMILY = "abort"


def explain(facts: Facts) -> Cause | None:
    # tcp_abort() sends while the state still stands; everything else but a timer sets CLOSE first
    if facts.reason != "TCP_STATE" or facts.trigger is not None or facts.state in ("", "CLOSE"):
        return None
    if is_orphan_timer(facts):
        return None
    # bpf_sock_destroy() comes from an iterator, which need not hold the lock as a process does
    how = "{closer}" if facts.in_closer else "a BPF program (bpf_sock_destroy)"
    return certain(
        NAME, FAMILY, reason(facts), f"{{owner}}'s socket was destroyed from outside by {how}", *before(facts)
    )
